"""Correction of quarantined records by hand: show, edit and store them."""

import json
from pathlib import Path
from typing import Any

import pytest

from kogpt2_chat.cli.quarantine import quarantine_text, records_text
from kogpt2_chat.errors import InvalidInput
from kogpt2_chat.jobs.ingest import ingest
from kogpt2_chat.jobs.replay_quarantine import ReplayQuarantineResult, replay_quarantine
from kogpt2_chat.jobs.show_quarantine import show_quarantine
from kogpt2_chat.lake.corrected_records import corrected_records
from kogpt2_chat.ports import Outgoing
from kogpt2_chat.settings import Settings
from kogpt2_chat.testing.delta import InMemoryTables
from kogpt2_chat.testing.kafka import Broker, InMemoryTopics
from tests.unit.test_ingest_faults import FEEDBACK_BODY
from tests.unit.test_ingest_job import log, turn

LARGE = json.dumps({**json.loads(turn("large").to_json()), "extra": {"log": "x" * 200_000}}).encode()
TRUNCATED = json.dumps(FEEDBACK_BODY, ensure_ascii=False).encode()[:-20]


@pytest.fixture
def tables() -> InMemoryTables:
    """A lake after an ingest that quarantined five records."""
    broker, tables = Broker(), InMemoryTables()
    topics = InMemoryTopics(broker)
    topics.ensure()
    refused = {**json.loads(turn("no", consent_store=False).to_json()), "v": 2}
    crisis = {**json.loads(turn("safe", text="죽고 싶어").to_json()), "v": 2}
    vetted = {**json.loads(turn("vetted", text="음", fallback="safety").to_json()), "v": 2}
    log(topics, LARGE, *(json.dumps(body, ensure_ascii=False).encode() for body in (refused, crisis, vetted)))
    topics.send([Outgoing(topic="feedback", key=b"p", value=TRUNCATED)])
    ingest(topics=topics, tables=tables, settings=Settings())
    return tables


def replay(tables: InMemoryTables, **options: Any) -> ReplayQuarantineResult:
    return replay_quarantine(tables=tables, progress=lambda _: None, **options)


def shown(tables: InMemoryTables, *reasons: str) -> list[dict[str, Any]]:
    text = records_text(show_quarantine(tables=tables, reasons=reasons))
    return [json.loads(line) for line in text.splitlines()]


def correct(records: list[dict[str, Any]], path: Path) -> Path:
    """Correct the records as an operator would: shorten the large one and complete the truncated one."""
    for record in records:
        if isinstance(record.get("value"), dict):
            record["value"]["extra"] = {}
        elif "value" in record:
            record["value"] = FEEDBACK_BODY
    path.write_text("\n\n".join(json.dumps(record, ensure_ascii=False) for record in records), encoding="utf-8-sig")
    return path


def test_corrected_records_are_stored_once(tables: InMemoryTables, tmp_path: Path) -> None:
    """The corrected value replaces the quarantined one, and the position of the record stays the same."""
    assert replay(tables).stored == {"feedback": 0, "turns": 0}
    mended = corrected_records(correct(shown(tables), tmp_path / "records.jsonl"))
    assert replay(tables, mended=mended, dry_run=True).readable == {"schema": 1, "too_large": 1}
    result = replay(tables, mended=mended)
    assert (result.mended, result.stored) == (2, {"feedback": 1, "turns": 1})
    assert "corrected: 2 of them" in quarantine_text(result)
    assert [row["turn_id"] for row in tables.read("turns")] == ["large"]
    again = replay(tables, mended=mended)
    assert (again.mended, again.stored) == (0, {"feedback": 0, "turns": 0})


def test_texts_about_a_crisis_or_without_consent_are_hidden(tables: InMemoryTables) -> None:
    """Only `review-safety` opens texts about a crisis. Without consent to store, the text was not stored."""
    hidden = [record["hidden"] for record in shown(tables, "schema") if "hidden" in record]
    assert sorted(hidden) == ["may be about a crisis", "may be about a crisis", "no consent to store"]
    assert "죽고" not in str(shown(tables))


def test_texts_that_an_earlier_release_stored_without_consent_are_hidden(tables: InMemoryTables) -> None:
    """They are in the table, but must not appear in the output."""
    (row,) = [row for row in tables.read("quarantine") if str(row["reason"]).startswith("too_large")]
    body = json.dumps({"consent_store": False, "text": "비밀"}, ensure_ascii=False)
    tables.append("quarantine", [{**row, "kafka_offset": 99, "value": body}], {})
    assert "비밀" not in str(shown(tables))


def test_only_the_selected_reasons_are_shown(tables: InMemoryTables) -> None:
    """The output has the position of each record."""
    (record,) = shown(tables, "too_large")
    assert (record["topic"], record["value"]["turn_id"]) == ("conversation_log", "large")
    assert {"partition", "offset", "came", "reason"} < set(record)


@pytest.mark.parametrize(
    "line", ['{"value": ', "[]", '{"value": {}}', '{"topic": "turns", "partition": 0, "offset": "x", "came": "2026-01-01", "value": 1}'],
)  # fmt: skip
def test_a_malformed_file_is_refused_with_the_line_number(tmp_path: Path, line: str) -> None:
    """The file is checked before anything is stored."""
    path = tmp_path / "records.jsonl"
    path.write_text(f"\n{line}\n", encoding="utf-8")
    with pytest.raises(InvalidInput, match=r"records.jsonl does not have the form.*\n.*line 2: "):
        corrected_records(path)


def test_the_error_names_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """Either the file does not exist, or it has another encoding."""
    with pytest.raises(InvalidInput, match="없는"):
        corrected_records(tmp_path / "없는.jsonl")
    (tmp_path / "old.jsonl").write_bytes("값".encode("cp949"))
    with pytest.raises(InvalidInput, match="old.jsonl is not UTF-8"):
        corrected_records(tmp_path / "old.jsonl")
