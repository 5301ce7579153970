"""The live indexer on in-memory doubles: each record's document is written at least once, and nothing stops it."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
import structlog

import indexer.loop
from indexer.documents import NO_CONSENT, DocumentWriter
from indexer.loop import CLEARLY_NEWER_MS, Indexer, PlaceChanged, Stopping
from indexer.report import Progress
from kogpt2_chat.domain.chat.topics import DEAD_LETTER_TOPIC, FEEDBACK_TOPIC, TURN_TOPIC
from kogpt2_chat.domain.chat.turns import Feedback, Turn
from kogpt2_chat.domain.search.documents import turn_document
from kogpt2_chat.domain.search.fields import (
    DEAD_LETTER_INDEX,
    FEEDBACK_INDEX,
    INDEXER_INDEX,
    LAKE_ONLY,
    SAFETY_INDEX,
    TURN_INDEX,
    IndexName,
)
from kogpt2_chat.errors import Unavailable
from kogpt2_chat.jobs.ingest import ingest
from kogpt2_chat.lake.read_records import RecordReader
from kogpt2_chat.ports import Documents, Outgoing, PutResult
from kogpt2_chat.settings import Settings
from kogpt2_chat.testing.delta import InMemoryTables
from kogpt2_chat.testing.elastic import InMemoryIndex
from kogpt2_chat.testing.kafka import Broker, InMemoryTopics

NOW = datetime(2026, 11, 27, 23, tzinfo=UTC)
CRISIS = "죽고 싶어"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexer.loop, "POLL_S", 0.0)
    monkeypatch.setattr(indexer.loop, "FIRST_PAUSE_S", 0.0)


class RetainingTopics(InMemoryTopics):
    """Topics whose first records have been deleted by retention."""

    first = 0

    def start_positions(self, topic: str) -> dict[int, int]:
        return dict.fromkeys(super().start_positions(topic), self.first)


class Harness:
    """An indexer with its servers. It continues where the last call stopped, as another process would."""

    def __init__(self) -> None:
        self.broker = Broker()
        self.topics = RetainingTopics(self.broker)
        self.topics.ensure()
        self.index = InMemoryIndex()
        self.seconds = 0.0
        self.start()

    def start(self) -> None:
        """Begin as a new process."""
        self.progress = Progress(monotonic=lambda: self.seconds, clock=lambda: datetime.now(UTC))
        reader = RecordReader(ingested_at=NOW)
        self.stop = threading.Event()
        self.indexer = Indexer(
            topics=self.topics,
            index=self.index,
            writer=DocumentWriter(index=self.index, reader=reader, progress=self.progress),
            progress=self.progress,
            stop=self.stop,
            feedback_wait_s=30,
            monotonic=lambda: self.seconds,
        )

    def run(self, rounds: int = 6) -> None:
        """Open and run for some rounds, as long as nothing fails."""
        with ExitStack() as stack:
            self.indexer.open(stack)
            for _ in range(rounds):
                self.indexer.run_once()

    def log(self, *turns: Turn | bytes, topic: str = TURN_TOPIC) -> None:
        values = [one if isinstance(one, bytes) else one.to_json().encode() for one in turns]
        self.topics.send(Outgoing(topic=topic, key=b"p", value=value) for value in values)

    def documents(self, index: IndexName = TURN_INDEX) -> dict[str, dict[str, object]]:
        return self.index.documents_by_index[index]

    def positions(self) -> dict[str, object]:
        return {one: document["position"] for one, document in self.documents(INDEXER_INDEX).items()}

    def health(self) -> dict[str, Any]:
        return self.progress.report().as_json()


@pytest.fixture
def harness() -> Harness:
    return Harness()


def turn(number: int = 0, **changes: object) -> Turn:
    fields: dict[str, object] = {
        "turn_id": f"bot_question-0-{number}", "question_id": f"q{number}", "bot": "ChatbotA", "player_id": "legacy:별이",
        "sender": "별이", "text": "안녕", "answer": "어서 와요!", "received_at": "2026-11-24T03:10:00+00:00",
        "answered_at": "2026-11-24T03:10:01+00:00", "latency_ms": 12, "consent_store": True, "consent_train": True,
        "source": "v1", "worker": "worker-1", "model_version": 3,
    }  # fmt: skip
    return Turn(**(fields | changes))  # type: ignore[arg-type]


def feedback(turn_id: str = "bot_question-0-0", kind: str = "up", feedback_id: str = "f1") -> bytes:
    made = Feedback(
        feedback_id=feedback_id, turn_id=turn_id, player_id="legacy:별이", kind=kind, sent_at="2026-11-24T03:20:00Z",
        text="이건 비밀 의견",
    )  # fmt: skip
    return made.to_json().encode()


def test_turns_become_the_documents_that_the_lake_would_make(harness: Harness) -> None:
    """Except for the fields that only the lake knows."""
    harness.log(
        turn(0, text="내 번호는 010-1234-5678"), turn(1, fallback="nearest", session_id="s"), turn(2, minor=True)
    )
    harness.run()
    tables = InMemoryTables()
    ingest(topics=harness.topics, tables=tables, settings=Settings())
    made = {str(row["turn_id"]): turn_document(row) for row in tables.read("turns")}
    assert len(made) == 3
    for document in made.values():
        for name in LAKE_ONLY:
            assert document.pop(name)
    assert harness.documents() == made
    assert harness.health()["documents"] == {TURN_INDEX: 3}


def test_a_new_process_continues_where_the_last_one_stopped(harness: Harness) -> None:
    """The position is stored after the documents; nothing is read a second time."""
    harness.log(turn(0), turn(1))
    harness.run()
    assert sum(int(str(position)) for position in harness.positions().values()) == 2
    harness.start()
    harness.log(turn(2))
    harness.run()
    assert len(harness.documents()) == 3
    assert harness.health()["documents"] == {TURN_INDEX: 1}
    assert harness.health()["notes"] == []


class FailingOnce(InMemoryIndex):
    """An index that fails after it has written some documents; ``fails_at`` is the name of the index that fails."""

    def __init__(self) -> None:
        super().__init__()
        self.fails_at: IndexName | None = None

    def put(self, index: IndexName, documents: Documents) -> PutResult:
        if index == self.fails_at:
            self.fails_at = None
            super().put(index, list(documents)[:1])
            raise Unavailable("Elasticsearch: no answer")
        return super().put(index, documents)


@pytest.mark.parametrize("where", [TURN_INDEX, INDEXER_INDEX, SAFETY_INDEX])
def test_records_are_written_again_after_a_failure(harness: Harness, where: IndexName) -> None:
    """Between the first document and the last position, the end of the process loses and duplicates nothing."""
    harness.index = FailingOnce()
    harness.start()
    harness.index.fails_at = where
    harness.log(turn(0), turn(1), turn(2, text=CRISIS, fallback="safety"), turn(3, text=CRISIS, fallback="safety"))
    with pytest.raises(Unavailable):
        harness.run()
    harness.start()
    harness.run()
    assert set(harness.documents()) == {"bot_question-0-0", "bot_question-0-1"}
    assert [count["count"] for count in harness.documents(SAFETY_INDEX).values()] == [2]


def test_turns_without_consent_have_no_document(harness: Harness) -> None:
    """They are counted."""
    harness.log(turn(0, consent_store=False, text="", answer=""), turn(1))
    harness.run()
    assert set(harness.documents()) == {"bot_question-0-1"}
    assert harness.health()["left_out"] == {NO_CONSENT: 1}


def test_crises_are_counted_by_hour_and_have_no_document(harness: Harness) -> None:
    """A turn of an earlier release that was indexed is removed. A record that is read again is not counted again."""
    harness.index.put(TURN_INDEX, [("bot_question-0-0", {"bot": "ChatbotA"})])
    harness.log(
        turn(0, text=CRISIS, fallback="safety"),
        turn(1, text=CRISIS, received_at="2026-11-24T03:59:59+00:00"),
        turn(2, text=CRISIS, fallback="safety", received_at="2026-11-24T04:00:00+00:00"),
        turn(3, text=CRISIS, fallback="safety", bot="ChatbotB"),
        turn(4),
    )
    harness.run()
    harness.documents(INDEXER_INDEX).clear()
    harness.start()
    harness.run()
    assert set(harness.documents()) == {"bot_question-0-4"}
    counts = harness.documents(SAFETY_INDEX).values()
    found = {(one["bot"], one["hour"]): one["count"] for one in counts}
    assert found == {
        ("ChatbotA", "2026-11-24T03:00:00+00:00"): 2,
        ("ChatbotA", "2026-11-24T04:00:00+00:00"): 1,
        ("ChatbotB", "2026-11-24T03:00:00+00:00"): 1,
    }
    assert CRISIS not in str(harness.index.documents_by_index)


def test_a_feedback_has_the_bot_and_the_version_of_its_turn(harness: Harness) -> None:
    """The last one of a player on a turn counts, and there is no text."""
    harness.log(turn(0))
    harness.log(feedback(kind="up"), feedback(kind="down", feedback_id="f2"), topic=FEEDBACK_TOPIC)
    harness.run()
    ((document_id, found),) = harness.documents(FEEDBACK_INDEX).items()
    assert document_id.startswith("bot_question-0-0:")
    assert "별이" not in document_id
    assert (found["bot"], found["model_version"], found["kind"]) == ("ChatbotA", 3, "down")
    assert "비밀" not in str(found)


def test_a_feedback_waits_for_its_turn(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """While turns are still being read, it is not written; as soon as its turn is in the index, it is."""
    monkeypatch.setattr("kogpt2_chat.testing.kafka.MOST_POLLED", 1)
    harness.log(*(turn(number) for number in range(1, 4)), turn(0))
    harness.log(feedback(), topic=FEEDBACK_TOPIC)
    with ExitStack() as stack:
        harness.indexer.open(stack)
        for expected in (0, 0, 0, 1):
            harness.indexer.run_once()
            assert len(harness.documents(FEEDBACK_INDEX)) == expected
    (found,) = harness.documents(FEEDBACK_INDEX).values()
    assert found["model_version"] == 3


def test_a_feedback_whose_turn_does_not_come_is_written_without_its_bot(harness: Harness) -> None:
    """All turns that Kafka had before it are read: its turn has no document."""
    harness.log(feedback("bot_question-7-7"), topic=FEEDBACK_TOPIC)
    harness.seconds = 5.0
    with ExitStack() as stack:
        harness.indexer.open(stack)
        harness.indexer.run_once()
        assert harness.documents(FEEDBACK_INDEX) == {}
        harness.seconds += 0.1
        harness.indexer.run_once()
    (found,) = harness.documents(FEEDBACK_INDEX).values()
    assert (found["kind"], "bot" in found) == ("up", False)


def test_a_feedback_does_not_wait_for_ever(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """Turns keep coming, and its own is not among them."""
    monkeypatch.setattr("kogpt2_chat.testing.kafka.MOST_POLLED", 1)
    harness.log(feedback("bot_question-7-7"), topic=FEEDBACK_TOPIC)
    numbers = count()
    with ExitStack() as stack:
        harness.indexer.open(stack)
        for waited in (0, 20, 40):
            harness.log(turn(next(numbers)), turn(next(numbers)))
            harness.seconds = waited
            harness.indexer.run_once()
            assert len(harness.documents(FEEDBACK_INDEX)) == (waited > 30)


def test_a_feedback_is_written_once_a_clearly_newer_turn_is(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """While players talk, there is always another turn to read. Feedback on a turn without a document holds up no other."""
    monkeypatch.setattr("kogpt2_chat.testing.kafka.MOST_POLLED", 1)
    harness.log(feedback("bot_question-7-7"), topic=FEEDBACK_TOPIC)
    (asked,) = harness.broker.all(FEEDBACK_TOPIC)
    with ExitStack() as stack:
        harness.indexer.open(stack)
        for number, later_ms in enumerate((CLEARLY_NEWER_MS, CLEARLY_NEWER_MS + 1)):
            harness.log(turn(2 * number), turn(2 * number + 1))
            for log in harness.broker.logs[TURN_TOPIC]:
                log.records.update(
                    {
                        offset: replace(record, timestamp_ms=asked.timestamp_ms + later_ms)
                        for offset, record in log.records.items()
                    }
                )
            for _ in range(2):
                harness.indexer.run_once()
            assert len(harness.documents(FEEDBACK_INDEX)) == number


def test_a_dead_letter_has_its_reason_and_size_but_no_text(harness: Harness) -> None:
    """Neither its value nor its sender nor the error's text."""
    headers = {"reason": "schema", "error": "비밀 오류", "turn_id": "bot_question-3-9"}
    value = '{"bot": "ChatbotB", "text": "비밀"}'.encode()
    harness.topics.send([Outgoing(topic=DEAD_LETTER_TOPIC, key="별이".encode(), value=value, headers=headers)])
    harness.run()
    ((document_id, found),) = harness.documents(DEAD_LETTER_INDEX).items()
    assert document_id == f"0-0:{harness.topics.topic_id(DEAD_LETTER_TOPIC)}"
    assert (found["reason"], found["bot"], found["size"]) == ("schema", "ChatbotB", len(value))
    assert (found["question_partition"], found["question_offset"]) == (3, 9)
    assert "비밀" not in str(found)
    assert "별이" not in str(found)


