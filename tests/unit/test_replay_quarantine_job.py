"""Replay of quarantined records: which ones are stored, each only once, and which stay in quarantine."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from kogpt2_chat.cli.quarantine import quarantine_text
from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.domain.lake.quarantine import quarantine_row, waiting
from kogpt2_chat.errors import InvalidInput
from kogpt2_chat.jobs.ingest import ingest
from kogpt2_chat.jobs.replay_quarantine import ReplayQuarantineResult, replay_quarantine
from kogpt2_chat.lake import read_records
from kogpt2_chat.ports import Outgoing
from kogpt2_chat.settings import Settings
from kogpt2_chat.testing.delta import InMemoryTables
from kogpt2_chat.testing.kafka import Broker, InMemoryTopics
from tests.simulated_kill import SimulatedKill
from tests.unit.test_ingest_faults import FEEDBACK_BODY, put
from tests.unit.test_ingest_job import log, turn

NOW = datetime(2026, 11, 24, 3, tzinfo=UTC)


@pytest.fixture
def tables() -> InMemoryTables:
    """A lake after an ingest of two turns of an unknown bot, two unreadable records and a valid turn."""
    broker, tables = Broker(), InMemoryTables()
    topics = InMemoryTopics(broker)
    topics.ensure()
    log(
        topics,
        turn("t1", bot="ChatbotD", question_id="01012345678", answer="010-1234-5678로 해요"),
        turn("t2", bot="ChatbotD"),
        b'{"truncated',
        turn("t4"),
    )
    topics.send([Outgoing(topic="feedback", key=b"p", value=b'{"v": 2}')])
    ingest(topics=topics, tables=tables, settings=Settings())
    return tables


def upgrade(monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulate a release that knows the fourth bot."""
    monkeypatch.setattr(read_records, "BOT_IDS", (*BOT_IDS, "ChatbotD"))


def replay(tables: InMemoryTables, **options: Any) -> ReplayQuarantineResult:
    return replay_quarantine(tables=tables, progress=lambda _: None, **options)


def turn_ids(tables: InMemoryTables) -> list[str]:
    return sorted(str(row["turn_id"]) for row in tables.read("turns"))


