"""Kafka to the lake, each record exactly once.

A run is a fixed plan: for each partition from the position that the table has committed to the end that was
committed in the topic when the plan was made. Rows and positions move in one Delta commit, so a run that is
killed, retried or started twice leaves no gap and no double.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from kogpt2_chat.domain.bots import BOT_IDS
from kogpt2_chat.domain.lake_layout import (
    FEEDBACK,
    QUARANTINE,
    TURNS,
    Table,
    app_id,
    feedback_row,
    quarantine_row,
    turn_row,
)
from kogpt2_chat.domain.turns import Feedback, Turn
from kogpt2_chat.errors import Conflict, InvalidInput, InvalidMessage
from kogpt2_chat.ports import Record, Tables, Topics
from kogpt2_chat.settings import Settings

Window = Mapping[int, tuple[int, int]]
_REPLANS: Final = 5
_LARGEST_LONG: Final = 2**63 - 1


@dataclass(slots=True)
class _Tally:
    """What became of the records of one topic."""

    rows: int = 0
    commits: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    gaps: dict[int, tuple[int, int]] = field(default_factory=dict)


def ingest(*, topics: Topics, tables: Tables, settings: Settings) -> dict[str, object]:
    """Bring ``turns`` and ``feedback`` up to what their topics hold now.

    Records that cannot be read go to the table ``quarantine``; turns of players who do not want them stored
    are counted and passed over. Where the topic's retention has overtaken the table, the lost range is named
    under ``gaps`` and reading goes on behind it.

    Args:
        topics: Kafka.
        tables: the lake.
        settings: how many records one commit may hold.

    Returns:
        For each table: rows, commits, records left out by reason, gaps, end positions. Other writers that
        keep moving the same positions are a :class:`Conflict`; a table that has read further than its topic
        reaches is an :class:`InvalidInput`, since the topic was made anew.
    """
    batch, ingested_at = settings.kafka.ingest_batch, datetime.now(UTC)
    return {table.name: _ingest_table(table, topics, tables, batch, ingested_at) for table in (TURNS, FEEDBACK)}


def _ingest_table(table: Table, topics: Topics, tables: Tables, batch: int, ingested_at: datetime) -> dict[str, object]:
    ends, tally = topics.end_positions(table.topic), _Tally()
    conflicts = 0
    while window := _plan(table, topics, tables, ends, tally):
        for part in _parts(window, batch):
            try:
                _ingest_part(table, part, topics, tables, ingested_at, tally)
            except Conflict:
                conflicts += 1
                if conflicts > _REPLANS:
                    raise
                break  # somebody else is at the same work: see what is left of the plan
    return {
        "rows": tally.rows,
        "commits": tally.commits,
        "left_out": dict(sorted(tally.left_out.items())),
        "gaps": [{"partition": p, "start": start, "end": end} for p, (start, end) in sorted(tally.gaps.items())],
        "positions": {str(partition): end for partition, end in sorted(ends.items())},
    }


def _plan(table: Table, topics: Topics, tables: Tables, ends: Mapping[int, int], tally: _Tally) -> Window:
    """What is left to read, by partition: empty when the table has reached the ends."""
    ids = {partition: app_id(table.name, table.topic, partition) for partition in ends}
    committed = tables.positions(table.name, list(ids.values()))
    retained = topics.start_positions(table.topic)
    window = {}
    for partition, end in ends.items():
        position = committed.get(ids[partition], 0)
        if position > end and not _has_reached(topics, table.topic, partition, position):
            raise InvalidInput(
                f"table {table.name} has read {table.topic}/{partition} up to {position}, but the topic ends at {end}: "
                "it was made anew. Keep the lake and the topics together, or move the lake's folder away."
            )
        first = retained.get(partition, 0)
        if position < first:
            tally.gaps[partition] = (position, min(first, end))
        if position < end:
            window[partition] = (position, end)
    return window


def _has_reached(topics: Topics, topic: str, partition: int, position: int) -> bool:
    """Whether the topic has grown to a position that another ingest has read since our plan."""
    return topics.end_positions(topic).get(partition, 0) >= position


def _parts(window: Window, batch: int) -> Iterator[Window]:
    """The window in pieces of at most ``batch`` offsets, one commit each."""
    left = dict(window)
    while left:
        share = max(1, batch // len(left))
        part = {partition: (start, min(end, start + share)) for partition, (start, end) in left.items()}
        yield part
        left = {p: (part[p][1], end) for p, (_, end) in left.items() if part[p][1] < end}


def _ingest_part(
    table: Table, part: Window, topics: Topics, tables: Tables, ingested_at: datetime, tally: _Tally
) -> None:
    """One commit. The quarantine comes first: a run that ends in between does not read its rows again."""
    rows: list[dict[str, object]] = []
    bad: list[dict[str, object]] = []
    left_out: Counter[str] = Counter()
    for partition, (start, end) in part.items():
        for record in topics.read(table.topic, partition, start, end):
            try:
                row = _READERS[table.name](record, ingested_at)
            except InvalidMessage as error:
                left_out[f"malformed:{error.reason}"] += 1
                bad.append(_quarantined(record, f"{error.reason}: {error}", ingested_at))
                continue
            if row is None:
                left_out["no_consent_to_store"] += 1
            else:
                rows.append(row)
    _quarantine(table.topic, part, bad, tables)
    positions = {app_id(table.name, table.topic, partition): end for partition, (_, end) in part.items()}
    planned = {app_id(table.name, table.topic, partition): start for partition, (start, _) in part.items()}
    # A partition that was never read has no position; 0 stands for it in the plan.
    expected = tables.positions(table.name, list(planned))
    if {name: expected.get(name, 0) for name in planned} != planned:
        raise Conflict(f"table {table.name}: another ingest has moved on from {planned} to {expected}")
    if tables.append(table.name, rows, positions, expected):
        tally.rows += len(rows)
        tally.commits += 1
        tally.left_out += left_out


def _quarantine(topic: str, part: Window, bad: Sequence[Mapping[str, object]], tables: Tables) -> None:
    if not bad:
        return
    ids = {partition: app_id(QUARANTINE.name, topic, partition) for partition in part}
    kept = tables.positions(QUARANTINE.name, list(ids.values()))
    new = [row for row in bad if int(str(row["kafka_offset"])) >= kept.get(ids[int(str(row["kafka_partition"]))], 0)]
    if new:
        tables.append(QUARANTINE.name, new, {ids[p]: end for p, (_, end) in part.items()}, kept)


def _quarantined(record: Record, reason: str, ingested_at: datetime) -> dict[str, object]:
    return quarantine_row(
        record.topic,
        reason,
        record.value,
        partition=record.partition,
        offset=record.offset,
        ingested_at=ingested_at,
    )


def _read_turn(record: Record, ingested_at: datetime) -> dict[str, object] | None:
    turn = Turn.from_json(record.value or b"")
    if turn.bot not in BOT_IDS:
        raise InvalidMessage("unknown_bot", f"turn {turn.turn_id}: no bot {turn.bot!r}")
    if not turn.consent_store:
        return None
    row = turn_row(
        turn,
        partition=record.partition,
        offset=record.offset,
        timestamp_ms=record.timestamp_ms,
        ingested_at=ingested_at,
    )
    return _storable(row)


def _read_feedback(record: Record, ingested_at: datetime) -> dict[str, object] | None:
    row = feedback_row(
        Feedback.from_json(record.value or b""),
        partition=record.partition,
        offset=record.offset,
        timestamp_ms=record.timestamp_ms,
        ingested_at=ingested_at,
    )
    return _storable(row)


def _storable(row: Mapping[str, object]) -> dict[str, object]:
    """The row, or a refusal: one record that the table cannot hold must not hold up all others."""
    for name, value in row.items():
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, int) and abs(part) > _LARGEST_LONG:
                raise InvalidMessage("schema", f"`{name}` is out of range")
    return {
        name: value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
        for name, value in row.items()
    }


_READERS: Final[Mapping[str, Callable[[Record, datetime], dict[str, object] | None]]] = {
    TURNS.name: _read_turn,
    FEEDBACK.name: _read_feedback,
}
