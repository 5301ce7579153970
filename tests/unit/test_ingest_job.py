"""Ingest from Kafka to the lake, on in-memory doubles."""

import uuid
from collections.abc import Mapping

import pytest

from kogpt2_chat.cli.result_fields import fields_of
from kogpt2_chat.domain.chat.turns import Feedback, Turn
from kogpt2_chat.errors import PlanOutdated
from kogpt2_chat.jobs.ingest import ingest
from kogpt2_chat.lake.topic_positions import sync_topic
from kogpt2_chat.ports import Outgoing
from kogpt2_chat.settings import Kafka, Settings
from kogpt2_chat.testing.delta import InMemoryTables
from kogpt2_chat.testing.kafka import Broker, InMemoryTopics
from tests.simulated_kill import SimulatedKill

SETTINGS = Settings(kafka=Kafka(ingest_batch=20_000))


@pytest.fixture
def broker() -> Broker:
    broker = Broker()
    InMemoryTopics(broker).ensure()
    return broker


@pytest.fixture
def topics(broker: Broker) -> InMemoryTopics:
    return InMemoryTopics(broker)


@pytest.fixture
def tables() -> InMemoryTables:
    return InMemoryTables()


def turn(turn_id: str, **other: object) -> Turn:
    fields: dict[str, object] = {
        "turn_id": turn_id,
        "question_id": turn_id,
        "bot": "ChatbotA",
        "player_id": "legacy:별이",
        "sender": "별이",
        "text": "안녕",
        "answer": "어서 와요!",
        "received_at": "2026-11-24T03:00:00+00:00",
        "answered_at": "2026-11-24T03:00:01+00:00",
        "latency_ms": 12,
        "consent_store": True,
        "consent_train": True,
        "source": "v1",
        "worker": "worker-1",
    }
    return Turn(**(fields | other))  # type: ignore[arg-type]


def log(topics: InMemoryTopics, *turns: Turn | bytes) -> None:
    values = [turn if isinstance(turn, bytes) else turn.to_json().encode() for turn in turns]
    topics.send([Outgoing(topic="conversation_log", key=uuid.uuid4().bytes, value=value) for value in values])


def send_feedback(topics: InMemoryTopics, turn_id: str, kind: str, text: str | None = None) -> None:
    feedback = Feedback(
        feedback_id=f"f-{turn_id}",
        turn_id=turn_id,
        player_id="p",
        kind=kind,  # type: ignore[arg-type]
        text=text,
        sent_at="2026-11-24T03:00:05+00:00",
    )
    topics.send([Outgoing(topic="feedback", key=b"p", value=feedback.to_json().encode())])


def run(
    topics: InMemoryTopics, tables: InMemoryTables, settings: Settings = SETTINGS
) -> dict[str, Mapping[str, object]]:
    return fields_of(ingest(topics=topics, tables=tables, settings=settings))  # type: ignore[return-value]


def test_turns_and_feedback_are_stored_in_their_tables(topics: InMemoryTopics, tables: InMemoryTables) -> None:
    """Turns have their date in Seoul time. A second run commits nothing."""
    log(topics, turn("t1"), turn("t2", received_at="2026-11-24T15:30:00+00:00", decoding={"k": 1}))
    send_feedback(topics, "t1", "correction", "내 번호는 010-1234-5678이야")
    result = run(topics, tables)
    assert result["turns"]["rows"] == 2
    assert {(row["turn_id"], row["date"]) for row in tables.read("turns")} == {
        ("t1", "2026-11-24"),
        ("t2", "2026-11-25"),
    }
    (feedback,) = tables.read("feedback")
    assert feedback["text"] == "내 번호는 [전화번호]이야"
    assert feedback["pii_hits"] == 1
    table_version = tables.table_version("turns")
    assert run(topics, tables)["turns"]["commits"] == 0
    assert tables.table_version("turns") == table_version


def test_a_turn_without_consent_to_storing_is_skipped(topics: InMemoryTopics, tables: InMemoryTables) -> None:
    """It is counted, not stored, and not read again."""
    log(topics, turn("t1", consent_store=False), turn("t2"))
    assert run(topics, tables)["turns"]["left_out"] == {"no_consent_to_store": 1}
    assert [row["turn_id"] for row in tables.read("turns")] == ["t2"]
    assert run(topics, tables)["turns"]["left_out"] == {}


def test_an_unreadable_record_is_quarantined(topics: InMemoryTopics, tables: InMemoryTables) -> None:
    """It may not be JSON or UTF-8, or have too large a number or an unknown bot. Each one is kept once."""
    log(topics, b"{", b"\xff\xfe", turn("t1", latency_ms=2**70), turn("t2", bot="ChatbotZ"), turn("t3"))
    result = run(topics, tables)
    assert result["turns"]["left_out"] == {"malformed:schema": 3, "malformed:unknown_bot": 1}
    assert [row["turn_id"] for row in tables.read("turns")] == ["t3"]
    run(topics, tables)
    assert len(tables.read("quarantine")) == 4


def test_a_lone_surrogate_does_not_stop_the_run(topics: InMemoryTopics, tables: InMemoryTables) -> None:
    """JSON can contain half of a surrogate pair. The table gets a question mark instead."""
    log(topics, turn("t1").to_json().replace("안녕", "안녕\\ud800").encode())
    run(topics, tables)
    assert tables.read("turns", ["text"]) == [{"text": "안녕?"}]


