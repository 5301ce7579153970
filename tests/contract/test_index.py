"""Contract of the port Index, on the double and on a real Elasticsearch."""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from kogpt2_chat.domain.lake.layout import TURNS
from kogpt2_chat.errors import InvalidInput, Unavailable
from kogpt2_chat.ports import Index
from kogpt2_chat.settings import Elastic, Settings
from kogpt2_chat.testing.elastic import InMemoryIndex


@pytest.fixture(params=["double", pytest.param("elasticsearch", marks=pytest.mark.stack)])
def index(request: pytest.FixtureRequest) -> Iterator[Index]:
    if request.param == "double":
        yield InMemoryIndex()
        return
    from kogpt2_chat.adapters.elastic import ElasticIndex

    real = ElasticIndex(request.getfixturevalue("stack_settings"), name=f"contract-{uuid.uuid4().hex}")
    real.ensure()
    yield real
    real._client.indices.delete(index=real._name)


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


def test_documents_are_counted_by_bot(index: Index) -> None:
    """The documents take more than one bulk request; an empty list is allowed."""
    assert index.put([document(n, "ChatbotB" if n % 2 else "ChatbotA") for n in range(1101)]) == 1101
    assert index.put([]) == 0
    assert (index.count(), index.count("ChatbotA"), index.count("ChatbotC")) == (1101, 551, 0)


def test_indexing_again_changes_nothing(index: Index) -> None:
    """A document's id is its turn id."""
    index.put([document(1), document(2)])
    index.put([document(2), document(1)])
    assert index.count() == 2


def test_a_document_may_have_nulls(index: Index) -> None:
    """A turn without a session is indexed without that field."""
    assert index.put([document(1) | {"session_id": None, "fallback": None}]) == 1
    assert index.count() == 1


def test_a_document_is_found_by_its_turn_id(index: Index) -> None:
    """It is found immediately, as JSON values: times are text, nulls are left out. An unknown id returns None."""
    index.put([document(1) | {"fallback": None}, document(2)])
    found = index.find("bot_question-0-1")
    assert found is not None
    assert found["answer_token_ids"] == [1, 2]
    assert found["received_at"] == "2026-11-24T03:30:00+00:00"
    assert "fallback" not in found
    assert set(found) == set(TURNS.columns) - {"fallback"}
    assert index.find("bot_question-0-3") is None


def test_documents_are_removed_by_their_turn_id(index: Index) -> None:
    """The ids take more than one bulk request; unknown ids and an empty list are allowed."""
    index.put([document(number) for number in range(700)])
    index.remove([])
    index.remove([f"bot_question-0-{number}" for number in range(1, 900)])
    index.remove(["bot_question-0-1"])
    assert index.count() == 1
    assert index.find("bot_question-0-0") is not None


def test_clear_deletes_every_document_and_keeps_the_index_usable(index: Index) -> None:
    """After it, `ensure` and `put` still work."""
    index.put([document(1)])
    index.clear()
    index.ensure()
    assert index.count() == 0
    index.put([document(1)])
    assert index.count() == 1


@pytest.mark.stack
def test_an_unknown_field_is_refused(stack_settings: Settings) -> None:
    """The mapping is strict; the error names the turn and the field."""
    from kogpt2_chat.adapters.elastic import ElasticIndex

    index = ElasticIndex(stack_settings, name=f"contract-{uuid.uuid4().hex}")
    index.ensure()
    with pytest.raises(InvalidInput, match=r"bot_question-0-1.*surprise"):
        index.put([document(1) | {"surprise": 1}])
    index._client.indices.delete(index=index._name)


def test_an_unreachable_server_is_unavailable() -> None:
    """The error names the server's address."""
    from kogpt2_chat.adapters.elastic import ElasticIndex

    with pytest.raises(Unavailable, match=r"http://127\.0\.0\.1:9"):
        ElasticIndex(Settings(elastic=Elastic(url="http://127.0.0.1:9"))).ensure()


def test_documents_refused_by_a_busy_server_are_resent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the refused documents are resent, and none is lost."""
    from kogpt2_chat.adapters import elastic

    index = elastic.ElasticIndex(Settings())
    sent: list[list[str]] = []

    def bulk(operations: list[dict[str, dict[str, str]]]) -> dict[str, object]:
        ids = [line["index"]["_id"] for line in operations[::2]]
        sent.append(ids)
        busy = ids[1:] if len(sent) < 3 else []
        return {"items": [{"index": {"status": 429 if turn_id in busy else 201}} for turn_id in ids]}

    monkeypatch.setattr(index._client, "bulk", bulk)
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _: None)
    assert index.put([document(n) for n in range(3)]) == 3
    assert [len(ids) for ids in sent] == [3, 2, 1]
