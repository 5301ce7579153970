"""How far a table has read a topic, and of which topic that is: one that was made anew is read from its beginning.

The lake's words stay: a position stands under ``TABLE/TOPIC/PARTITION``. Beside them ``TABLE/TOPIC`` holds the mark
of the topic that they are of, moved in the same commits.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from kogpt2_chat.domain.chat.topics import TOPIC_BY_NAME
from kogpt2_chat.domain.lake.gaps import FOUND, TOLD, gap_row, rest_of_gap, topic_app_id, topic_mark
from kogpt2_chat.domain.lake.layout import GAPS, QUARANTINE, Table, app_id
from kogpt2_chat.errors import InvalidInput
from kogpt2_chat.ports import Row, Tables, Topics

_WORDS: Final = "table", "topic", "kafka_partition", "start", "end", "reason"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A topic as it is now, seen from one of the lake's tables.

    Attributes:
        table: which table reads it.
        topic_id: empty where brokers give none.
        ends: offset after the last committed record, by partition.
    """

    table: Table
    topic_id: str
    ends: Mapping[int, int]

    @property
    def mark(self) -> dict[str, int]:
        """What has to stand beside the table's positions."""
        return self.mark_in(self.table)

    def mark_in(self, table: Table) -> dict[str, int]:
        """What has to stand beside a table's positions of this topic."""
        mark = topic_mark(self.topic_id)
        return {} if mark is None else {topic_app_id(table.name, self.table.topic): mark}

    def ids_in(self, table: Table) -> dict[int, str]:
        """Under which names a table remembers positions of this topic, by partition; also of those it lost."""
        count = max([*self.ends, TOPIC_BY_NAME[self.table.topic].partitions - 1]) + 1
        return {partition: app_id(table.name, self.table.topic, partition) for partition in range(count)}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """How far a table has read a topic.

    Attributes:
        positions: by partition, where there is one.
        mark: of the topic that they are of; empty where it was read by an earlier release, or without ids.
    """

    table: Table
    positions: Mapping[int, int]
    mark: Mapping[str, int]

    @classmethod
    def of(cls, table: Table, place: Place, tables: Tables) -> "_Read":
        name, ids = topic_app_id(table.name, place.table.topic), place.ids_in(table)
        committed = tables.positions(table.name, [name, *ids.values()])
        return cls(
            table=table,
            positions={partition: committed[app] for partition, app in ids.items() if app in committed},
            mark={name: committed[name]} if name in committed else {},
        )


def find_place(table: Table, topics: Topics, tables: Tables, found_at: datetime) -> Place:
    """See which topic stands there now; where it is another one than before, begin it at its beginning.

    1. Say in ``gaps`` that nobody knows what the old topic still held.
    2. Set back the positions in ``quarantine``, then in the table. Whoever is stopped in between does it again.

    Args:
        table: which table reads the topic.
        topics: Kafka.
        tables: the lake.
        found_at: one time for all rows of an ingest run.

    Returns:
        The topic as it is now.

    Raises:
        Conflict: another ingest has begun the topic meanwhile; plan again.
        InvalidInput: the topic ends before the position, and yet is the same one.
    """
    topic_id = topics.topic_id(table.topic)
    place = Place(table=table, topic_id=topic_id, ends=topics.end_positions(table.topic))
    kept, read = (_Read.of(one, place, tables) for one in (QUARANTINE, table))
    is_anew = not _is_the_same(place, read, topics)
    if is_anew or not _is_the_same(place, kept, topics):
        # A first run that was killed has read into quarantine alone: then the table lacks all of the old topic.
        is_gap = is_anew or not read.positions
        note_gaps(
            [
                gap_row(table, topic_id, partition, position, None, reason="topic_made_anew", found_at=found_at)
                for partition, position in ({**dict.fromkeys(kept.positions, 0), **read.positions}).items()
                if is_gap and (position or kept.positions.get(partition))
            ],
            tables,
        )
        _begin(QUARANTINE, place, tables)
    if is_anew:
        _begin(table, place, tables)
    elif read.positions and read.mark != place.mark and place.mark:  # read by an earlier release
        tables.append(table.name, [], place.mark, {})
    return place


def _is_the_same(place: Place, read: _Read, topics: Topics) -> bool:
    """Whether the positions are of the topic that stands there now; where there are none, they are."""
    topic, known = place.table.topic, bool(read.mark and place.topic_id)
    if not read.positions:
        return True
    if known and read.mark != place.mark_in(read.table):
        return False
    beyond = {
        partition: position
        for partition, position in read.positions.items()
        if position > place.ends.get(partition, 0) and not _has_reached(topics, topic, partition, position)
    }
    if beyond and known:
        raise InvalidInput(
            f"table {read.table.name} has read {topic} further than it reaches: by partition {beyond}, ends "
            f"{dict(place.ends)}. It is the topic that it was, so the broker has lost records: restore its data, or "
            "delete and make the topic anew, and it is read from its beginning."
        )
    return not beyond


def _has_reached(topics: Topics, topic: str, partition: int, position: int) -> bool:
    """Whether the topic has grown to a position that another ingest has read since our look."""
    return topics.end_positions(topic).get(partition, 0) >= position


def _begin(table: Table, place: Place, tables: Tables) -> None:
    """Set a table's positions of the topic to its beginning, once."""
    ids = place.ids_in(table).values()
    committed = tables.positions(table.name, [*place.mark_in(table), *ids])
    if not committed or (place.topic_id and place.mark_in(table).items() <= committed.items()):
        return
    tables.append(table.name, [], {**dict.fromkeys(ids, 0), **place.mark_in(table)}, committed)


def note_gaps(rows: list[dict[str, object]], tables: Tables) -> None:
    """Add gaps to the table, each range once: before the positions pass over them, so that none goes unsaid.

    Args:
        rows: of ``gaps``.
        tables: the lake.
    """
    if not rows:
        return
    counted = tables.positions(GAPS.name, [FOUND])
    known = tables.read(GAPS.name)
    new = [rest for row in rows if (rest := rest_of_gap(row, known)) is not None]
    if new:
        tables.append(GAPS.name, new, {FOUND: counted.get(FOUND, 0) + len(new)}, counted)


def tell_gaps(tables: Tables) -> list[Row]:
    """Gaps that no run has told of yet; each is told once, also one that a run found which did not live to tell.

    Args:
        tables: the lake.

    Returns:
        Table, topic, partition, start, end and reason of each.
    """
    counted = tables.positions(GAPS.name, [FOUND, TOLD])
    untold = counted.get(FOUND, 0) - counted.get(TOLD, 0)
    if untold <= 0:
        return []
    rows = sorted(tables.read(GAPS.name), key=lambda row: str(row["found_at"]))
    before = {name: counted[name] for name in (TOLD,) if name in counted}
    tables.append(GAPS.name, [], {TOLD: counted[FOUND]}, before)
    return [{name: row[name] for name in _WORDS} for row in rows[-untold:]]
