"""Bring records out of quarantine that can be stored now: after an upgrade, with a bot that came later.

A row that went into its table is marked in ``quarantine``. A call that was killed between the two is finished by the
next one: it sees in the table itself what is there already.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Final, cast

from kogpt2_chat.domain.lake.layout import QUARANTINE, Table
from kogpt2_chat.domain.lake.mending import read_mended
from kogpt2_chat.domain.lake.quarantine import (
    Place,
    Row,
    check_reasons,
    place_of,
    reason_word,
    replayed_row,
    sent_ms,
    waiting,
)
from kogpt2_chat.domain.text.csv_text import decode
from kogpt2_chat.errors import InvalidInput, InvalidMessage
from kogpt2_chat.lake.read_records import TABLE_BY_TOPIC, read_record
from kogpt2_chat.ports import Record, Tables

_COUNTER: Final = "{table}/quarantine"
"""Under this name a table counts its replays, so that of two at once one is refused."""
_NOTHING: Final[Mapping[Place, str]] = MappingProxyType({})
_ID: Final[Mapping[str, str]] = {"turns": "turn_id", "feedback": "feedback_id"}


@dataclass(slots=True)
class _Tally:
    """What became of the rows that were looked at, by reason."""

    waiting: Counter[str] = field(default_factory=Counter)
    mended: int = 0
    readable: Counter[str] = field(default_factory=Counter)
    still: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Readable:
    """A quarantined row and what it is now; None where the player does not want it stored."""

    kept: Row
    row: Mapping[str, object] | None


def replay_quarantine(
    *,
    tables: Tables,
    progress: Callable[[str], None],
    reasons: Sequence[str] = (),
    mended: Mapping[Place, str] = _NOTHING,
    dry_run: bool = False,
    now: datetime | None = None,
) -> dict[str, object]:
    """Store what can be stored now, each record once, and mark it.

    Args:
        tables: the lake.
        progress: told what is read.
        reasons: which reasons to choose, by their first word; all by default.
        mended: values by place, read in place of those kept.
        dry_run: read and count, but change nothing.
        now: the time; tests bring their own.

    Returns:
        ``waiting`` (rows by reason), ``mended`` (how many of them), ``readable`` (of the chosen ones, by reason),
        ``still`` (by today's reason), ``stored`` (rows by table), ``dry_run``. A replay at the same time is a
        :class:`Conflict`: nothing is stored twice, the next call goes on.

    Raises:
        InvalidInput: a reason that no record has, with those there are.
    """
    at, tally = now or datetime.now(UTC), _Tally()
    rows = waiting(tables.read(QUARANTINE.name))
    check_reasons(reasons, rows)
    progress(f"{len(rows)} records in quarantine")
    readable = list(_readable(rows, reasons, mended, at, tally))
    stored = {table.name: 0 for table in TABLE_BY_TOPIC.values()}
    if not dry_run:
        for table in TABLE_BY_TOPIC.values():
            stored[table.name] = _store(
                table, [one for one in readable if one.kept["topic"] == table.topic], tables, at
            )
    return {
        "waiting": dict(sorted(tally.waiting.items())),
        "mended": tally.mended,
        "readable": dict(sorted(tally.readable.items())),
        "still": dict(sorted(tally.still.items())),
        "stored": stored,
        "dry_run": dry_run,
    }


def mended_records(path: Path) -> dict[Place, str]:
    """What somebody has mended.

    Args:
        path: a file of lines as `show-quarantine` prints them.

    Returns:
        Each record's value by its place.

    Raises:
        InvalidInput: the file cannot be read, or holds other lines.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"mended records {path} cannot be read: {error.strerror or error}") from error
    return read_mended(decode(content, str(path)), str(path))


def _readable(
    rows: Sequence[Row], reasons: Sequence[str], mended: Mapping[Place, str], at: datetime, tally: _Tally
) -> list[_Readable]:
    found = []
    for kept in rows:
        reason = reason_word(kept)
        tally.waiting[reason] += 1
        if reasons and reason not in reasons:
            continue
        tally.mended += place_of(kept) in mended
        value = None if kept["value"] is None else mended.get(place_of(kept), str(kept["value"]))
        try:
            row = None if value is None else read_record(_record(kept, value), at)
        except InvalidMessage as error:
            tally.still[error.reason] += 1
            continue
        tally.readable[reason] += 1
        found.append(_Readable(kept=kept, row=row))
    return found


def _record(kept: Row, value: str) -> Record:
    """The record that a row was made of, with personal details masked, or mended."""
    return Record(
        topic=str(kept["topic"]),
        partition=cast("int", kept["kafka_partition"]),
        offset=cast("int", kept["kafka_offset"]),
        key=None,
        value=value.encode("utf-8", "replace"),
        timestamp_ms=sent_ms(kept),
    )


def _store(table: Table, chosen: Sequence[_Readable], tables: Tables, at: datetime) -> int:
    """Rows first, marks after; how many rows."""
    if not chosen:
        return 0
    counter = _COUNTER.format(table=table.name)
    counted = tables.positions(table.name, [counter])
    columns = (_ID[table.name], "kafka_partition", "kafka_offset", "received_at")
    there = {tuple(row[name] for name in columns) for row in tables.read(table.name, columns)}
    # One record may stand in quarantine twice, of two runs.
    found = {tuple(one.row[name] for name in columns): one.row for one in chosen if one.row is not None}
    rows = [row for key, row in found.items() if key not in there]
    if rows:
        tables.append(table.name, rows, {counter: counted.get(counter, 0) + 1}, counted)
    marks = f"{QUARANTINE.name}/replays"
    marked = tables.positions(QUARANTINE.name, [marks])
    tables.append(
        QUARANTINE.name, [replayed_row(one.kept, at) for one in chosen], {marks: marked.get(marks, 0) + 1}, marked
    )
    return len(rows)
