"""Documents that the indexer wrote from records that the lake has not read yet."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from kogpt2_chat.domain.chat.topics import TOPIC_BY_NAME
from kogpt2_chat.domain.lake.gaps import topic_app_id, topic_mark
from kogpt2_chat.domain.lake.layout import Table, app_id
from kogpt2_chat.domain.search.fields import INDEXER_INDEX, LAKE_ONLY
from kogpt2_chat.ports import Index, Row, Tables

AHEAD_FIELDS: Final = ("kafka_partition", "kafka_offset", *LAKE_ONLY)
"""The fields of a document that decide whether it is ahead of the lake."""
_MOST_PARTITIONS: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class LakeEnd:
    """How far a table has read its topic.

    Attributes:
        position_by_partition: the offset after the last record read.
        is_same_topic: whether the indexer has read the same topic, and not one that was created again since then.
    """

    position_by_partition: Mapping[int, int]
    is_same_topic: bool

    def is_ahead(self, document: Row) -> bool:
        """Check whether a document may be made from a record that the table does not have yet.

        Args:
            document: a document with its ``AHEAD_FIELDS``.
        """
        if any(document.get(name) is not None for name in LAKE_ONLY):  # made from the lake
            return False
        if not self.is_same_topic:
            return True
        partition, offset = document.get("kafka_partition"), document.get("kafka_offset")
        if not isinstance(partition, int) or not isinstance(offset, int):
            return False
        return offset >= self.position_by_partition.get(partition, 0)


def lake_end(table: Table, tables: Tables, index: Index) -> LakeEnd:
    """Return how far a table has read its topic.

    Read it before the rows: records that are ingested in between are then at most considered to be missing.

    Args:
        table: a table with a topic.
        tables: the lake.
        index: the search server, which knows the topic that the indexer has read. If the indexer never ran, it is the
            same topic.
    """
    mark_id = topic_app_id(table.name, table.topic)
    partitions = range(max(_MOST_PARTITIONS, TOPIC_BY_NAME[table.topic].partitions))
    partition_by_app = {app_id(table.name, table.topic, partition): partition for partition in partitions}
    committed = tables.positions(table.name, [mark_id, *partition_by_app])
    positions = [
        position
        for _, position in index.scan(INDEXER_INDEX, ("topic", "topic_id", "written_at"))
        if position.get("topic") == table.topic and position.get("topic_id")
    ]
    # Partitions without records may still have the position in a topic that no longer exists.
    newest = max(positions, key=lambda position: str(position.get("written_at", "")), default=None)
    indexed = None if newest is None else topic_mark(str(newest["topic_id"]))
    return LakeEnd(
        position_by_partition={
            partition_by_app[name]: position for name, position in committed.items() if name != mark_id
        },
        is_same_topic=indexed is None or committed.get(mark_id, indexed) == indexed,
    )
