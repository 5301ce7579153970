"""Contract of the port Index, on the double and on a real Elasticsearch."""

import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from kogpt2_chat.adapters.elastic_batches import batches, entries
from kogpt2_chat.domain.lake.layout import TURNS
from kogpt2_chat.domain.search.fields import (
    DEAD_LETTER_INDEX,
    FEEDBACK_INDEX,
    FIELDS_BY_INDEX,
    SAFETY_INDEX,
    TURN_INDEX,
    IndexName,
)
from kogpt2_chat.errors import Unavailable
from kogpt2_chat.ports import Index, Refusal
from kogpt2_chat.settings import Elastic, Settings
from kogpt2_chat.testing.elastic import InMemoryIndex


@pytest.fixture(params=["double", pytest.param("elasticsearch", marks=pytest.mark.stack)])
def index(request: pytest.FixtureRequest) -> Iterator[Index]:
    if request.param == "double":
        yield InMemoryIndex()
        return
    from kogpt2_chat.adapters.elastic import ElasticIndex

    real = ElasticIndex(request.getfixturevalue("stack_settings"), prefix=f"contract-{uuid.uuid4().hex}-", attempts=3)
    real.ensure()
    yield real
    for name in FIELDS_BY_INDEX:
        real._client.indices.delete(index=real._name(name), ignore_unavailable=True)
        real._client.indices.delete_index_template(name=real._name(name))


def delete(index: Index, name: IndexName) -> None:
    """Delete an index, as an operator would."""
    if isinstance(index, InMemoryIndex):
        index.delete_index(name)
    else:
        client: Any = getattr(index, "_client")  # noqa: B009 - only the real index has it
        client.indices.delete(index=getattr(index, "_name")(name))  # noqa: B009


def document(number: int, bot: str = "ChatbotA") -> dict[str, object]:
    """Return a row of the table `turns` with a value in every column."""
    by_kind = {
        "string": "안녕하세요",
        "long": 7,
        "bool": True,
        "time": datetime(2026, 11, 24, 3, 30, tzinfo=UTC),
        "longs": [1, 2],
    }
    row = {name: by_kind[kind] for name, kind in TURNS.columns.items()}
    return row | {"turn_id": f"bot_question-0-{number}", "bot": bot, "date": "2026-11-24"}


def documents(*numbers: int) -> Mapping[str, Mapping[str, object]]:
    return {
        f"bot_question-0-{number}": document(number, "ChatbotB" if number % 2 else "ChatbotA") for number in numbers
    }


def test_documents_are_counted_by_bot(index: Index) -> None:
    """The documents take more than one bulk request; none at all are allowed."""
    assert index.put(TURN_INDEX, documents(*range(1101)).items()).accepted == 1101
    assert index.put(TURN_INDEX, ()).accepted == 0
    found = (index.count(TURN_INDEX), index.count(TURN_INDEX, "ChatbotA"), index.count(TURN_INDEX, "ChatbotC"))
    assert found == (1101, 551, 0)


def test_indexing_again_changes_nothing(index: Index) -> None:
    """A document replaces the one with its id."""
    index.put(TURN_INDEX, documents(1, 2).items())
    index.put(TURN_INDEX, documents(2, 1).items())
    assert index.count(TURN_INDEX) == 2


def test_each_index_has_its_own_documents(index: Index) -> None:
    """The same id may be in several indices."""
    index.put(DEAD_LETTER_INDEX, [("0-1", {"reason": "schema", "size": 3})])
    index.put(FEEDBACK_INDEX, [("0-1", {"kind": "up"})])
    assert index.find(DEAD_LETTER_INDEX, "0-1") == {"reason": "schema", "size": 3}
    assert index.find(FEEDBACK_INDEX, "0-1") == {"kind": "up"}
    assert index.count(TURN_INDEX) == 0


def test_a_document_may_have_nulls(index: Index) -> None:
    """A turn without a session is indexed without that field."""
    index.put(TURN_INDEX, [("1", document(1) | {"session_id": None, "fallback": None})])
    assert index.count(TURN_INDEX) == 1


def test_documents_are_found_by_their_ids(index: Index) -> None:
    """They are found immediately, as JSON values: times are text, nulls are left out. An unknown id has no document."""
    index.put(TURN_INDEX, [("a", document(1) | {"fallback": None}), ("b", document(2))])
    found = index.find(TURN_INDEX, "a")
    assert found is not None
    assert found["answer_token_ids"] == [1, 2]
    assert found["received_at"] == "2026-11-24T03:30:00+00:00"
    assert "fallback" not in found
    assert set(found) == set(TURNS.columns) - {"fallback"}
    assert index.find(TURN_INDEX, "c") is None
    assert index.find_many(TURN_INDEX, ["a", "c"]) == {"a": found}
    assert index.find_many(TURN_INDEX, []) == {}


def test_all_documents_can_be_listed(index: Index) -> None:
    """They take more than one page; only the wanted fields are returned."""
    index.put(TURN_INDEX, documents(*range(2100)).items())
    assert sorted(index.scan(TURN_INDEX)) == sorted((document_id, {}) for document_id in documents(*range(2100)))
    found = dict(index.scan(TURN_INDEX, ["bot", "kafka_offset"]))
    assert found["bot_question-0-1"] == {"bot": "ChatbotB", "kafka_offset": 7}
    assert list(index.scan(SAFETY_INDEX)) == []


