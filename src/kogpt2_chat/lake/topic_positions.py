"""How far a table has read a topic. A topic that was deleted and created again is read from its beginning.

A position is stored under the app id ``TABLE/TOPIC/PARTITION``. The app id ``TABLE/TOPIC`` holds the mark of the topic
(a number made of its id) that the positions refer to; it moves in the same commits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from kogpt2_chat.domain.chat.topics import TOPIC_BY_NAME
from kogpt2_chat.domain.lake.gaps import FOUND, REPORTED, Gap, GapReason, LostRange, topic_app_id, topic_mark
from kogpt2_chat.domain.lake.layout import GAPS, QUARANTINE, Table, app_id
from kogpt2_chat.errors import InvalidInput
from kogpt2_chat.ports import Tables, Topics


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicState:
    """The current state of the topic that a table reads.

    Attributes:
        table: the table that reads the topic.
        topic_id: the topic's id; empty if the brokers assign none.
        ends: offset after the last committed record, by partition.
    """

    table: Table
    topic_id: str
    ends: Mapping[int, int]

    @property
    def mark(self) -> dict[str, int]:
        """The mark to store with the table's positions, by app id; empty if the topic has no id."""
        return self.mark_in(self.table)

    def mark_in(self, table: Table) -> dict[str, int]:
        """Return the mark to store with another table's positions of this topic, by app id."""
        mark = topic_mark(self.topic_id)
        return {} if mark is None else {topic_app_id(table.name, self.table.topic): mark}

    def ids_in(self, table: Table) -> dict[int, str]:
        """Return the app ids of a table's positions of this topic, by partition.

        They cover at least the partitions of the contract, even if the topic has fewer now.
        """
        count = max([*self.ends, TOPIC_BY_NAME[self.table.topic].partitions - 1]) + 1
        return {partition: app_id(table.name, self.table.topic, partition) for partition in range(count)}

    def gap(self, partition: int, start: int, end: int | None, reason: GapReason, found_at: datetime) -> Gap:
        """Return a gap of the table in this topic."""
        lost = LostRange(
            table=self.table.name,
            topic=self.table.topic,
            kafka_partition=partition,
            start=start,
            end=end,
            reason=reason,
        )
        return Gap(lost=lost, topic_id=self.topic_id, found_at=found_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class _ReadState:
    """How far a table has read a topic.

    Attributes:
        table: the table.
        positions: end position by partition, for partitions that have one.
        mark: the mark of the topic that the positions refer to, by app id; empty if an earlier release read it, or if
            it had no id.
    """

    table: Table
    positions: Mapping[int, int]
    mark: Mapping[str, int]

    @classmethod
    def of(cls, table: Table, state: TopicState, tables: Tables) -> "_ReadState":
        name, ids = topic_app_id(table.name, state.table.topic), state.ids_in(table)
        committed = tables.positions(table.name, [name, *ids.values()])
        return cls(
            table=table,
            positions={partition: committed[app] for partition, app in ids.items() if app in committed},
            mark={name: committed[name]} if name in committed else {},
        )


def sync_topic(table: Table, topics: Topics, tables: Tables, found_at: datetime) -> TopicState:
    """Return the current state of a topic; if it was recreated, first move the table's positions back to its beginning.

    Steps for a recreated topic. A run that is killed between them repeats them next time:

    1. Record in ``gaps`` that the unread remainder of the old topic, of unknown length, is lost.
    2. Move the positions back in ``quarantine``, then in the table.

    Args:
        table: the table that reads the topic.
        topics: Kafka.
        tables: the lake.
        found_at: one time for all rows of an ingest run.

    Returns:
        The topic's current state.

    Raises:
        PlanOutdated: another ingest run has moved the positions at the same time; plan again.
        InvalidInput: the topic is the same as before, but ends before the table's position.
    """
    topic_id = topics.topic_id(table.topic)
    state = TopicState(table=table, topic_id=topic_id, ends=topics.end_positions(table.topic))
    kept, read = (_ReadState.of(one, state, tables) for one in (QUARANTINE, table))
    is_recreated = not _is_same_topic(state, read, topics)
    if is_recreated or not _is_same_topic(state, kept, topics):
        # If the first run was killed, it may have written to quarantine only: the table then lacks the whole old topic.
        is_gap = is_recreated or not read.positions
        record_gaps(
            [
                state.gap(partition, position, None, "topic_made_anew", found_at)
                for partition, position in ({**dict.fromkeys(kept.positions, 0), **read.positions}).items()
                if is_gap and (position or kept.positions.get(partition))
            ],
            tables,
        )
        _reset(QUARANTINE, state, tables)
    if is_recreated:
        _reset(table, state, tables)
    elif read.positions and read.mark != state.mark and state.mark:  # positions of an earlier release
        tables.append(table.name, [], state.mark, {})
    return state


def _is_same_topic(state: TopicState, read: _ReadState, topics: Topics) -> bool:
    """Check whether the positions refer to the current topic; without positions, they do."""
    topic, known = state.table.topic, bool(read.mark and state.topic_id)
    if not read.positions:
        return True
    if known and read.mark != state.mark_in(read.table):
        return False
    beyond = {
        partition: position
        for partition, position in read.positions.items()
        if position > state.ends.get(partition, 0) and not _has_reached(topics, topic, partition, position)
    }
    if beyond and known:
        raise InvalidInput(
            f"table {read.table.name} has read {topic} beyond its end: positions by partition {beyond}, ends "
            f"{dict(state.ends)}. The topic's id is unchanged, so the broker has lost records: restore its data, or "
            "delete the topic and create it again; then it is read from its beginning."
        )
    return not beyond


def _has_reached(topics: Topics, topic: str, partition: int, position: int) -> bool:
    """Check again whether the topic reaches a position: it may have grown since its end was read."""
    return topics.end_positions(topic).get(partition, 0) >= position


def _reset(table: Table, state: TopicState, tables: Tables) -> None:
    """Move a table's positions back to the beginning of the topic, unless they already refer to the current one."""
    ids = state.ids_in(table).values()
    committed = tables.positions(table.name, [*state.mark_in(table), *ids])
    if not committed or (state.topic_id and state.mark_in(table).items() <= committed.items()):
        return
    tables.append(table.name, [], {**dict.fromkeys(ids, 0), **state.mark_in(table)}, committed)


def record_gaps(gaps: Sequence[Gap], tables: Tables) -> None:
    """Add gaps to the table ``gaps``, each range once. Call this before the positions move past them.

    Args:
        gaps: the gaps of one ingest run.
        tables: the lake.
    """
    if not gaps:
        return
    counted = tables.positions(GAPS.name, [FOUND])
    known = [Gap.from_row(row) for row in tables.read(GAPS.name)]
    new = [rest.as_row() for gap in gaps if (rest := gap.without(known)) is not None]
    if new:
        tables.append(GAPS.name, new, {FOUND: counted.get(FOUND, 0) + len(new)}, counted)


def report_gaps(tables: Tables) -> tuple[LostRange, ...]:
    """Return the gaps that no run has reported yet, and mark them as reported.

    These include gaps that a killed run found but did not report.

    Args:
        tables: the lake.

    Returns:
        The gaps, in the order in which they were found.
    """
    counted = tables.positions(GAPS.name, [FOUND, REPORTED])
    unreported = counted.get(FOUND, 0) - counted.get(REPORTED, 0)
    if unreported <= 0:
        return ()
    gaps = sorted(map(Gap.from_row, tables.read(GAPS.name)), key=lambda gap: gap.found_at)
    before = {name: counted[name] for name in (REPORTED,) if name in counted}
    tables.append(GAPS.name, [], {REPORTED: counted[FOUND]}, before)
    return tuple(gap.lost for gap in gaps[-unreported:])
