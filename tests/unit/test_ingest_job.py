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


def say(topics: InMemoryTopics, turn_id: str, kind: str, text: str | None = None) -> None:
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
    """With position and Seoul date; a second run commits nothing."""
    log(topics, turn("t1"), turn("t2", received_at="2026-11-24T15:30:00+00:00", decoding={"k": 1}))
    say(topics, "t1", "correction", "내 번호는 010-1234-5678이야")
    result = run(topics, tables)
    assert result["turns"]["rows"] == 2
    assert {(row["turn_id"], row["date"]) for row in tables.read("turns")} == {
        ("t1", "2026-11-24"),
        ("t2", "2026-11-25"),
    }
    (feedback,) = tables.read("feedback")
    assert feedback["text"] == "내 번호는 [전화번호]이야"
    assert feedback["pii_hits"] == 1
    version = tables.version("turns")
    assert run(topics, tables)["turns"]["commits"] == 0
    assert tables.version("turns") == version


def test_a_turn_without_consent_to_storing_is_skipped(topics: InMemoryTopics, tables: InMemoryTables) -> None:
    """It is counted, not stored, and not read again."""
    log(topics, turn("t1", consent_store=False), turn("t2"))
    assert run(topics, tables)["turns"]["left_out"] == {"no_consent_to_store": 1}
    assert [row["turn_id"] for row in tables.read("turns")] == ["t2"]
    assert run(topics, tables)["turns"]["left_out"] == {}


def test_an_unreadable_record_is_quarantined(topics: InMemoryTopics, tables: InMemoryTables) -> None:
    """Not JSON, not UTF-8, a number too large, an unknown bot: none stops the others, and each is kept once."""
    log(topics, b"{", b"\xff\xfe", turn("t1", latency_ms=2**70), turn("t2", bot="ChatbotZ"), turn("t3"))
    result = run(topics, tables)
    assert result["turns"]["left_out"] == {"malformed:schema": 3, "malformed:unknown_bot": 1}
    assert [row["turn_id"] for row in tables.read("turns")] == ["t3"]
    run(topics, tables)
    assert len(tables.read("quarantine")) == 4


def test_a_lone_surrogate_does_not_stop_the_run(topics: InMemoryTopics, tables: InMemoryTables) -> None:
    """JSON can contain half a character; the table gets a question mark for it."""
    log(topics, turn("t1").to_json().replace("안녕", "안녕\\ud800").encode())
    run(topics, tables)
    assert tables.read("turns", ["text"]) == [{"text": "안녕?"}]


def test_a_large_window_is_read_in_commits_of_bounded_size(topics: InMemoryTopics, tables: InMemoryTables) -> None:
    """The rows are the same with more commits."""
    log(topics, *(turn(f"t{n}") for n in range(100)))
    result = run(topics, tables, Settings(kafka=Kafka(ingest_batch=24)))
    assert result["turns"]["rows"] == 100
    assert int(str(result["turns"]["commits"])) > 3
    assert len({row["turn_id"] for row in tables.read("turns")}) == 100


def test_two_concurrent_ingests_write_each_row_once(topics: InMemoryTopics, tables: InMemoryTables) -> None:
    """If the second commits between the first one's plan and commit, the first one still succeeds."""
    log(topics, *(turn(f"t{n}") for n in range(10)))

    def other() -> None:
        tables.before_commit = lambda: None
        log(topics, turn("later"))
        run(topics, tables)

    tables.before_commit = other
    run(topics, tables)
    turn_ids = [str(row["turn_id"]) for row in tables.read("turns")]
    assert sorted(turn_ids) == sorted([*(f"t{n}" for n in range(10)), "later"])


def test_an_ingest_that_reads_some_of_the_same_records_duplicates_nothing(
    topics: InMemoryTopics, tables: InMemoryTables, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It commits half of this run's first part after the plan was made, and is killed. This run plans again."""
    log(topics, *(turn(f"t{n}") for n in range(40)), b"{")
    read, append, commits = topics.read, tables.append, []

    class Killed(Exception):
        pass

    def append_once(table: str, *arguments: object) -> bool:
        if table == "turns" and "turns" in commits:
            raise Killed
        commits.append(table)
        return append(table, *arguments)  # type: ignore[arg-type]

    def interrupted(*arguments: object) -> object:
        monkeypatch.setattr(topics, "read", read)
        monkeypatch.setattr(tables, "append", append_once)
        with pytest.raises(Killed):
            run(topics, tables, Settings(kafka=Kafka(ingest_batch=12)))
        monkeypatch.setattr(tables, "append", append)
        return read(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(topics, "read", interrupted)
    run(topics, tables, Settings(kafka=Kafka(ingest_batch=24)))
    turn_ids = [str(row["turn_id"]) for row in tables.read("turns")]
    assert "turns" in commits
    assert sorted(turn_ids) == sorted(f"t{n}" for n in range(40))
    assert len(tables.read("quarantine")) == 1


def test_positions_of_another_topic_are_not_taken_for_this_ones(
    topics: InMemoryTopics, tables: InMemoryTables, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another run reads a topic that was created again just after this run looked at it. The next run succeeds."""
    log(topics, turn("old"))

    def overtaken(*arguments: object) -> object:
        monkeypatch.undo()
        place = sync_topic(*arguments)  # type: ignore[arg-type]
        broker.create("conversation_log", 12)
        log(topics, turn("new"))
        run(topics, tables)
        return place

    monkeypatch.setattr("kogpt2_chat.jobs.ingest.sync_topic", overtaken)
    with pytest.raises(PlanOutdated, match="another topic named conversation_log"):
        run(topics, tables)
    log(topics, turn("newer"))
    run(topics, tables)
    assert [row["turn_id"] for row in tables.read("turns")] == ["new", "newer"]


def test_a_run_killed_between_quarantine_and_rows_loses_and_duplicates_nothing(
    topics: InMemoryTopics, tables: InMemoryTables
) -> None:
    """The next run may plan a longer window; records already in quarantine are not added again."""

    class Killed(Exception):
        pass

    log(topics, b"{", turn("t1"))
    append = tables.append

    def dying(table: str, *arguments: object) -> bool:
        if table == "turns":
            raise Killed
        return append(table, *arguments)  # type: ignore[arg-type]

    tables.append = dying  # type: ignore[method-assign]
    with pytest.raises(Killed):
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
    say(topics, "t1", "up")
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
