"""Kafka in memory: topics with offsets and compaction, followers, and a worker's transactional consumer.

It models the behaviour of Kafka that has caused bugs: offsets have gaps (a transaction ends with a marker in each
partition that it wrote to), records of an aborted transaction are invisible but use up offsets, and a batch whose
partitions were lost can no longer be published.
"""

import threading
import time
import uuid
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from kogpt2_chat.domain.chat.topics import QUESTION_TOPIC, TOPIC_BY_NAME, TOPICS, Topic
from kogpt2_chat.errors import NotFound
from kogpt2_chat.ports import Assignment, Batch, Follower, Outgoing, PublishResult, Record

_UNKNOWN_TOPIC: Final = Topic(name="", partitions=1)
"""Has the default limits, for topics that the contract does not define."""


@dataclass(slots=True)
class _Log:
    """One partition: committed records by offset, and the next free offset."""

    records: dict[int, Record] = field(default_factory=dict)
    end: int = 0


class Broker:
    """The broker state that all Kafka doubles of a test share.

    Attributes:
        logs: the partitions of each topic, by topic name.
        topic_ids: the id of each topic, by topic name.
        committed: the worker group's committed offset, by partition of the question topic.
        generation: number of the current assignment; see :meth:`rebalance`.
        aborted: how many records were written in aborted transactions.
        written: notified after each write, for followers that wait in another thread.
    """

    def __init__(self) -> None:
        self.logs: dict[str, list[_Log]] = {}
        self.topic_ids: dict[str, str] = {}
        self.committed: dict[int, int] = {}
        self.generation = 1
        self.aborted = 0
        self.written = threading.Condition()
        self._without_key = 0

    def create(self, name: str, partitions: int) -> None:
        """Create an empty topic with a new id. It replaces a topic of the same name."""
        self.topic_ids[name] = str(uuid.uuid4())
        self.logs[name] = [_Log() for _ in range(partitions)]

    def log(self, topic: str, partition: int) -> _Log:
        """Return the log of one partition.

        Args:
            topic: the topic.
            partition: the partition's number.

        Returns:
            The partition's log.

        Raises:
            NotFound: the topic does not exist.
        """
        if topic not in self.logs:
            raise NotFound(f"topic {topic!r} does not exist: call ensure() first")
        return self.logs[topic][partition]

    def append(self, outgoing: Sequence[Outgoing], *, transaction: bool) -> None:
        """Write visible records; a transaction also writes its markers."""
        self._write(outgoing, transaction=transaction, visible=True)

    def abort(self, outgoing: Sequence[Outgoing]) -> None:
        """Write the records of an aborted transaction, which no reader sees."""
        self.aborted += len(outgoing)
        self._write(outgoing, transaction=True, visible=False)

    def rebalance(self) -> None:
        """Change the assignment: batches polled before this call can no longer be published."""
        self.generation += 1

    def all(self, topic: str) -> list[Record]:
        """Return every visible record of a topic, ordered by partition and offset."""
        return [record for log in self.logs[topic] for record in log.records.values()]

    def _write(self, outgoing: Sequence[Outgoing], *, transaction: bool, visible: bool) -> None:
        touched: list[_Log] = []
        for item in outgoing:
            partition = self._partition(item)
            log = self.log(item.topic, partition)
            if visible:
                log.records[log.end] = Record(
                    topic=item.topic,
                    partition=partition,
                    offset=log.end,
                    key=item.key,
                    value=item.value,
                    headers=dict(item.headers),
                    timestamp_ms=int(time.time() * 1000),
                )
            log.end += 1
            if not any(log is seen for seen in touched):
                touched.append(log)
        if transaction:
            for log in touched:
                log.end += 1
        with self.written:
            self.written.notify_all()

    def _partition(self, item: Outgoing) -> int:
        if item.topic not in self.logs:
            raise NotFound(f"topic {item.topic!r} does not exist: call ensure() first")
        count = len(self.logs[item.topic])
        if item.key is None:
            self._without_key += 1
            return self._without_key % count
        return zlib.crc32(item.key) % count


class InMemoryTopics:
    """The port Topics on a broker in memory."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def ensure(self) -> list[str]:
        """Create the contract's topics that are missing and return their names."""
        missing = [topic for topic in TOPICS if topic.name not in self._broker.logs]
        for topic in missing:
            self._broker.create(topic.name, topic.partitions)
        return [topic.name for topic in missing]

    def topic_id(self, topic: str) -> str:
        """Return the topic's id, which a recreated topic of the same name does not share."""
        self._broker.log(topic, 0)
        return self._broker.topic_ids[topic]

    def start_positions(self, topic: str) -> dict[int, int]:
        """Return 0 for each partition: records are never dropped here."""
        return dict.fromkeys(range(self._partitions(topic)), 0)

    def end_positions(self, topic: str) -> dict[int, int]:
        """Return the offset after the last record or marker of each partition."""
        return {number: self._broker.log(topic, number).end for number in range(self._partitions(topic))}

    def committed_positions(self, topic: str, group: str) -> dict[int, int]:
        """Return the positions that the workers have committed. Here all of them are one group, whatever its name."""
        del group
        return dict(self._broker.committed) if topic == QUESTION_TOPIC else {}

    def read(self, topic: str, partition: int, start: int, end: int) -> Iterator[Record]:
        """Yield the committed records with ``start <= offset < end``, in order."""
        records = self._broker.log(topic, partition).records
        yield from [records[offset] for offset in sorted(records) if start <= offset < end]

    def follow(
        self, topics: Iterable[str], *, from_end: bool = True, positions: Mapping[tuple[str, int], int] | None = None
    ) -> Follower:
        """Open a follower of several topics.

        Args:
            topics: the topics.
            from_end: whether to start after the last record of each partition.
            positions: other positions to start at, by topic and partition.
        """
        starts: dict[str, dict[int, int]] = {}
        for topic in topics:
            firsts, ends = self.start_positions(topic), self.end_positions(topic)
            wanted = {number: (positions or {}).get((topic, number)) for number in firsts}
            begin = {
                number: at if at is not None else (ends if from_end else firsts)[number]
                for number, at in wanted.items()
            }
            starts[topic] = {
                number: at if firsts[number] <= at <= ends[number] else firsts[number] for number, at in begin.items()
            }
        return InMemoryFollower(self._broker, starts)

    def latest_by_key(self, topic: str) -> dict[str, bytes]:
        """Return the last value of each key, without keys that have a tombstone."""
        latest = {record.key.decode(): record.value for record in self._broker.all(topic) if record.key is not None}
        return {key: value for key, value in latest.items() if value is not None}

    def send(self, records: Iterable[Outgoing]) -> None:
        """Write the records, visible immediately."""
        self._broker.append(list(records), transaction=False)

    def _partitions(self, topic: str) -> int:
        self._broker.log(topic, 0)
        return len(self._broker.logs[topic])


