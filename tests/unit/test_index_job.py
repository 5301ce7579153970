"""Repair of the search index from the lake, on in-memory doubles."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest

from kogpt2_chat.domain.lake.gaps import topic_app_id, topic_mark
from kogpt2_chat.domain.lake.layout import app_id
from kogpt2_chat.domain.search.documents import turn_document
from kogpt2_chat.domain.search.fields import FEEDBACK_INDEX, INDEXER_INDEX, LAKE_ONLY, TURN_INDEX
from kogpt2_chat.errors import InvalidInput
from kogpt2_chat.jobs.index import IndexResult, index
from kogpt2_chat.lake.newest_rows import NewestRows
from kogpt2_chat.testing.delta import InMemoryTables
from kogpt2_chat.testing.elastic import InMemoryIndex

NOW = datetime(2026, 11, 24, 3, tzinfo=UTC)
OLD = NOW - timedelta(days=1)
TOPIC_IDS = [str(uuid.UUID(int=number << 64)) for number in (1, 2)]
CRISIS = {"text": "죽고 싶어", "fallback": "safety"}


def turn(number: int, **other: object) -> dict[str, object]:
    return {
        "turn_id": f"bot_question-0-{number}", "bot": "ChatbotA", "date": "2026-11-24", "received_at": NOW,
        "text": f"안녕 {number}", "answer": "어서 와요!", "player_id": "p1", "model_version": 3,
        "kafka_partition": 0, "kafka_offset": number, "ingested_at": NOW,
    } | other  # fmt: skip


def feedback(number: int, **other: object) -> dict[str, object]:
    return {
        "feedback_id": f"f{number}", "turn_id": f"bot_question-0-{number}", "player_id": "p1", "kind": "up",
        "date": "2026-11-24", "received_at": NOW, "authenticated": True, "text": "비밀",
        "kafka_partition": 0, "kafka_offset": number, "ingested_at": NOW,
    } | other  # fmt: skip


class Lake(InMemoryTables):
    """Tables whose positions are after their last rows."""

    def add(self, table: str, *rows: dict[str, object], topic_id: str = TOPIC_IDS[0]) -> None:
        topic = {"turns": "conversation_log", "feedback": "feedback"}[table]
        mark = topic_mark(topic_id)
        assert mark is not None
        end = max(int(str(row["kafka_offset"])) for row in rows) + 1
        positions = {app_id(table, topic, 0): end, topic_app_id(table, topic): mark}
        self.append(table, rows, positions, self.positions(table, list(positions)))


@pytest.fixture
def tables() -> Lake:
    return Lake()


@pytest.fixture
def found() -> InMemoryIndex:
    return InMemoryIndex()


def live(row: dict[str, object]) -> dict[str, object]:
    """Return the document that the indexer makes: it does not know what only the lake knows."""
    return {name: value for name, value in turn_document(row).items() if name not in LAKE_ONLY}


def ids_in(found: InMemoryIndex) -> set[str]:
    return set(found.document_by_id)


def done(result: IndexResult) -> tuple[int, int, int]:
    return result.sent, result.removed, result.documents


def test_of_1001_turns_one_new_one_is_sent(tables: Lake, found: InMemoryIndex) -> None:
    """The cost of a run does not include sending what is already there."""
    tables.add("turns", *(turn(number) for number in range(1000)))
    assert done(index(tables=tables, index=found)) == (1000, 0, 1000)
    tables.add("turns", turn(1000))
    result = index(tables=tables, index=found)
    assert (result.turns, *done(result)) == (1001, 1, 0, 1001)
    assert done(index(tables=tables, index=found)) == (0, 0, 1001)


def test_as_many_other_documents_are_replaced(tables: Lake, found: InMemoryIndex) -> None:
    """Counting does not show that a document is of a turn that the lake does not have, and that one is missing."""
    tables.add("turns", *(turn(number) for number in range(3)))
    index(tables=tables, index=found)
    found.document_by_id["ghost"] = found.document_by_id.pop("bot_question-0-1")
    assert done(index(tables=tables, index=found)) == (1, 1, 3)
    assert ids_in(found) == {f"bot_question-0-{number}" for number in range(3)}


@pytest.mark.parametrize("change", [{"answer": "다른 답"}, {"answer_chars": 7}, {"worker": "x"}])
def test_a_document_that_differs_in_any_field_is_replaced(
    tables: Lake, found: InMemoryIndex, change: dict[str, object]
) -> None:
    """Also if it has a field too many."""
    tables.add("turns", turn(0), turn(1))
    index(tables=tables, index=found)
    wanted = dict(found.document_by_id)
    document = found.document_by_id["bot_question-0-1"] | change
    found.document_by_id["bot_question-0-1"] = {name: value for name, value in document.items() if value is not None}
    assert found.document_by_id != wanted
    assert done(index(tables=tables, index=found)) == (1, 0, 2)
    assert found.document_by_id == wanted
    assert wanted["bot_question-0-0"]["ingested_at"] == NOW.isoformat()


def test_searching_goes_on_during_a_rebuild(tables: Lake, found: InMemoryIndex) -> None:
    """No index is deleted and created again."""
    tables.add("turns", turn(0), turn(1))
    index(tables=tables, index=found)
    before = dict(found.ids)
    assert done(index(tables=tables, index=found, rebuild=True)) == (0, 0, 2)
    assert found.ids == before


def test_what_the_indexer_wrote_ahead_of_the_lake_stays(tables: Lake, found: InMemoryIndex) -> None:
    """Its records come after the position of the lake. An older document that the lake lacks is removed."""
    tables.add("turns", turn(0), turn(9))
    missed = turn(5)  # without consent to storing: ingest left it out
    new = [turn(10), turn(3, kafka_partition=1)]
    found.put(TURN_INDEX, [(str(row["turn_id"]), live(row)) for row in (missed, *new)])
    found.put(INDEXER_INDEX, [("p0", {"topic": "conversation_log", "topic_id": TOPIC_IDS[0], "written_at": OLD})])
    found.put(INDEXER_INDEX, [("p1", {"topic": "feedback", "topic_id": TOPIC_IDS[1], "written_at": NOW})])
    assert done(index(tables=tables, index=found)) == (2, 1, 4)
    assert ids_in(found) == {f"bot_question-0-{number}" for number in (0, 9, 10, 3)}
    assert found.document_by_id["bot_question-0-10"] == live(turn(10))
    tables.add("turns", turn(10))
    assert done(index(tables=tables, index=found)) == (0, 0, 4)


def test_documents_of_the_indexer_are_not_sent_again(tables: Lake, found: InMemoryIndex) -> None:
    """They lack only what only the lake knows. A thousand turns, one of which the indexer has not written."""
    rows = [turn(number) for number in range(1001)]
    tables.add("turns", *rows)
    found.put(TURN_INDEX, [(str(row["turn_id"]), live(row)) for row in rows[:1000]])
    assert done(index(tables=tables, index=found)) == (1, 0, 1001)


def test_what_an_earlier_release_did_not_store_stays_in_the_index(tables: Lake, found: InMemoryIndex) -> None:
    """The indexer has read the waits from Kafka; the lake's row is older than these columns."""
    measured = {"kafka_ms": 3, "queue_ms": 4, "decode_ms": 50, "unknown_tokens": 0, "logged_at": NOW}
    tables.add("turns", turn(0) | dict.fromkeys(measured), turn(1) | dict.fromkeys(measured))
    known = live(turn(0) | measured)
    found.put(
        TURN_INDEX, [("bot_question-0-0", known), ("bot_question-0-1", live(turn(1) | measured) | {"kafka_offset": 0})]
    )
    assert done(index(tables=tables, index=found)) == (1, 0, 2)
    assert found.document_by_id["bot_question-0-0"] == known
    assert "decode_ms" not in found.document_by_id["bot_question-0-1"], "it was another record"


