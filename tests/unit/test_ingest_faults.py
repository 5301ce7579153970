"""Input that must neither stop ingest nor make it lose records silently."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kogpt2_chat.cli.result_fields import fields_of
from kogpt2_chat.domain.chat.topics import TOPIC_BY_NAME
from kogpt2_chat.domain.chat.turns import Feedback
from kogpt2_chat.domain.lake.gaps import topic_app_id, topic_mark
from kogpt2_chat.domain.lake.layout import FEEDBACK, TURNS
from kogpt2_chat.errors import InvalidInput
from kogpt2_chat.jobs.ingest import ingest
from kogpt2_chat.ports import Outgoing
from kogpt2_chat.settings import Kafka, Settings
from kogpt2_chat.testing.delta import InMemoryTables
from kogpt2_chat.testing.kafka import Broker, InMemoryTopics
from tests.simulated_kill import SimulatedKill
from tests.unit.test_ingest_job import log, turn

SETTINGS = Settings(kafka=Kafka(ingest_batch=20_000))
FEEDBACK_BODY = {
    "v": 1,
    "feedback_id": "f",
    "turn_id": "t",
    "player_id": "p",
    "kind": "up",
    "sent_at": "2026-11-24T03:00:05+00:00",
    "text": "좋아",
    "extra": {},
}
TURN_BODY = {**json.loads(turn("t1").to_json()), "extra": {}, "session_id": "s", "sent_at": "2026-11-24T03:00:00Z"}
ODD = (
    st.sampled_from(
        [
            2**63, -(2**63) - 1, 2**70, 10**400, 1e308, float("nan"), float("inf"), True, None, "", "\ud800", "x\udfff",
            "\x00", "0001-01-01T00:00:00+14:00", "1526-01-01T00:00:00Z", "9999-12-31T23:59:59-12:00", "12345-01-01",
            [], {}, [2**64], [True], ["a"], {"\ud800": "\ud800"}, {"a": float("nan")}, "가" * 200_000, "010-1234-5678",
        ]
    )
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=20)
    | st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=3), st.lists, max_leaves=5)
)  # fmt: skip
TIMES = st.sampled_from(
    [-(10**15), -62_167_219_200_000, -1, 0, 253_402_300_800_000, 2**63 - 1, -(2**63)]
) | st.integers(-(2**63), 2**63 - 1)


def empty_platform() -> tuple[Broker, InMemoryTopics, InMemoryTables]:
    broker = Broker()
    topics = InMemoryTopics(broker)
    topics.ensure()
    return broker, topics, InMemoryTables()


def run(topics: InMemoryTopics, tables: InMemoryTables) -> dict[str, Any]:
    return fields_of(ingest(topics=topics, tables=tables, settings=SETTINGS))


def put(broker: Broker, topic: str, value: bytes | None, timestamp_ms: int, key: bytes | None = b"k") -> None:
    """Write a record with a given timestamp."""
    InMemoryTopics(broker).send([Outgoing(topic=topic, key=key, value=value, headers={"a": "\ufffd"})])
    for log_ in broker.logs[topic]:
        for offset, record in log_.records.items():
            if record.value == value:
                log_.records[offset] = replace(record, timestamp_ms=timestamp_ms)


def fits(row: Mapping[str, object]) -> bool:
    """Check that every library can write the row: text is UTF-8, numbers have 64 bits, years have four digits."""
    text = json.dumps(row, ensure_ascii=False, default=str)
    return bool(text.encode()) and all(
        abs(part) < 2**63
        for value in row.values()
        for part in (value if isinstance(value, list) else [value])
        if isinstance(part, int)
    )


@pytest.mark.parametrize("topic", [TURNS.topic, FEEDBACK.topic])
@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_record_is_stored_or_quarantined(topic: str, data: st.DataObject) -> None:
    """With any fields, times and keys there is no error and no loss, and the next record is read."""
    body: Mapping[str, object] = TURN_BODY if topic == TURNS.topic else FEEDBACK_BODY
    changes = data.draw(st.dictionaries(st.sampled_from([*body, "\ud800new"]), ODD, min_size=1, max_size=3))
    dropped = data.draw(st.sets(st.sampled_from([*body]), max_size=1))
    odd = {name: value for name, value in {**body, **changes}.items() if name not in dropped}
    broker, topics, tables = empty_platform()
    put(broker, topic, json.dumps(odd).encode(), data.draw(TIMES), data.draw(st.none() | st.binary(max_size=3)))
    good = {**body, "turn_id": "good"}
    topics.send([Outgoing(topic=topic, key=b"k", value=json.dumps(good).encode())])
    run(topics, tables)
    table = TURNS.name if topic == TURNS.topic else FEEDBACK.name
    stored, kept = tables.read(table), tables.read("quarantine")
    assert "good" in {row["turn_id"] for row in stored}
    assert len(stored) + len(kept) == 2 or changes.get("consent_store") is False
    assert all(fits(row) for row in [*stored, *kept])


@settings(max_examples=80, deadline=None)
@given(st.none() | st.binary(max_size=200), TIMES)
def test_any_bytes_are_quarantined(value: bytes | None, timestamp_ms: int) -> None:
    """This includes a record without a value, as in a compacted topic."""
    broker, topics, tables = empty_platform()
    put(broker, FEEDBACK.topic, value, timestamp_ms)
    run(topics, tables)
    (kept,) = tables.read("quarantine")
    assert fits(kept)


@pytest.mark.parametrize("depth", [900, 5000, 50_000])
def test_a_deeply_nested_record_is_stored_or_quarantined(depth: int) -> None:
    """The depths are below and above the limit of the JSON reader."""
    broker, topics, tables = empty_platform()
    nested = json.dumps(TURN_BODY)[:-1] + ', "deep": ' + "[" * depth + "]" * depth + "}"
    put(broker, TURNS.topic, nested.encode(), 0)
    assert run(topics, tables)["turns"]["rows"] + len(tables.read("quarantine")) == 1


def test_a_record_with_an_impossible_timestamp_is_quarantined() -> None:
    """A record dated before year 1, after 9999 or in 1526 does not stop the records after it."""
    broker, topics, tables = empty_platform()
    for number, timestamp_ms in enumerate([-(10**15), 10**15, -14_000_000_000_000]):
        put(broker, "feedback", json.dumps({**FEEDBACK_BODY, "feedback_id": f"f{number}"}).encode(), timestamp_ms)
    topics.send([Outgoing(topic="feedback", key=b"p", value=json.dumps(FEEDBACK_BODY).encode())])
    assert run(topics, tables)["feedback"]["rows"] == 1
    assert len(tables.read("quarantine")) == 3


def test_a_turn_id_that_the_index_refuses_is_quarantined() -> None:
    """Otherwise every index run would fail on it."""
    _, topics, tables = empty_platform()
    log(topics, turn("x" * 513), turn(""), turn("가" * 170))
    assert run(topics, tables)["turns"]["rows"] == 1


def test_the_broker_sets_the_timestamps_of_topics_from_clients() -> None:
    """A client's clock must decide neither the lake's times nor the retention of questions."""
    for name in (TURNS.topic, FEEDBACK.topic, "bot_question"):
        assert TOPIC_BY_NAME[name].configs["message.timestamp.type"] == "LogAppendTime"


def recreated_topics() -> InMemoryTopics:
    topics = InMemoryTopics(Broker())
    topics.ensure()
    return topics


@pytest.mark.parametrize("count", [1, 3, 8])
def test_a_recreated_topic_is_read_from_its_beginning(count: int) -> None:
    """It may have fewer or more records than before. Each record is stored once, and the loss is reported once."""
    _, topics, tables = empty_platform()
    log(topics, *(turn(f"old-{n}") for n in range(30)), b"{")
    run(topics, tables)
    recreated = recreated_topics()
    log(recreated, *(turn(f"new-{n}") for n in range(count * 20)), b"[")
    result = run(recreated, tables)
    assert result["turns"]["rows"] == count * 20
    assert {gap["reason"] for gap in result["lost"]} == {"topic_made_anew"}
    again = run(recreated, tables)
    assert (again["turns"]["rows"], again["lost"]) == (0, [])
    turn_ids = [row["turn_id"] for row in tables.read("turns")]
    assert len(turn_ids) == len(set(turn_ids)) == 30 + count * 20
    assert sorted(str(row["value"]) for row in tables.read("quarantine")) == ["[", "{"]


def test_an_empty_recreated_topic_is_detected() -> None:
    """Its later records are then read from the first one on."""
    _, topics, tables = empty_platform()
    log(topics, *(turn(f"old-{n}") for n in range(30)))
    run(topics, tables)
    recreated = recreated_topics()
    assert run(recreated, tables)["lost"]
    log(recreated, *(turn(f"new-{n}") for n in range(60)))
    assert run(recreated, tables)["turns"]["rows"] == 60


def test_a_run_killed_at_a_recreated_topic_loses_and_duplicates_nothing() -> None:
    """It may be killed before any of its commits. Each gap is reported once."""
    for commits in range(7):
        _, topics, tables = empty_platform()
        log(topics, *(turn(f"old-{n}") for n in range(30)), b"{")
        run(topics, tables)
        recreated = recreated_topics()
        log(recreated, *(turn(f"new-{n}") for n in range(60)), b"[")
        append, remaining = tables.append, [commits]

        def append_until_killed(*arguments: Any, append: Any = append, remaining: list[int] = remaining) -> bool:
            remaining[0] -= 1
            if remaining[0] < 0:
                raise SimulatedKill
            return bool(append(*arguments))

        tables.append = append_until_killed  # type: ignore[method-assign]
        reported = 0
        try:
            reported += len(run(recreated, tables)["lost"])
        except SimulatedKill:
            tables.append = append  # type: ignore[method-assign]
            reported += len(run(recreated, tables)["lost"])
        turn_ids = [row["turn_id"] for row in tables.read("turns")]
        assert len(turn_ids) == len(set(turn_ids)) == 90, commits
        assert len(tables.read("quarantine")) == 2
        assert reported == len(tables.read("gaps")) > 0, commits


def test_positions_of_an_earlier_release_are_adopted() -> None:
    """They have no topic id. They are used for the existing topic, and a later recreation is detected."""
    broker, topics, tables = empty_platform()
    log(topics, turn("t1"), turn("t2"))
    broker.topic_ids.update(dict.fromkeys(broker.topic_ids, ""))
    run(topics, tables)
    assert tables.positions("turns", [topic_app_id("turns", TURNS.topic)]) == {}
    upgraded = "6f0a1d9c-1f0e-4a53-9f7e-0c5d2c0b7a11"
    broker.topic_ids[TURNS.topic] = upgraded
    assert run(topics, tables)["turns"]["rows"] == 0
    assert tables.positions("turns", [topic_app_id("turns", TURNS.topic)]) == {
        topic_app_id("turns", TURNS.topic): topic_mark(upgraded)
    }
    recreated = recreated_topics()
    log(recreated, *(turn(f"new-{n}") for n in range(60)))
    assert run(recreated, tables)["turns"]["rows"] == 60


def test_a_topic_that_became_shorter_is_refused() -> None:
    """If a topic with the same id has fewer records, it is unknown which of them are new."""
    broker, topics, tables = empty_platform()
    log(topics, *(turn(f"t{n}") for n in range(30)))
    run(topics, tables)
    for partition in broker.logs[TURNS.topic]:
        partition.end = 0
        partition.records.clear()
    with pytest.raises(InvalidInput, match="lost records"):
        run(topics, tables)


def test_a_gap_of_a_killed_run_is_reported_by_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """The row is written before the positions move, so the next run can report it."""
    broker, topics, tables = empty_platform()
    topics.send([Outgoing(topic="feedback", key=b"p", value=b"lost")] * 3)
    partition = next(number for number, end in topics.end_positions("feedback").items() if end)
    broker.log("feedback", partition).records.clear()
    feedback = Feedback(feedback_id="f", turn_id="t", player_id="p", kind="up", sent_at="2026-11-24T03:00:05Z")
    topics.send([Outgoing(topic="feedback", key=b"p", value=feedback.to_json().encode())])
    starts, append = topics.start_positions, tables.append
    monkeypatch.setattr(
        topics, "start_positions", lambda topic: starts(topic) | ({partition: 3} if topic == "feedback" else {})
    )

    def append_unless_feedback(table: str, *arguments: Any) -> bool:
        if table == "feedback":
            raise SimulatedKill
        return bool(append(table, *arguments))

    monkeypatch.setattr(tables, "append", append_unless_feedback)
    with pytest.raises(SimulatedKill):
        run(topics, tables)
    monkeypatch.setattr(tables, "append", append)
    assert len(run(topics, tables)["lost"]) == 1
    assert run(topics, tables)["lost"] == []
    assert len(tables.read("gaps")) == 1
