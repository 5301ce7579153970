"""Copy records from Kafka to the lake, each record exactly once.

A run follows a fixed plan: for each partition, from the position committed in the table to the last committed offset of
the topic at planning time. Each Delta commit contains rows together with the new positions. A run that is killed,
retried or started twice therefore loses and duplicates nothing.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from kogpt2_chat.domain.lake.gaps import LostRange
from kogpt2_chat.domain.lake.layout import FEEDBACK, QUARANTINE, TURNS, Table
from kogpt2_chat.errors import InvalidMessage, PlanOutdated
from kogpt2_chat.lake.read_records import RecordReader
from kogpt2_chat.lake.topic_positions import TopicState, record_gaps, report_gaps, sync_topic
from kogpt2_chat.ports import Record, Tables, Topics
from kogpt2_chat.settings import Settings
from kogpt2_chat.world_keys import signing_keys

Window = Mapping[int, tuple[int, int]]
_REPLANS: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletedRange:
    """A range of offsets that the topic's retention deleted before this run could read it.

    Attributes:
        partition: partition of the topic.
        start: the first lost offset.
        end: the offset after the last lost one.
    """

    partition: int
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TableResult:
    """What a run did for one table.

    Attributes:
        rows: rows added to the table.
        commits: commits made.
        left_out: records not stored in the table, by reason.
        gaps: ranges of offsets that were lost.
        positions: end position by partition.
    """

    rows: int
    commits: int
    left_out: Mapping[str, int]
    gaps: tuple[DeletedRange, ...]
    positions: Mapping[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestResult:
    """What a run did.

    Attributes:
        turns: for the table ``turns``.
        feedback: for the table ``feedback``.
        lost: the gaps that no earlier run has reported.
    """

    turns: TableResult
    feedback: TableResult
    lost: tuple[LostRange, ...]


@dataclass(slots=True)
class _IngestCounts:
    """What happened to the records of one topic.

    Attributes:
        rows: rows added to the table.
        commits: commits made.
        left_out: records not stored in the table, by reason.
        gaps: ranges of offsets lost to the topic's retention, by partition.
    """

    rows: int = 0
    commits: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    gaps: dict[int, tuple[int, int]] = field(default_factory=dict)


def ingest(*, topics: Topics, tables: Tables, settings: Settings) -> IngestResult:
    """Bring the tables ``turns`` and ``feedback`` up to date with their topics.

    Records that cannot be stored go to the table ``quarantine``. Turns of players who do not consent to storing are
    counted and skipped. If the topic's retention has deleted records before they were read, the lost range becomes a
    row of the table ``gaps``, and reading continues after it. A topic that was created again is read from its
    beginning.

    Args:
        topics: Kafka.
        tables: the lake.
        settings: the maximum size of a commit, and the keys that verify feedback.

    Returns:
        What was done for each table, and the gaps that no earlier run has reported.

    Raises:
        PlanOutdated: other writers moved the same positions more than five times.
        InvalidInput: the topic ends before the table's position, although it was not recreated.
    """
    batch = settings.kafka.ingest_batch
    reader = RecordReader(ingested_at=datetime.now(UTC), keys=signing_keys(settings))
    turns, feedback = (_ingest_table(table, topics, tables, batch, reader) for table in (TURNS, FEEDBACK))
    return IngestResult(turns=turns, feedback=feedback, lost=report_gaps(tables))


def _ingest_table(table: Table, topics: Topics, tables: Tables, batch: int, reader: RecordReader) -> TableResult:
    counts, conflicts, state = _IngestCounts(), 0, None
    while True:
        try:
            state = state or sync_topic(table, topics, tables, reader.ingested_at)
            window, committed = _plan(state, topics, tables, reader.ingested_at, counts)
            if not window:
                break
            for part in _parts(window, batch):
                committed |= _ingest_part(state, part, committed, topics, tables, reader, counts)
        except PlanOutdated:  # another ingest runs at the same time: plan again
            conflicts += 1
            if conflicts > _REPLANS:
                raise
    return TableResult(
        rows=counts.rows,
        commits=counts.commits,
        left_out=dict(sorted(counts.left_out.items())),
        gaps=tuple(DeletedRange(partition=p, start=start, end=end) for p, (start, end) in sorted(counts.gaps.items())),
        positions=dict(sorted(state.ends.items())),
    )


def _plan(
    state: TopicState, topics: Topics, tables: Tables, found_at: datetime, counts: _IngestCounts
) -> tuple[Window, dict[str, int]]:
    """Return the window to read, and the committed positions that it starts from, by app id.

    The window is empty once the table has reached the topic's ends.
    """
    table, ids = state.table, state.ids_in(state.table)
    committed = tables.positions(table.name, [*ids.values(), *state.mark])
    if {**committed, **state.mark} != {**state.mark, **committed}:
        raise PlanOutdated(f"table {table.name}: another ingest run has read a different topic named {table.topic}")
    retained = topics.start_positions(table.topic)
    window, gaps = {}, {}
    for partition, end in state.ends.items():
        position, first = committed.get(ids[partition], 0), min(retained.get(partition, 0), end)
        if position < first:
            gaps[partition] = (position, first)
        if position < end:
            window[partition] = (position, end)
    record_gaps(
        [state.gap(partition, start, end, "retention", found_at) for partition, (start, end) in gaps.items()],
        tables,
    )
    counts.gaps |= gaps
    return window, committed


def _parts(window: Window, batch: int) -> Iterator[Window]:
    """Divide the window into parts of at most ``batch`` offsets, each for one commit."""
    left = dict(window)
    while left:
        share = max(1, batch // len(left))
        part = {partition: (start, min(end, start + share)) for partition, (start, end) in left.items()}
        yield part
        left = {p: (part[p][1], end) for p, (_, end) in left.items() if part[p][1] < end}


def _ingest_part(
    state: TopicState,
    part: Window,
    committed: Mapping[str, int],
    topics: Topics,
    tables: Tables,
    reader: RecordReader,
    counts: _IngestCounts,
) -> dict[str, int]:
    """Make one commit, and return the table's new positions.

    The quarantine is written first, so that a crash between the two commits loses nothing. The append fails if the
    table's positions are no longer those that the part was planned from.
    """
    table = state.table
    rows: list[dict[str, object]] = []
    bad: list[tuple[Record, dict[str, object]]] = []
    left_out: Counter[str] = Counter()
    for partition, (start, end) in part.items():
        for record in topics.read(table.topic, partition, start, end):
            try:
                row = reader.read(record)
            except InvalidMessage as error:
                left_out[f"malformed:{error.reason}"] += 1
                bad.append((record, reader.quarantined(record, error)))
                continue
            if row is None:
                left_out["no_consent_to_store"] += 1
            else:
                rows.append(row)
    _quarantine(state, part, bad, tables)
    ids = state.ids_in(table)
    positions = {**{ids[partition]: end for partition, (_, end) in part.items()}, **state.mark}
    expected = {name: committed[name] for name in positions if name in committed}
    if tables.append(table.name, rows, positions, expected):
        counts.rows += len(rows)
        counts.commits += 1
        counts.left_out += left_out
    return positions


def _quarantine(
    state: TopicState, part: Window, bad: Sequence[tuple[Record, dict[str, object]]], tables: Tables
) -> None:
    if not bad:
        return
    ids, mark = state.ids_in(QUARANTINE), state.mark_in(QUARANTINE)
    kept = tables.positions(QUARANTINE.name, [*(ids[partition] for partition in part), *mark])
    new = [row for record, row in bad if record.offset >= kept.get(ids[record.partition], 0)]
    if new:
        # A killed run with other parts may have read further: never move a position back.
        ends = {ids[partition]: max(end, kept.get(ids[partition], 0)) for partition, (_, end) in part.items()}
        tables.append(QUARANTINE.name, new, {**ends, **mark}, kept)
