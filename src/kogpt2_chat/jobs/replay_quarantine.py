"""Store quarantined records that can be stored now, for example after an upgrade or once their bot exists.

Stored rows are then marked in ``quarantine``. If a call is killed between the two steps, the next one finishes it: it
sees in the table which rows are already stored.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final, cast

from kogpt2_chat.domain.chat.signing import UNSIGNED, SigningKeys
from kogpt2_chat.domain.lake.layout import QUARANTINE, Table
from kogpt2_chat.domain.lake.quarantine import (
    RecordPosition,
    Row,
    check_reasons,
    position_of,
    reason_word,
    replayed_row,
    sent_ms,
    waiting,
)
from kogpt2_chat.errors import InvalidMessage
from kogpt2_chat.lake.read_records import TABLE_BY_TOPIC, RecordReader
from kogpt2_chat.ports import Record, Tables

_COUNTER: Final = "{table}/quarantine"
"""App id under which a table counts its replays. Two concurrent replays both move it, so the second one fails."""
_NOTHING: Final[Mapping[RecordPosition, str]] = MappingProxyType({})
_ID: Final[Mapping[str, str]] = {"turns": "turn_id", "feedback": "feedback_id"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayQuarantineResult:
    """The outcome for all records in quarantine.

    Attributes:
        waiting: records not replayed yet, by reason.
        mended: selected records read with a corrected value.
        readable: selected records that can be stored now, by reason.
        still: selected records that still cannot be read, by the reason that applies now.
        stored: rows stored, by table.
        dry_run: whether the records were only read and counted.
    """

    waiting: Mapping[str, int]
    mended: int
    readable: Mapping[str, int]
    still: Mapping[str, int]
    stored: Mapping[str, int]
    dry_run: bool


@dataclass(slots=True)
class _QuarantineCounts:
    """What happened to the rows in quarantine.

    Attributes:
        waiting: rows not replayed yet, by reason.
        mended: rows read with a corrected value.
        readable: selected rows that can be stored now, by reason.
        still: selected rows that still cannot be read, by the reason that applies now.
    """

    waiting: Counter[str] = field(default_factory=Counter)
    mended: int = 0
    readable: Counter[str] = field(default_factory=Counter)
    still: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Readable:
    """A quarantined row that can be read now.

    Attributes:
        kept: the row in quarantine.
        row: the row to store; None if the player does not consent to storing.
    """

    kept: Row
    row: Mapping[str, object] | None


def replay_quarantine(
    *,
    tables: Tables,
    progress: Callable[[str], None],
    reasons: Sequence[str] = (),
    mended: Mapping[RecordPosition, str] = _NOTHING,
    dry_run: bool = False,
    keys: SigningKeys = UNSIGNED,
    now: datetime | None = None,
) -> ReplayQuarantineResult:
    """Store the records that can be stored now, each exactly once, and mark them as replayed.

    Args:
        tables: the lake.
        progress: called with a line on each step.
        reasons: the reasons to select, by their first word; all by default.
        mended: corrected values by record identity, read instead of the quarantined ones.
        dry_run: whether to read and count without changing anything.
        keys: the keys that verify feedback. A masked or corrected value no longer has a valid signature.
        now: the time; tests replace it.

    Returns:
        Counts of the records by outcome.

    Raises:
        InvalidInput: a selected reason is unknown; the message lists the known ones.
        PlanOutdated: another replay runs at the same time. Nothing is stored twice; run the command again.
    """
    at, counts = now or datetime.now(UTC), _QuarantineCounts()
    rows = waiting(tables.read(QUARANTINE.name))
    check_reasons(reasons, rows)
    progress(f"{len(rows)} records in quarantine")
    readable = list(_readable(rows, reasons, mended, RecordReader(ingested_at=at, keys=keys), counts))
    stored: dict[str, int] = {table.name: 0 for table in TABLE_BY_TOPIC.values()}
    if not dry_run:
        for table in TABLE_BY_TOPIC.values():
            stored[table.name] = _store(
                table, [one for one in readable if one.kept["topic"] == table.topic], tables, at
            )
    return ReplayQuarantineResult(
        waiting=dict(sorted(counts.waiting.items())),
        mended=counts.mended,
        readable=dict(sorted(counts.readable.items())),
        still=dict(sorted(counts.still.items())),
        stored=stored,
        dry_run=dry_run,
    )


def _readable(
    rows: Sequence[Row],
    reasons: Sequence[str],
    mended: Mapping[RecordPosition, str],
    reader: RecordReader,
    counts: _QuarantineCounts,
) -> list[_Readable]:
    found = []
    for kept in rows:
        reason = reason_word(kept)
        counts.waiting[reason] += 1
        if reasons and reason not in reasons:
            continue
        counts.mended += position_of(kept) in mended
        value = None if kept["value"] is None else mended.get(position_of(kept), str(kept["value"]))
        try:
            row = None if value is None else reader.read(_record(kept, value))
        except InvalidMessage as error:
            counts.still[error.reason] += 1
            continue
        counts.readable[reason] += 1
        found.append(_Readable(kept=kept, row=row))
    return found


def _record(kept: Row, value: str) -> Record:
    """Rebuild the record of a row from its quarantined (masked) or corrected value."""
    return Record(
        topic=str(kept["topic"]),
        partition=cast("int", kept["kafka_partition"]),
        offset=cast("int", kept["kafka_offset"]),
        key=None,
        value=value.encode("utf-8", "replace"),
        timestamp_ms=sent_ms(kept),
    )


def _store(table: Table, chosen: Sequence[_Readable], tables: Tables, at: datetime) -> int:
    """Store the rows, then mark them as replayed; return the number of rows stored."""
    if not chosen:
        return 0
    counter = _COUNTER.format(table=table.name)
    counted = tables.positions(table.name, [counter])
    columns = (_ID[table.name], "kafka_partition", "kafka_offset", "received_at")
    stored = {tuple(row[name] for name in columns) for row in tables.read(table.name, columns)}
    # Two ingest runs may have put the same record in quarantine.
    found = {tuple(one.row[name] for name in columns): one.row for one in chosen if one.row is not None}
    rows = [row for key, row in found.items() if key not in stored]
    if rows:
        tables.append(table.name, rows, {counter: counted.get(counter, 0) + 1}, counted)
    marks = f"{QUARANTINE.name}/replays"
    marked = tables.positions(QUARANTINE.name, [marks])
    tables.append(
        QUARANTINE.name, [replayed_row(one.kept, at) for one in chosen], {marks: marked.get(marks, 0) + 1}, marked
    )
    return len(rows)
