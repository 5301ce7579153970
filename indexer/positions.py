"""How far the indexer is in each partition. The positions are documents of the index ``kogpt2-indexer``.

A position is void if its topic or one of the indices that the topic fills is no longer the same one: the records before
it are then missing in the index.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from kogpt2_chat.domain.chat.topics import DEAD_LETTER_TOPIC, FEEDBACK_TOPIC, TURN_TOPIC
from kogpt2_chat.domain.search.fields import (
    DEAD_LETTER_INDEX,
    FEEDBACK_INDEX,
    INDEXER_INDEX,
    SAFETY_INDEX,
    TURN_INDEX,
    IndexName,
)
from kogpt2_chat.errors import Unavailable
from kogpt2_chat.ports import Index, Topics

INDICES_BY_TOPIC: Final[Mapping[str, tuple[IndexName, ...]]] = {
    TURN_TOPIC: (TURN_INDEX, SAFETY_INDEX),
    FEEDBACK_TOPIC: (FEEDBACK_INDEX,),
    DEAD_LETTER_TOPIC: (DEAD_LETTER_INDEX,),
}
Partition = tuple[str, int]
"""A topic and the number of its partition."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What positions refer to.

    Attributes:
        topic_ids: the id of each topic; empty if the brokers assign none.
        index_ids: the ids of the indices that a topic fills, by topic.
    """

    topic_ids: Mapping[str, str]
    index_ids: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The stored positions.

    Attributes:
        positions: those that are valid.
        new_topics: topics that were created again since the positions were stored, or end before them.
        new_indices: topics of which an index was created again.
    """

    positions: Mapping[Partition, int] = field(default_factory=dict)
    new_topics: frozenset[str] = frozenset()
    new_indices: frozenset[str] = frozenset()


def find_place(topics: Topics, index: Index) -> Place:
    """Return the present ids of the topics and the indices.

    Raises:
        Unavailable: an index is missing, or a server does not answer.
        NotFound: a topic does not exist.
    """
    return Place(
        topic_ids={topic: topics.topic_id(topic) for topic in INDICES_BY_TOPIC},
        index_ids={topic: index_ids(index, topic) for topic in INDICES_BY_TOPIC},
    )


def index_ids(index: Index, topic: str) -> str:
    """Return the ids of the indices that a topic fills, as one text.

    Raises:
        Unavailable: an index is missing.
    """
    ids = {name: index.index_id(name) for name in INDICES_BY_TOPIC[topic]}
    if missing := [name for name, found in ids.items() if found is None]:
        raise Unavailable(f"index {', '.join(missing)} is missing")
    return ",".join(str(found) for found in ids.values())


def load_positions(topics: Topics, index: Index, place: Place) -> Found:
    """Read the stored positions, and tell which of them are void.

    Args:
        topics: Kafka, which knows the partitions.
        index: the search server.
        place: what valid positions refer to.

    Returns:
        The positions.
    """
    ends = {topic: topics.end_positions(topic) for topic in INDICES_BY_TOPIC}
    partitions = {_id(topic, number): (topic, number) for topic in ends for number in ends[topic]}
    stored = index.find_many(INDEXER_INDEX, list(partitions))
    positions: dict[Partition, int] = {}
    new_topics, new_indices = set(), set()
    for document_id, document in stored.items():
        topic, number = partitions[document_id]
        position = int(str(document["position"]))
        if document.get("index_id") != place.index_ids[topic]:
            new_indices.add(topic)
        elif document.get("topic_id", "") != place.topic_ids[topic] or position > ends[topic][number]:
            new_topics.add(topic)
        else:
            positions[topic, number] = position
    return Found(positions=positions, new_topics=frozenset(new_topics), new_indices=frozenset(new_indices))


def store_positions(index: Index, place: Place, positions: Mapping[Partition, int], now: datetime) -> None:
    """Store positions, after their documents were written.

    Args:
        index: the search server.
        place: what the positions refer to.
        positions: the offset after the last written record, by topic and partition.
        now: the time, for operators.
    """
    documents = {
        _id(topic, number): {
            "topic": topic,
            "topic_id": place.topic_ids[topic],
            "partition": number,
            "position": position,
            "index_id": place.index_ids[topic],
            "written_at": now,
        }
        for (topic, number), position in positions.items()
    }
    index.put(INDEXER_INDEX, documents.items())


def _id(topic: str, partition: int) -> str:
    return f"{topic}-{partition}"