def test_documents_are_removed_by_their_ids(index: Index) -> None:
    """The ids take more than one bulk request; unknown ids and none at all are allowed."""
    index.put(TURN_INDEX, documents(*range(700)).items())
    index.remove(TURN_INDEX, [])
    index.remove(TURN_INDEX, [f"bot_question-0-{number}" for number in range(1, 900)])
    index.remove(TURN_INDEX, ["bot_question-0-1"])
    assert index.count(TURN_INDEX) == 1
    assert index.find(TURN_INDEX, "bot_question-0-0") is not None


def test_clear_deletes_every_document_and_keeps_the_index_usable(index: Index) -> None:
    """After it, `ensure` and `put` still work. The index is another one, but the other indices are the same."""
    index.put(TURN_INDEX, documents(1).items())
    before = index.index_id(TURN_INDEX), index.index_id(SAFETY_INDEX)
    index.clear(TURN_INDEX)
    index.ensure()
    assert index.index_id(TURN_INDEX) != before[0]
    assert index.index_id(SAFETY_INDEX) == before[1]
    assert index.count(TURN_INDEX) == 0
    index.put(TURN_INDEX, documents(1).items())
    assert index.count(TURN_INDEX) == 1


def test_a_refused_document_does_not_stop_the_others(index: Index) -> None:
    """A field of another type, an unknown field and an impossible id; no reason quotes a value."""
    found = index.put(
        TURN_INDEX,
        [
            ("a", document(1)),
            ("b", document(2) | {"kafka_offset": "비밀"}),
            ("c", document(3) | {"surprise": "비밀"}),
            ("d" * 513, document(4)),
            ("e", document(5)),
        ],
    )
    assert found.accepted == 2
    # An impossible id is found before the request.
    assert sorted(found.refused, key=lambda one: one.document_id) == [
        Refusal(document_id="b", reason="mapper_parsing_exception in `kafka_offset`"),
        Refusal(document_id="c", reason="strict_dynamic_mapping_exception in `surprise`"),
        Refusal(document_id="d" * 513, reason="its id does not have 1 to 512 bytes"),
    ]
    assert sorted(one for one, _ in index.scan(TURN_INDEX)) == ["a", "e"]


def test_a_deleted_index_is_created_again_with_its_mapping(index: Index) -> None:
    """A missing index has no documents and no id. A write creates it, and it still refuses unknown fields."""
    before = index.index_id(TURN_INDEX)
    delete(index, TURN_INDEX)
    assert index.index_id(TURN_INDEX) is None
    assert (index.count(TURN_INDEX), index.find(TURN_INDEX, "a"), list(index.scan(TURN_INDEX))) == (0, None, [])
    index.remove(TURN_INDEX, ["a"])
    assert index.index_id(TURN_INDEX) is None
    found = index.put(TURN_INDEX, [("a", document(1)), ("b", document(2) | {"surprise": 1})])
    assert (found.accepted, [one.document_id for one in found.refused]) == (1, ["b"])
    assert index.index_id(TURN_INDEX) not in (None, before)


@pytest.mark.stack
def test_writes_to_a_read_only_index_are_unavailable_and_succeed_later(stack_settings: Settings) -> None:
    """The block is the one that the server sets at the flood stage, and the one that an operator sets."""
    from kogpt2_chat.adapters.elastic import ElasticIndex

    index = ElasticIndex(stack_settings, prefix=f"contract-{uuid.uuid4().hex}-", attempts=2)
    index.ensure()
    name = index._name(TURN_INDEX)
    for block in ("read_only_allow_delete", "write"):
        index._client.indices.put_settings(index=name, settings={f"index.blocks.{block}": True})
        with pytest.raises(Unavailable, match="1 of 1 documents were not accepted .cluster_block_exception"):
            index.put(TURN_INDEX, documents(1).items())
        index._client.indices.put_settings(index=name, settings={f"index.blocks.{block}": None})
        assert index.put(TURN_INDEX, documents(1).items()).accepted == 1
    for one in FIELDS_BY_INDEX:
        index._client.indices.delete(index=index._name(one))
        index._client.indices.delete_index_template(name=index._name(one))


def test_batches_are_bounded_by_number_and_bytes() -> None:
    """A document above the limit is sent alone."""
    found = list(
        entries([(str(number), {"text": "x" * size}) for number, size in enumerate((10, 10, 500, 10, 10, 10))])
    )
    sent = batches(found, most=2, max_bytes=100)
    assert [[entry.document_id for entry in batch] for batch in sent] == [["0", "1"], ["2"], ["3", "4"], ["5"]]
    assert list(batches([], most=2, max_bytes=100)) == []


def test_an_unreachable_server_is_unavailable() -> None:
    """The error names the server's address."""
    from kogpt2_chat.adapters.elastic import ElasticIndex

    with pytest.raises(Unavailable, match=r"http://127\.0\.0\.1:9"):
        ElasticIndex(Settings(elastic=Elastic(url="http://127.0.0.1:9"))).ensure()


def test_documents_refused_by_a_busy_server_are_resent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the refused documents are resent, and none is lost."""
    from kogpt2_chat.adapters import elastic

    slept: list[float] = []
    index = elastic.ElasticIndex(Settings(), sleep=slept.append)
    sent: list[list[str]] = []

    def bulk(operations: list[Any], **_: object) -> dict[str, object]:
        ids = [line["index"]["_id"] for line in operations[::2]]
        sent.append(ids)
        busy = ids[1:] if len(sent) < 3 else []
        return {"items": [{"index": {"status": 429 if turn_id in busy else 201}} for turn_id in ids]}

    monkeypatch.setattr(index._client, "bulk", bulk)
    assert index.put(TURN_INDEX, documents(0, 1, 2).items()).accepted == 3
    assert [len(ids) for ids in sent] == [3, 2, 1]
    assert slept == [0.5, 1]
