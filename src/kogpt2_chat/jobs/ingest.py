"""Kafka to the lake, each record exactly once.

A run is a fixed plan: for each partition from the position that the table has committed to the end that was
committed in the topic when the plan was made. Rows and positions move in one Delta commit, so a run that is
killed, retried or started twice leaves no gap and no double.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from kogpt2_chat.domain.lake.gaps import gap_row
from kogpt2_chat.domain.lake.layout import FEEDBACK, QUARANTINE, TURNS, Table, app_id
from kogpt2_chat.errors import Conflict, InvalidMessage
from kogpt2_chat.lake.read_records import quarantined, read_record
from kogpt2_chat.lake.topic_positions import Place, find_place, note_gaps, tell_gaps
from kogpt2_chat.ports import Tables, Topics
from kogpt2_chat.settings import Settings

Window = Mapping[int, tuple[int, int]]
_REPLANS: Final = 5


@dataclass(slots=True)
class _Tally:
    """What became of the records of one topic."""

    rows: int = 0
    commits: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    gaps: dict[int, tuple[int, int]] = field(default_factory=dict)


def ingest(*, topics: Topics, tables: Tables, settings: Settings) -> dict[str, object]:
    """Bring ``turns`` and ``feedback`` up to what their topics hold now.

    Records that cannot be stored go to the table ``quarantine``; turns of players who do not want them stored
    are counted and passed over. Where the topic's retention has overtaken the table, the lost range becomes a row
    of the table ``gaps`` and reading goes on behind it. A topic that was made anew is read from its beginning.

    Args:
        topics: Kafka.
        tables: the lake.
        settings: how many records one commit may hold.

    Returns:
        For each table: rows, commits, records left out by reason, gaps, end positions. Under ``lost`` the gaps that
        no run has told of before. Other writers that keep moving the same positions are a :class:`Conflict`; a topic
        that ends before the position, though it is the same one, is an :class:`InvalidInput`.
    """
    batch, ingested_at = settings.kafka.ingest_batch, datetime.now(UTC)
    result: dict[str, object] = {
        table.name: _ingest_table(table, topics, tables, batch, ingested_at) for table in (TURNS, FEEDBACK)
    }
    return {**result, "lost": tell_gaps(tables)}


def _ingest_table(table: Table, topics: Topics, tables: Tables, batch: int, ingested_at: datetime) -> dict[str, object]:
    tally, conflicts, place = _Tally(), 0, None
    while True:
        try:
            place = place or find_place(table, topics, tables, ingested_at)
            window = _plan(place, topics, tables, ingested_at, tally)
            if not window:
                break
            for part in _parts(window, batch):
                _ingest_part(place, part, topics, tables, ingested_at, tally)
        except Conflict:  # somebody else is at the same work: see what is left of the plan
            conflicts += 1
            if conflicts > _REPLANS:
                raise
    return {
        "rows": tally.rows,
        "commits": tally.commits,
        "left_out": dict(sorted(tally.left_out.items())),
        "gaps": [{"partition": p, "start": start, "end": end} for p, (start, end) in sorted(tally.gaps.items())],
        "positions": {str(partition): end for partition, end in sorted(place.ends.items())},
    }


def _plan(place: Place, topics: Topics, tables: Tables, found_at: datetime, tally: _Tally) -> Window:
    """What is left to read, by partition: empty when the table has reached the ends."""
    table, ids = place.table, place.ids_in(place.table)
    committed = tables.positions(table.name, list(ids.values()))
    retained = topics.start_positions(table.topic)
    window, gaps = {}, {}
    for partition, end in place.ends.items():
        position, first = committed.get(ids[partition], 0), min(retained.get(partition, 0), end)
        if position < first:
            gaps[partition] = (position, first)
        if position < end:
            window[partition] = (position, end)
    note_gaps(
        [
            gap_row(table, place.topic_id, partition, start, end, reason="retention", found_at=found_at)
            for partition, (start, end) in gaps.items()
        ],
        tables,
    )
    tally.gaps |= gaps
    return window


def _parts(window: Window, batch: int) -> Iterator[Window]:
    """The window in pieces of at most ``batch`` offsets, one commit each."""
    left = dict(window)
    while left:
        share = max(1, batch // len(left))
        part = {partition: (start, min(end, start + share)) for partition, (start, end) in left.items()}
        yield part
        left = {p: (part[p][1], end) for p, (_, end) in left.items() if part[p][1] < end}


def _ingest_part(
    place: Place, part: Window, topics: Topics, tables: Tables, ingested_at: datetime, tally: _Tally
) -> None:
    """One commit. The quarantine comes first: a run that ends in between does not read its rows again."""
    table = place.table
    rows: list[dict[str, object]] = []
    bad: list[dict[str, object]] = []
    left_out: Counter[str] = Counter()
    for partition, (start, end) in part.items():
        for record in topics.read(table.topic, partition, start, end):
            try:
                row = read_record(record, ingested_at)
            except InvalidMessage as error:
                left_out[f"malformed:{error.reason}"] += 1
                bad.append(quarantined(record, error, ingested_at))
                continue
            if row is None:
                left_out["no_consent_to_store"] += 1
            else:
                rows.append(row)
    _quarantine(place, part, bad, tables)
    positions = {app_id(table.name, table.topic, partition): end for partition, (_, end) in part.items()}
    planned = {app_id(table.name, table.topic, partition): start for partition, (start, _) in part.items()}
    # A partition that was never read has no position, what an earlier release has read no mark: the plan's stand in.
    expected = tables.positions(table.name, [*planned, *place.mark])
    before = {**dict.fromkeys(planned, 0), **place.mark, **expected}
    if before != {**planned, **place.mark}:
        raise Conflict(f"table {table.name}: another ingest has moved on from {planned} to {expected}")
    if tables.append(table.name, rows, {**positions, **place.mark}, expected):
        tally.rows += len(rows)
        tally.commits += 1
        tally.left_out += left_out


def _quarantine(place: Place, part: Window, bad: Sequence[Mapping[str, object]], tables: Tables) -> None:
    if not bad:
        return
    ids, mark = place.ids_in(QUARANTINE), place.mark_in(QUARANTINE)
    kept = tables.positions(QUARANTINE.name, [*(ids[partition] for partition in part), *mark])
    new = [row for row in bad if int(str(row["kafka_offset"])) >= kept.get(ids[int(str(row["kafka_partition"]))], 0)]
    if new:
        # A run that was killed may have come further, with other parts: its position stays.
        ends = {ids[partition]: max(end, kept.get(ids[partition], 0)) for partition, (_, end) in part.items()}
        tables.append(QUARANTINE.name, new, {**ends, **mark}, kept)