def test_a_turn_that_is_ingested_during_the_run_is_completed(tables: Lake, found: InMemoryIndex) -> None:
    """Its document is ahead of the position that the run started from, but of the row that the run then reads."""
    tables.add("turns", turn(0))
    found.put(TURN_INDEX, [("bot_question-0-1", live(turn(1)) | {"answer": "다른 답"})])
    before = tables.table_version

    def after_ingest(table: str) -> int | None:
        if table == "turns" and before(table) == 0:
            tables.add("turns", turn(1))
        return before(table)

    tables.table_version = after_ingest  # type: ignore[method-assign]
    assert done(index(tables=tables, index=found)) == (2, 0, 2)
    assert found.document_by_id["bot_question-0-1"] == turn_document(turn(1))


def test_documents_of_a_lake_that_was_moved_away_are_removed(tables: Lake, found: InMemoryIndex) -> None:
    """They were made from the lake, so they are not ahead of it, wherever its positions are."""
    tables.add("turns", *(turn(number) for number in range(5)))
    index(tables=tables, index=found)
    anew = Lake()
    anew.add("turns", turn(0))
    assert done(index(tables=anew, index=found)) == (0, 4, 1)
    assert done(index(tables=Lake(), index=found)) == (0, 1, 0)


def test_a_recreated_topic_that_the_lake_has_not_read_is_ahead(tables: Lake, found: InMemoryIndex) -> None:
    """Its offsets are small again. Its turns may also have the ids of older ones, and must not be replaced by those."""
    tables.add("turns", *(turn(number) for number in range(5)))
    index(tables=tables, index=found)
    anew = turn(1, kafka_offset=0, text="새 질문")
    other = turn(7, kafka_offset=1)
    found.put(TURN_INDEX, [(str(row["turn_id"]), live(row)) for row in (anew, other)])
    found.put(INDEXER_INDEX, [("p0", {"topic": "conversation_log", "topic_id": TOPIC_IDS[1], "written_at": NOW})])
    found.put(INDEXER_INDEX, [("p1", {"topic": "conversation_log", "topic_id": TOPIC_IDS[0], "written_at": OLD})])
    assert done(index(tables=tables, index=found)) == (0, 0, 6)
    assert found.document_by_id["bot_question-0-1"] == live(anew)
    later = NOW + timedelta(hours=1)
    tables.add("turns", anew | {"ingested_at": later}, other | {"ingested_at": later}, topic_id=TOPIC_IDS[1])
    assert done(index(tables=tables, index=found)) == (0, 0, 6)
    assert found.document_by_id["bot_question-0-1"] == live(anew)


