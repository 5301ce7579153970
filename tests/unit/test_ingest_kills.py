"""Ingest runs killed between two commits lose nothing, duplicate nothing, and report each gap."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from kogpt2_chat.cli.result_fields import fields_of
from kogpt2_chat.domain.lake.layout import TURNS
from kogpt2_chat.jobs.ingest import ingest
from kogpt2_chat.jobs.replay_quarantine import replay_quarantine
from kogpt2_chat.lake import read_records
from kogpt2_chat.ports import Record
from kogpt2_chat.settings import Kafka, Settings
from kogpt2_chat.testing.delta import InMemoryTables
from kogpt2_chat.testing.kafka import Broker, InMemoryTopics
from tests.simulated_kill import SimulatedKill
from tests.unit.test_ingest_job import turn


@pytest.fixture
def tables() -> InMemoryTables:
    return InMemoryTables()


def new_broker() -> Broker:
    broker = Broker()
    InMemoryTopics(broker).ensure()
    return broker


def put(broker: Broker, partition: int, *values: bytes) -> None:
    """Write records to a given partition."""
    log = broker.log(TURNS.topic, partition)
    for value in values:
        log.records[log.end] = Record(
            topic=TURNS.topic,
            partition=partition,
            offset=log.end,
            key=None,
            value=value,
            timestamp_ms=1_790_000_000_000,
        )
        log.end += 1


def turns(*ids: str, bot: str = "ChatbotA") -> list[bytes]:
    return [turn(turn_id, bot=bot).to_json().encode() for turn_id in ids]


def run(broker: Broker, tables: InMemoryTables, batch: int = 20_000) -> dict[str, Any]:
    return fields_of(
        ingest(topics=InMemoryTopics(broker), tables=tables, settings=Settings(kafka=Kafka(ingest_batch=batch)))
    )


@contextmanager
def killed(tables: InMemoryTables, when: Callable[[str, int], bool]) -> Iterator[None]:
    """Kill the run in this block before the commit for which ``when(table, number of rows)`` is true."""
    append = tables.append

    def append_unless_killed(table: str, rows: Any, *others: Any) -> bool:
        if when(table, len(rows)):
            raise SimulatedKill
        return append(table, rows, *others)

    tables.append = append_unless_killed  # type: ignore[method-assign]
    try:
        with pytest.raises(SimulatedKill):
            yield
    finally:
        tables.append = append  # type: ignore[method-assign]


def before_rows(table: str, count: int) -> bool:
    """Select the commit of the readable rows, which follows the one of the quarantine."""
    return table == TURNS.name and count > 0


def test_a_record_is_quarantined_once_even_if_the_next_run_reads_smaller_parts(
    tables: InMemoryTables, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the next run another partition shares the batch. A replay stores each turn once."""
    broker = new_broker()
    others = [turn_id for turn_id in map("t{}".format, range(10)) if turn_id not in {"t1", "t8"}]
    first = turns(*others)
    first[1:1], first[8:8] = turns("t1", bot="ChatbotD"), turns("t8", bot="ChatbotD")
    put(broker, 0, *first)
    with killed(tables, before_rows):
        run(broker, tables, batch=12)
    second = turns(*(f"u{number}" for number in range(9)))
    second[1:1] = turns("u9", bot="ChatbotD")
    put(broker, 1, *second)
    run(broker, tables, batch=12)
    assert sorted(row["kafka_offset"] for row in tables.read("quarantine") if row["kafka_partition"] == 0) == [1, 8]
    monkeypatch.setattr(read_records, "BOT_IDS", (*read_records.BOT_IDS, "ChatbotD"))
    assert replay_quarantine(tables=tables, progress=lambda _: None).stored["turns"] == 3
    turn_ids = [row["turn_id"] for row in tables.read("turns")]
    assert len(turn_ids) == len(set(turn_ids)) == 20


def test_a_record_that_was_quarantined_twice_is_stored_once(
    tables: InMemoryTables, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Earlier releases could add two rows for one position that differ only in the run's time."""
    broker = new_broker()
    put(broker, 0, *turns("t1", bot="ChatbotD"))
    run(broker, tables)
    (row,) = tables.read("quarantine")
    tables.append("quarantine", [{**row, "ingested_at": row["ingested_at"].replace(year=2027)}], {}, {})  # type: ignore[attr-defined]
    monkeypatch.setattr(read_records, "BOT_IDS", (*read_records.BOT_IDS, "ChatbotD"))
    result = replay_quarantine(tables=tables, progress=lambda _: None)
    assert (result.waiting, result.stored["turns"]) == ({"unknown_bot": 2}, 1)
    assert [row["turn_id"] for row in tables.read("turns")] == ["t1"]
    assert replay_quarantine(tables=tables, progress=lambda _: None).waiting == {}


def test_a_topic_recreated_after_a_killed_first_run_is_read_completely(tables: InMemoryTables) -> None:
    """Only the quarantine had read the old topic. The rest of that topic is reported as lost."""
    old = new_broker()
    put(old, 0, *(b"{" for _ in range(40)), *turns("lost"))
    with killed(tables, before_rows):
        run(old, tables)
    recreated = new_broker()
    put(recreated, 0, *(b"[" for _ in range(12)))
    result = run(recreated, tables)
    assert [row["value"] for row in tables.read("quarantine")].count("[") == 12
    reported = [(gap["kafka_partition"], gap["start"], gap["end"], gap["reason"]) for gap in result["lost"]]
    assert reported == [(0, 0, None, "topic_made_anew")]
    assert run(recreated, tables)["lost"] == []


def retain_from(first: int, broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Delete the records of the first partition before an offset, as retention does."""
    log = broker.log(TURNS.topic, 0)
    log.records = {offset: record for offset, record in log.records.items() if offset >= first}
    monkeypatch.setattr(InMemoryTopics, "start_positions", lambda _, topic: {0: first} if topic == TURNS.topic else {})


def test_a_gap_that_grew_before_the_next_run_is_reported_once(
    tables: InMemoryTables, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each lost record is in one row, even if retention deletes more records before the next run."""
    broker = new_broker()
    put(broker, 0, *turns(*(f"t{number}" for number in range(10))))
    retain_from(3, broker, monkeypatch)
    with killed(tables, before_rows):
        run(broker, tables)
    retain_from(6, broker, monkeypatch)
    assert [(gap["start"], gap["end"]) for gap in run(broker, tables)["lost"]] == [(0, 3), (3, 6)]
    assert run(broker, tables)["lost"] == []
    assert len(tables.read("gaps")) == 2