def test_a_large_window_is_read_in_commits_of_bounded_size(topics: InMemoryTopics, tables: InMemoryTables) -> None:
    """The rows are the same, in more commits."""
    log(topics, *(turn(f"t{n}") for n in range(100)))
    result = run(topics, tables, Settings(kafka=Kafka(ingest_batch=24)))
    assert result["turns"]["rows"] == 100
    assert int(str(result["turns"]["commits"])) > 3
    assert len({row["turn_id"] for row in tables.read("turns")}) == 100


def test_two_concurrent_ingests_write_each_row_once(topics: InMemoryTopics, tables: InMemoryTables) -> None:
    """If the second run commits between the plan and the commit of the first, the first one still succeeds."""
    log(topics, *(turn(f"t{n}") for n in range(10)))

    def ingest_concurrently() -> None:
        tables.before_commit = lambda: None
        log(topics, turn("later"))
        run(topics, tables)

    tables.before_commit = ingest_concurrently
    run(topics, tables)
    turn_ids = [str(row["turn_id"]) for row in tables.read("turns")]
    assert sorted(turn_ids) == sorted([*(f"t{n}" for n in range(10)), "later"])


def test_an_ingest_that_reads_some_of_the_same_records_duplicates_nothing(
    topics: InMemoryTopics, tables: InMemoryTables, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After this run has planned, the other one commits half of its first part and is killed. This run plans again."""
    log(topics, *(turn(f"t{n}") for n in range(40)), b"{")
    read, append, commits = topics.read, tables.append, []

    def append_once(table: str, *arguments: object) -> bool:
        if table == "turns" and "turns" in commits:
            raise SimulatedKill
        commits.append(table)
        return append(table, *arguments)  # type: ignore[arg-type]

    def read_after_another_run(*arguments: object) -> object:
        monkeypatch.setattr(topics, "read", read)
        monkeypatch.setattr(tables, "append", append_once)
        with pytest.raises(SimulatedKill):
            run(topics, tables, Settings(kafka=Kafka(ingest_batch=12)))
        monkeypatch.setattr(tables, "append", append)
        return read(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(topics, "read", read_after_another_run)
    run(topics, tables, Settings(kafka=Kafka(ingest_batch=24)))
    turn_ids = [str(row["turn_id"]) for row in tables.read("turns")]
    assert "turns" in commits
    assert sorted(turn_ids) == sorted(f"t{n}" for n in range(40))
    assert len(tables.read("quarantine")) == 1


def test_positions_of_a_recreated_topic_are_not_used_for_the_old_one(
    topics: InMemoryTopics, tables: InMemoryTables, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The topic is recreated, and another run reads it, after this run has checked its id. The next run succeeds."""
    log(topics, turn("old"))

    def sync_before_another_run(*arguments: object) -> object:
        monkeypatch.undo()
        position = sync_topic(*arguments)  # type: ignore[arg-type]
        broker.create("conversation_log", 12)
        log(topics, turn("new"))
        run(topics, tables)
        return position

    monkeypatch.setattr("kogpt2_chat.jobs.ingest.sync_topic", sync_before_another_run)
    with pytest.raises(PlanOutdated, match="a different topic named conversation_log"):
        run(topics, tables)
    log(topics, turn("newer"))
    run(topics, tables)
    assert [row["turn_id"] for row in tables.read("turns")] == ["new", "newer"]


def test_a_run_killed_between_quarantine_and_rows_loses_and_duplicates_nothing(
    topics: InMemoryTopics, tables: InMemoryTables
) -> None:
    """The next run may plan a longer window. Records that are already in quarantine are not added again."""
    log(topics, b"{", turn("t1"))
    append = tables.append

    def append_unless_turns(table: str, *arguments: object) -> bool:
        if table == "turns":
            raise SimulatedKill
        return append(table, *arguments)  # type: ignore[arg-type]

    tables.append = append_unless_turns  # type: ignore[method-assign]
    with pytest.raises(SimulatedKill):
        run(topics, tables)
    tables.append = append  # type: ignore[method-assign]
    log(topics, b"[", turn("t2"))
    run(topics, tables)
    assert sorted(str(row["value"]) for row in tables.read("quarantine")) == ["[", "{"]
    assert sorted(str(row["turn_id"]) for row in tables.read("turns")) == ["t1", "t2"]


def test_records_deleted_by_retention_are_reported_as_a_gap(
    topics: InMemoryTopics, tables: InMemoryTables, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lost range is reported once, and reading continues after it."""
    topics.send([Outgoing(topic="feedback", key=b"p", value=b"lost")] * 3)
    partition = next(number for number, end in topics.end_positions("feedback").items() if end)
    broker.log("feedback", partition).records.clear()
    send_feedback(topics, "t1", "up")
    starts = topics.start_positions

    def retained(topic: str) -> dict[int, int]:
        return starts(topic) | ({partition: 3} if topic == "feedback" else {})

    monkeypatch.setattr(topics, "start_positions", retained)
    result = run(topics, tables)
    assert result["feedback"]["gaps"] == [{"partition": partition, "start": 0, "end": 3}]
    assert result["feedback"]["rows"] == 1
    assert [(gap["kafka_partition"], gap["start"], gap["end"]) for gap in result["lost"]] == [(partition, 0, 3)]
    again = run(topics, tables)
    assert again["feedback"]["gaps"] == again["lost"] == []
    (kept,) = tables.read("gaps")
    assert (kept["topic"], kept["start"], kept["end"], kept["reason"]) == ("feedback", 0, 3, "retention")