def test_the_newest_of_several_turns_with_one_id_is_indexed(tables: Lake, found: InMemoryIndex) -> None:
    """A recreated topic repeats ids; an older turn that must stay hidden is not shown, nor one that is hidden now."""
    late = NOW + timedelta(hours=1)
    tables.append("turns", [
        turn(1, text="새 질문", kafka_offset=1, ingested_at=late), turn(1, **CRISIS, kafka_offset=7),
        turn(2, text="옛 질문", kafka_offset=8), turn(2, **CRISIS, date="2026-11-25", kafka_offset=9, ingested_at=late),
    ], {})  # fmt: skip
    result = index(tables=tables, index=found)
    assert [row["text"] for row in found.document_by_id.values()] == ["새 질문"]
    assert (result.turns, result.kept_out) == (2, 1)
    tables.append("turns", [turn(1, text="더 새 질문", date="2026-11-23", kafka_offset=2, ingested_at=late)], {})
    assert done(index(tables=tables, index=found)) == (1, 0, 1)
    assert [row["text"] for row in found.document_by_id.values()] == ["더 새 질문"]
    assert done(index(tables=tables, index=found)) == (0, 0, 1)


def test_turns_about_a_crisis_are_removed(tables: Lake, found: InMemoryIndex) -> None:
    """Earlier releases indexed them, and a rule may have changed since then."""
    tables.add("turns", turn(0), turn(1, **CRISIS))
    found.put(TURN_INDEX, [("bot_question-0-1", turn_document(turn(1, **CRISIS)))])
    result = index(tables=tables, index=found)
    assert (result.kept_out, *done(result)) == (1, 1, 1, 1)
    assert ids_in(found) == {"bot_question-0-0"}