def test_readable_records_are_stored_once_and_marked(tables: InMemoryTables, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other records stay in quarantine."""
    assert replay(tables).readable == {}
    upgrade(monkeypatch)
    result = replay(tables)
    assert result.waiting == {"schema": 2, "unknown_bot": 2}
    assert result.readable == {"unknown_bot": 2}
    assert result.still == {"schema": 2}
    assert result.stored == {"feedback": 0, "turns": 2}
    assert turn_ids(tables) == ["t1", "t2", "t4"]
    again = replay(tables)
    assert (again.waiting, again.stored) == ({"schema": 2}, {"feedback": 0, "turns": 0})
    assert turn_ids(tables) == ["t1", "t2", "t4"]
    assert len(waiting(tables.read("quarantine"))) == 2


def test_ids_are_kept_and_personal_details_are_masked(tables: InMemoryTables, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both hold in quarantine and in the table. An id that looks like a telephone number still matches its question."""
    assert all("010-1234-5678" not in str(row["value"]) for row in tables.read("quarantine"))
    upgrade(monkeypatch)
    replay(tables)
    (found,) = [row for row in tables.read("turns") if row["turn_id"] == "t1"]
    assert (found["question_id"], found["answer"]) == ("01012345678", "[전화번호]로 해요")


def test_a_dry_run_changes_nothing(tables: InMemoryTables, monkeypatch: pytest.MonkeyPatch) -> None:
    """The report has the number of records that a run would store."""
    upgrade(monkeypatch)
    before = tables.table_version("turns"), tables.table_version("quarantine")
    result = replay(tables, dry_run=True)
    assert result.readable == {"unknown_bot": 2}
    assert (tables.table_version("turns"), tables.table_version("quarantine")) == before
    text = quarantine_text(result)
    assert "4 records in quarantine (schema 2, unknown_bot 2)" in text
    assert "can be stored now: 2 (unknown_bot 2)" in text


def test_reasons_can_be_selected(tables: InMemoryTables, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records with other reasons stay in quarantine, even if they are readable."""
    upgrade(monkeypatch)
    assert replay(tables, reasons=("schema",)).stored == {"feedback": 0, "turns": 0}
    assert turn_ids(tables) == ["t4"]


def test_a_replay_killed_before_it_marks_the_records_is_finished_by_the_next(
    tables: InMemoryTables, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table shows which rows are already stored."""
    upgrade(monkeypatch)
    append = tables.append

    def fail_at_quarantine(table: str, *arguments: Any) -> bool:
        if table == "quarantine":
            raise SimulatedKill
        return append(table, *arguments)

    monkeypatch.setattr(tables, "append", fail_at_quarantine)
    with pytest.raises(SimulatedKill):
        replay(tables)
    monkeypatch.setattr(tables, "append", append)
    assert replay(tables).stored == {"feedback": 0, "turns": 0}
    assert turn_ids(tables) == ["t1", "t2", "t4"]
    assert replay(tables).readable == {}


def test_rows_of_an_earlier_release_can_be_replayed(tables: InMemoryTables, monkeypatch: pytest.MonkeyPatch) -> None:
    """They have no timestamp of the broker, and their value has the form of that release."""
    body = {"v": 1, "feedback_id": "f", "turn_id": "t", "player_id": "p", "kind": "clap", "sent_at": "x"}
    row = quarantine_row(
        "feedback", "schema: kind", json.dumps(body).encode(), partition=1, offset=5, ingested_at=NOW, timestamp_ms=None
    )
    tables.append("quarantine", [row], {}, {})
    assert replay(tables).stored["feedback"] == 1
    (found,) = tables.read("feedback")
    assert (found["kind"], found["received_at"]) == ("clap", NOW)


SECRET = "비밀 이야기"


@pytest.mark.parametrize(
    "other",
    [{"bot": "ChatbotD"}, {"turn_id": ""}, {"turn_id": "x" * 600}, {"v": 2}, {"v": SECRET}, {"latency_ms": "soon"}, {"extra": {"a": "x" * 200_000}}],
)  # fmt: skip
def test_turns_without_consent_to_store_leave_quarantine_and_are_not_stored(
    other: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The text is not stored in any table, whatever else is wrong with the record."""
    broker, tables = Broker(), InMemoryTables()
    topics = InMemoryTopics(broker)
    topics.ensure()
    refused = json.loads(turn("t1", text=SECRET, answer=SECRET, consent_store=False).to_json()) | other
    log(topics, json.dumps(refused, ensure_ascii=False).encode())
    ingest(topics=topics, tables=tables, settings=Settings())
    assert SECRET not in str([tables.read("turns"), tables.read("quarantine")])
    upgrade(monkeypatch)
    result = replay(tables)
    assert (result.readable, result.stored) == (result.waiting, {"feedback": 0, "turns": 0})
    assert replay(tables).waiting == {}


@pytest.mark.parametrize("timestamp_ms", [-1, -14_000_000_000_000, -(10**15), 10**15, 2**62])
def test_feedback_with_an_absurd_timestamp_can_leave_quarantine(timestamp_ms: int) -> None:
    """Clients set the timestamp. The time of the ingest replaces it."""
    broker, tables = Broker(), InMemoryTables()
    topics = InMemoryTopics(broker)
    topics.ensure()
    put(broker, "feedback", json.dumps(FEEDBACK_BODY).encode(), timestamp_ms)
    ingest(topics=topics, tables=tables, settings=Settings())
    (kept,) = tables.read("quarantine")
    assert replay(tables).stored["feedback"] == 1
    (found,) = tables.read("feedback")
    assert found["received_at"] == kept["ingested_at"].replace(
        microsecond=kept["ingested_at"].microsecond // 1000 * 1000
    )
    assert replay(tables).stored["feedback"] == 0


def test_an_unknown_reason_is_refused_with_the_existing_ones(tables: InMemoryTables) -> None:
    """Otherwise the empty result would look like an empty quarantine. The command exits with 2."""
    with pytest.raises(InvalidInput, match=r"reason shema; expected schema, too_large, unknown_bot, unreadable"):
        replay(tables, reasons=("schema", "shema"))


def test_a_reason_of_another_release_can_be_selected(tables: InMemoryTables) -> None:
    """The reasons of records in quarantine are accepted, and those of this release even if the quarantine is empty."""
    row = quarantine_row("bot_answer", "of_tomorrow: x", b"{}", partition=0, offset=9, ingested_at=NOW)
    tables.append("quarantine", [row], {"test": 1})
    assert replay(tables, reasons=("of_tomorrow",)).readable == {}
    assert replay(InMemoryTables(), reasons=("unreadable",)).waiting == {}


def test_a_report_without_readable_records_does_not_mention_stored_ones(tables: InMemoryTables) -> None:
    """It must not claim that the others were already stored."""
    assert "stored" not in quarantine_text(replay(tables))