def test_an_unreadable_record_is_skipped(harness: Harness) -> None:
    """It is counted, and its value is not logged."""
    harness.log(b"\xff{", turn(0), b'{"v": 1, "text": "secret"}', turn(1))
    harness.log(b"nothing", topic=FEEDBACK_TOPIC)
    with structlog.testing.capture_logs() as logs:
        harness.run()
    assert len(harness.documents()) == 2
    assert harness.health()["unreadable"] == {TURN_TOPIC: 2, FEEDBACK_TOPIC: 1}
    assert "secret" not in str(logs)
    skipped = [entry for entry in logs if entry["event"] == "record_unreadable"]
    assert len(skipped) == 3
    assert skipped[-1]["record"].startswith("feedback-")


def test_a_refused_document_is_skipped(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is counted and logged by id and reason, and the others of its batch are written."""

    def made(row: Mapping[str, object]) -> dict[str, object]:
        surprise = {"surprise": "비밀"} if row["turn_id"] == "bot_question-0-1" else {}
        return turn_document(row) | surprise

    monkeypatch.setattr("indexer.documents.turn_document", made)
    harness.log(turn(0), turn(1), turn(2))
    with structlog.testing.capture_logs() as logs:
        harness.run()
    assert set(harness.documents()) == {"bot_question-0-0", "bot_question-0-2"}
    assert harness.health()["refused"] == {TURN_INDEX: 1}
    (refused,) = [entry for entry in logs if entry["event"] == "document_refused"]
    assert (refused["id"], refused["reason"]) == ("bot_question-0-1", "strict_dynamic_mapping_exception in `surprise`")
    assert "비밀" not in str(logs)


def test_a_record_for_which_no_document_can_be_made_is_skipped(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unexpected error about one record does not stop the others."""

    def fails(row: Mapping[str, object]) -> str | None:
        if row["turn_id"] == "bot_question-0-1":
            raise RecursionError(str(row["text"]))
        return None

    monkeypatch.setattr("indexer.documents.safety_kind", fails)
    harness.log(turn(0), turn(1), turn(2))
    harness.run()
    assert set(harness.documents()) == {"bot_question-0-0", "bot_question-0-2"}
    assert harness.health()["unreadable"] == {TURN_TOPIC: 1}


def test_the_newest_of_two_turns_with_one_id_counts(harness: Harness) -> None:
    """Ids repeat if the topic of questions was created again; here both records are in one batch."""
    harness.log(turn(0, text="먼저"), turn(0, text="나중"))
    harness.run()
    assert [document["text"] for document in harness.documents().values()] == ["나중"]


def test_a_deleted_index_is_filled_again_from_kafka(harness: Harness) -> None:
    """Its positions are void. A note says that older turns need the lake; the other index is not read again."""
    harness.log(turn(0), turn(1))
    harness.log(feedback(), topic=FEEDBACK_TOPIC)
    harness.run()
    harness.index.delete_index(TURN_INDEX)
    harness.start()
    harness.run()
    assert len(harness.documents()) == 2
    assert harness.health()["documents"] == {TURN_INDEX: 2}
    (note,) = harness.health()["notes"]
    assert "kogpt2-turns" in note
    assert "kogpt2-chat index" in note


@pytest.mark.parametrize("idle", [False, True])
def test_an_index_that_is_deleted_meanwhile_is_noticed(harness: Harness, *, idle: bool) -> None:
    """With a new record at once, and without one after some seconds; no position is stored for the lost documents."""
    harness.log(turn(0))
    with ExitStack() as stack:
        harness.indexer.open(stack)
        harness.indexer.run_once()
        harness.index.delete_index(TURN_INDEX)
        before = harness.positions()
        if not idle:
            harness.log(turn(1))
        harness.seconds += 20
        with pytest.raises(PlaceChanged):
            harness.indexer.run_once()
    assert harness.positions() == before
    harness.run()
    assert len(harness.documents()) == (1 if idle else 2)


def test_a_topic_that_was_created_again_is_read_from_its_beginning(harness: Harness) -> None:
    """Its offsets begin again, so the stored positions say nothing."""
    harness.log(turn(0), turn(1))
    with ExitStack() as stack:
        harness.indexer.open(stack)
        harness.indexer.run_once()
        harness.broker.create(TURN_TOPIC, 12)
        harness.log(turn(2))
        harness.seconds += 20
        with pytest.raises(PlaceChanged, match="conversation_log was created again"):
            harness.indexer.run_once()
    harness.run()
    assert set(harness.documents()) == {f"bot_question-0-{number}" for number in range(3)}


def test_crises_and_dead_letters_of_a_topic_that_was_created_again_are_counted_too(harness: Harness) -> None:
    """Their offsets begin again in the same hour."""
    letter = Outgoing(topic=DEAD_LETTER_TOPIC, key=b"p", value=b"{", headers={"reason": "schema"})
    for _ in range(2):
        harness.log(turn(0, text=CRISIS, fallback="safety"), turn(1, text=CRISIS, fallback="safety"))
        harness.topics.send([letter])
        harness.run()
        harness.broker.create(TURN_TOPIC, 12)
        harness.broker.create(DEAD_LETTER_TOPIC, 1)
        harness.start()
    assert sum(int(str(one["count"])) for one in harness.documents(SAFETY_INDEX).values()) == 4
    assert len(harness.documents(DEAD_LETTER_INDEX)) == 2


def test_a_topic_that_has_lost_records_is_read_from_its_beginning(harness: Harness) -> None:
    """It has the same id but ends before the position."""
    harness.log(turn(0), turn(1))
    harness.run()
    for log in harness.broker.logs[TURN_TOPIC]:
        log.records.clear()
        log.end = 0
    harness.log(turn(2))
    harness.start()
    harness.run()
    assert len(harness.documents()) == 3


def test_records_that_retention_deleted_first_are_reported(harness: Harness) -> None:
    """The note says how many offsets, and what adds their turns."""
    harness.log(turn(0))
    harness.run()
    harness.topics.first = 5
    harness.start()
    harness.run()
    (note,) = (note for note in harness.health()["notes"] if TURN_TOPIC in note)
    assert "4 offsets" in note
    assert "kogpt2-chat index" in note


def test_the_lag_is_the_age_of_the_oldest_record_that_is_not_written(harness: Harness) -> None:
    """It is unknown at first, grows while the search server is away, and is 0 once nothing is left."""
    assert harness.health()["lag_s"] is None
    harness.run()
    assert harness.health()["lag_s"] == 0.0
    harness.log(turn(0))
    (record,) = harness.broker.all(TURN_TOPIC)
    with ExitStack() as stack:
        harness.indexer.open(stack)
        harness.index.away = "no answer"
        with pytest.raises(Unavailable):
            harness.indexer.run_once()
    times = iter([datetime.fromtimestamp(record.timestamp_ms / 1000 + age, UTC) for age in (7.0, 9.0)])
    harness.progress.clock = lambda: next(times)
    assert harness.health()["lag_s"] == 7.0
    assert harness.health()["lag_s_by_topic"][TURN_TOPIC] == 9.0
    harness.index.away = ""
    harness.progress.clock = lambda: datetime.now(UTC)
    harness.run()
    assert harness.health()["lag_s"] == 0.0
    assert b'kogpt2_indexer_lag_seconds{topic="conversation_log"} 0.0' in harness.progress.page()


def test_the_lag_grows_while_nothing_can_be_read(harness: Harness) -> None:
    """What has come since a server went is not known: the lag is at least the time since then, and not 0."""
    harness.run()
    left_at = datetime(2026, 11, 28, 0, 0, tzinfo=UTC)
    harness.progress.clock = lambda: left_at
    harness.progress.works()
    harness.progress.fails("Kafka does not answer")
    harness.progress.clock = lambda: left_at + timedelta(seconds=40)
    assert harness.health()["lag_s"] == 40.0
    harness.progress.works()
    assert harness.health()["lag_s"] == 0.0


def test_an_indexer_waits_until_the_search_server_is_back(harness: Harness) -> None:
    """It is not ready meanwhile and says why; pauses grow up to a limit; it continues by itself."""
    harness.log(turn(0))
    pauses: list[float] = []

    def wait(seconds: float) -> bool:
        pauses.append(seconds)
        assert harness.health()["ready"] is False
        assert "no answer" in str(harness.health()["problems"])
        if len(pauses) == 7:
            harness.index.away = ""
        return False

    class Writer(DocumentWriter):
        def write(self, records: Sequence[Any]) -> None:
            super().write(records)
            harness.stop.set()

    harness.indexer.writer = Writer(
        index=harness.index, reader=harness.indexer.writer.reader, progress=harness.progress
    )
    harness.indexer.wait = wait
    harness.index.away = "no answer"
    indexer.loop.FIRST_PAUSE_S = 0.5  # the fixture restores it
    harness.indexer.run()
    assert pauses == [0.5, 1, 2, 4, 8, 10, 10]
    assert len(harness.documents()) == 1
    assert harness.health()["ready"]


def test_an_indexer_ends_while_it_waits_for_the_search_server(harness: Harness) -> None:
    """The adapter's pauses end with an exception as soon as the process must stop."""

    class Stubborn(InMemoryIndex):
        def put(self, index: IndexName, documents: Documents) -> PutResult:
            raise Stopping

    harness.index = Stubborn()
    harness.start()
    harness.log(turn(0))
    harness.indexer.run()
    assert harness.positions() == {}


def test_a_silent_indexer_is_not_ready(harness: Harness) -> None:
    """A call does not return: nothing else would show it."""
    harness.run()
    assert harness.health()["ready"]
    harness.seconds += 500
    assert harness.health()["problems"] == ["no progress for 500 s"]


def numbers(page: bytes, prefix: str) -> Iterator[str]:
    return (line for line in page.decode().splitlines() if line.startswith(prefix))


def test_the_metrics_have_no_text_of_a_player(harness: Harness) -> None:
    """Labels are indices, topics and reasons."""
    harness.log(turn(0, text="비밀"), b"secret", turn(1, consent_store=False))
    harness.run()
    page = harness.progress.page()
    assert list(numbers(page, "kogpt2_indexer_unreadable_total")) == [
        'kogpt2_indexer_unreadable_total{topic="conversation_log"} 1.0'
    ]
    assert "비밀" not in page.decode()
    assert b"secret" not in page


def test_records_that_are_read_again_after_a_failure_are_counted_once(harness: Harness) -> None:
    """Otherwise a server that is away for long would look like many bad records."""
    harness.index = FailingOnce()
    harness.start()
    harness.index.fails_at = TURN_INDEX
    harness.log(b"nothing", turn(0, text=CRISIS, fallback="safety"), turn(1, consent_store=False), turn(2))
    with pytest.raises(Unavailable):
        harness.run()
    harness.run()
    assert harness.health()["unreadable"] == {TURN_TOPIC: 1}
    assert harness.health()["left_out"] == {NO_CONSENT: 1, "safety": 1}
