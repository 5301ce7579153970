"""How far a table has read a topic, and of which topic that is: one that was made anew is read from its beginning.

The lake's words stay: a position stands under ``TABLE/TOPIC/PARTITION``. Beside them ``TABLE/TOPIC`` holds the mark
of the topic that they are of, moved in the same commits.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from kogpt2_chat.domain.gaps import FOUND, TOLD, gap_row, same_gap, topic_app_id, topic_mark
from kogpt2_chat.domain.lake_layout import GAPS, QUARANTINE, Table, app_id
from kogpt2_chat.domain.topics import TOPIC_BY_NAME
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
    ids = place.ids_in(table)
    committed = tables.positions(table.name, [topic_app_id(table.name, table.topic), *ids.values()])
    positions = {partition: committed[name] for partition, name in ids.items() if name in committed}
    if not positions:
        return place
    if _is_the_same(place, committed, positions, topics):
        if place.mark and not place.mark.items() <= committed.items():  # read by an earlier release
            tables.append(table.name, [], place.mark, {})
        return place
    note_gaps(
        [
            gap_row(table, topic_id, partition, position, None, reason="topic_made_anew", found_at=found_at)
            for partition, position in positions.items()
            if position
        ],
        tables,
    )
    for one in (QUARANTINE, table):
        _begin(one, place, tables)
    return place


def _is_the_same(place: Place, committed: Mapping[str, int], positions: Mapping[int, int], topics: Topics) -> bool:
    """Whether the positions are of the topic that stands there now."""
    table = place.table
    before = committed.get(topic_app_id(table.name, table.topic))
    known = before is not None and place.topic_id != ""
    if known and place.mark != {topic_app_id(table.name, table.topic): before}:
        return False
    beyond = {
        partition: position
        for partition, position in positions.items()
        if position > place.ends.get(partition, 0) and not _has_reached(topics, table.topic, partition, position)
    }
    if beyond and known:
        raise InvalidInput(
            f"table {table.name} has read {table.topic} further than it reaches: by partition {beyond}, ends "
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
    """Add gaps to the table, each once: before the positions pass over them, so that none goes unsaid.

    Args:
        rows: of ``gaps``.
        tables: the lake.
    """
    if not rows:
        return
    counted = tables.positions(GAPS.name, [FOUND])
    known = {same_gap(row) for row in tables.read(GAPS.name)}
    new = [row for row in rows if same_gap(row) not in known]
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