MOST_POLLED: Final = 500
"""How many records a real consumer returns at once."""


class InMemoryFollower:
    """The port Follower on a broker in memory.

    Args:
        broker: the shared state.
        positions: the first offset to read, by topic and partition.

    Attributes:
        closed: whether ``close`` was called.
    """

    def __init__(self, broker: Broker, positions: Mapping[str, dict[int, int]]) -> None:
        self._broker = broker
        self._positions = positions
        self.closed = False

    def poll(self, timeout_s: float) -> Sequence[Record]:
        """Return the next records, possibly none; wait at most ``timeout_s`` for another thread to write some."""
        with self._broker.written:
            self._broker.written.wait_for(self._next_records, timeout_s)
            found = self._next_records()[:MOST_POLLED]
        for record in found:
            self._positions[record.topic][record.partition] = record.offset + 1
        return found

    def behind(self) -> int:
        """Return how many records are left to read."""
        return len(self._next_records())

    def close(self) -> None:
        """Record the call; no connections are open."""
        self.closed = True

    def _next_records(self) -> list[Record]:
        return [
            log.records[offset]
            for topic, position_by_partition in self._positions.items()
            for partition, position in position_by_partition.items()
            for log in [self._broker.log(topic, partition)]
            for offset in sorted(log.records)
            if offset >= position
        ]


class InMemoryTransactionalConsumer:
    """The port TransactionalConsumer on a broker in memory.

    Args:
        broker: the shared state.
        fail_publishes: how many calls of ``publish`` are aborted before one succeeds.

    Attributes:
        recoveries: how many times ``recover`` was called.
        closed: whether ``close`` was called.
    """

    def __init__(self, broker: Broker, fail_publishes: int = 0) -> None:
        self._broker = broker
        self._positions: dict[int, int] = {}
        self._generation = broker.generation
        self.fail_publishes = fail_publishes
        self.recoveries = 0
        self.closed = False

    def recover(self) -> None:
        """Reset to the committed offsets."""
        self.recoveries += 1
        self._positions.clear()

    def poll(self, timeout_s: float, max_records: int) -> Batch:
        """Return the next questions, possibly none, without waiting."""
        del timeout_s
        records: list[Record] = []
        for partition, log in enumerate(self._broker.logs[QUESTION_TOPIC]):
            position = self._positions.setdefault(partition, self._broker.committed.get(partition, 0))
            ready = [log.records[offset] for offset in sorted(log.records) if offset >= position]
            taken = ready[: max(0, max_records - len(records))]
            if taken:
                self._positions[partition] = taken[-1].offset + 1
            records += taken
        return Batch(tuple(records), assignment=Assignment(self._broker.generation))

    def publish(
        self, assignment: Assignment, positions: Mapping[int, int], outgoing: Sequence[Outgoing]
    ) -> PublishResult:
        """Make all records visible and move the committed offsets, or abort.

        Args:
            assignment: the assignment under which the questions were polled.
            positions: per partition, the offset after the last answered question.
            outgoing: the answers, turns and dead letters of the questions.
        """
        if assignment.revocations != self._broker.generation or self.fail_publishes:
            self.fail_publishes = max(self.fail_publishes - 1, 0)
            self._broker.abort(outgoing)
            return PublishResult(published=False)
        for item in outgoing:
            if len(item.value or b"") > _max_bytes(item.topic):
                self._broker.abort(outgoing)
                return PublishResult(published=False, too_large=item)
        self._broker.append(outgoing, transaction=True)
        self._broker.committed.update(positions)
        return PublishResult(published=True)

    def lag(self) -> dict[int, int]:
        """Return how many offsets of each partition are not polled yet."""
        logs = self._broker.logs[QUESTION_TOPIC]
        return {number: max(0, log.end - self._positions.get(number, 0)) for number, log in enumerate(logs)}

    def close(self) -> None:
        """Record the call; no connections are open."""
        self.closed = True


def put_question(broker: Broker, value: bytes, partition: int = 0, key: bytes | None = None) -> Record:
    """Append a question to a chosen partition and return the record."""
    log = broker.log(QUESTION_TOPIC, partition)
    record = Record(topic=QUESTION_TOPIC, partition=partition, offset=log.end, key=key, value=value)
    log.records[log.end] = replace(record, timestamp_ms=int(time.time() * 1000))
    log.end += 1
    return log.records[record.offset]


def _max_bytes(topic: str) -> int:
    return TOPIC_BY_NAME.get(topic, _UNKNOWN_TOPIC).max_message_bytes