def test_feedback_is_repaired_with_the_bot_of_its_turn(tables: Lake, found: InMemoryIndex) -> None:
    """The last feedback of a player on a turn counts. Its text is not in the index."""
    tables.add("turns", turn(0), turn(1))
    tables.add("feedback", feedback(0), feedback(0, kind="down", kafka_offset=4), feedback(1), feedback(8))
    result = index(tables=tables, index=found).feedback
    assert (result.rated, result.sent, result.removed, result.documents) == (3, 3, 0, 3)
    documents = found.documents_by_index[FEEDBACK_INDEX]
    of_turn = {str(document["turn_id"]): document_id for document_id, document in documents.items()}
    shown = documents[of_turn["bot_question-0-0"]]
    assert {name: shown[name] for name in shown if name != "feedback_id"} == {
        "turn_id": "bot_question-0-0", "kind": "down", "authenticated": True, "bot": "ChatbotA", "model_version": 3,
        "received_at": NOW.isoformat(), "kafka_partition": 0, "kafka_offset": 4,
    }  # fmt: skip
    assert "bot" not in documents[of_turn["bot_question-0-8"]]
    del documents[of_turn["bot_question-0-1"]]
    documents["ghost:p1"] = {"kafka_partition": 0, "kafka_offset": 3}
    documents["ahead:p1"] = {"kafka_partition": 0, "kafka_offset": 9}
    result = index(tables=tables, index=found).feedback
    assert (result.sent, result.removed, result.documents) == (1, 1, 4)


def test_refused_documents_are_counted_and_named(tables: Lake, found: InMemoryIndex) -> None:
    """They do not stop the others."""
    long_id = "가" * 200
    tables.add("turns", turn(0, turn_id=long_id), turn(1))
    tables.add("feedback", feedback(0, turn_id="t", player_id="민수" * 200), feedback(1))
    result = index(tables=tables, index=found)
    assert (result.refused, result.sent, result.feedback.refused, result.feedback.sent) == (1, 1, 0, 2)
    assert [refusal.document_id for refusal in result.refusals] == [long_id]


def test_of_many_refused_documents_the_first_twenty_are_named(tables: Lake, found: InMemoryIndex) -> None:
    """All are counted."""
    tables.add("turns", *(turn(number, turn_id="가" * 200 + str(number)) for number in range(700)))
    result = index(tables=tables, index=found)
    assert (result.refused, result.sent, len(result.refusals)) == (700, 0, 20)


def test_only_a_rebuild_recreates_an_index_with_other_types(tables: Lake) -> None:
    """Its documents cannot be corrected one by one."""

    class OtherTypes(InMemoryIndex):
        fits = False

        def ensure(self) -> None:
            if self.ids and not self.fits:
                raise InvalidInput("`v` is keyword, expected long")
            super().ensure()

        def clear(self, index: str) -> None:
            self.fits = True
            super().clear(index)  # type: ignore[arg-type]

    found = OtherTypes()
    found.document_by_id["old"] = {}
    tables.add("turns", turn(0))
    with pytest.raises(InvalidInput, match="keyword"):
        index(tables=tables, index=found)
    assert done(index(tables=tables, index=found, rebuild=True)) == (1, 0, 1)


def test_an_empty_lake_empties_the_index(found: InMemoryIndex) -> None:
    """Nothing that the lake does not have stays, but what may be ahead of it."""
    found.put(TURN_INDEX, [("lost", turn_document(turn(0))), ("new", live(turn(1)))])
    assert done(index(tables=Lake(), index=found)) == (0, 1, 1)


def test_newest_rows_are_those_with_the_last_order() -> None:
    """By time, then partition, then offset; rows of earlier releases have none of them and are the oldest."""
    rows = [
        ("a", turn(1)), ("a", turn(2)), ("b", {}), ("b", turn(0)), ("c", turn(9)),
        ("c", turn(1, kafka_partition=1)), ("d", turn(9)), ("d", turn(1, ingested_at=NOW + timedelta(microseconds=1))),
        ("e", {}),
    ]  # fmt: skip
    newest = NewestRows(rows)
    assert newest.select(rows) == [rows[place] for place in (1, 3, 5, 7, 8)]
    assert len(newest) == 5
    assert newest.has(["a", "x", "e"]) == [True, False, True]
    assert newest.select([("x", turn(1))]) == []
    nothing = NewestRows([])
    assert (len(nothing), nothing.has(["a"]), nothing.select(rows)) == (0, [False], [])
