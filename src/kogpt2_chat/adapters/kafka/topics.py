"""Read, follow and write Kafka topics, for jobs, the CLI, clients and the worker's control thread.

``KafkaTopics`` is thread-safe: each read borrows a consumer from a small pool. The worker's exactly-once side is
:mod:`kogpt2_chat.adapters.kafka.transactional_consumer`.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import wraps
from typing import Any, Final, ParamSpec, TypeVar

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError

from kogpt2_chat.adapters.kafka.admin import ensure_topics, topic_id
from kogpt2_chat.adapters.kafka.header_names import accept_any_header_names
from kogpt2_chat.errors import NotFound, Unavailable
from kogpt2_chat.ports import Follower, Outgoing, Record
from kogpt2_chat.settings import Settings

MAX_FETCH_BYTES: Final = 2 * 1024 * 1024
RETRY_BACKOFF_MS: Final = 5
"""The client's default is 100. A transaction retries until the broker has written the last commit's markers. Compared
with the default, its median falls from 119 to 40 ms on a broker that has just started, and from 12 to 10 ms later."""

_P = ParamSpec("_P")
_T = TypeVar("_T")


def connection(settings: Settings) -> dict[str, Any]:
    """Return the client settings that every producer, consumer and admin client of this project shares."""
    kafka = settings.kafka
    shared: dict[str, Any] = {
        "bootstrap_servers": settings.kafka_bootstrap,
        "security_protocol": kafka.security_protocol,
        "request_timeout_ms": int(kafka.request_timeout_s * 1000),
        "bootstrap_timeout_ms": int(kafka.request_timeout_s * 1000),
        "retry_backoff_ms": RETRY_BACKOFF_MS,
        "reconnect_backoff_max_ms": 1000,
    }
    if kafka.ssl_cafile:
        shared["ssl_cafile"] = kafka.ssl_cafile
    if kafka.sasl_mechanism:
        shared["sasl_mechanism"] = kafka.sasl_mechanism
        shared["sasl_plain_username"] = kafka.sasl_username
        shared["sasl_plain_password"] = kafka.sasl_password.get_secret_value()
    return shared


def to_record(found: Any) -> Record:
    """Convert a kafka-python record to a :class:`Record`."""
    return Record(
        topic=found.topic,
        partition=found.partition,
        offset=found.offset,
        key=found.key,
        value=found.value,
        headers={name: (value or b"").decode("utf-8", "replace") for name, value in found.headers},
        timestamp_ms=found.timestamp,
    )


def to_headers(headers: Mapping[str, str]) -> list[tuple[str, bytes]]:
    """Convert headers to the form that kafka-python expects."""
    return [(name, value.encode()) for name, value in headers.items()]


def _raises_unavailable(call: Callable[_P, _T]) -> Callable[_P, _T]:
    """Wrap a method so that it raises the client library's errors as Unavailable."""

    @wraps(call)
    def guarded(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        try:
            return call(*args, **kwargs)
        except (KafkaError, OSError) as error:
            raise Unavailable(f"Kafka: `{call.__name__}` failed: {type(error).__name__}: {error}") from error

    return guarded


class KafkaTopics:
    """The port Topics on a real broker. It connects at first use."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._timeout_s = settings.kafka.request_timeout_s
        self._lock = threading.RLock()
        self._idle_consumers: list[Any] = []
        self._opened_producer: Any = None

    @_raises_unavailable
    def ensure(self) -> list[str]:
        """Create missing topics, and add the settings that earlier releases did not set on existing topics.

        Returns:
            The names of the topics created.

        Raises:
            InvalidInput: topics exist whose partitions or settings differ from the contract; the message lists all.
        """
        with self._lock, closing(KafkaAdminClient(**connection(self._settings))) as admin:
            return ensure_topics(admin, self._settings.kafka.replication_factor, self._timeout_s)

    @_raises_unavailable
    def topic_id(self, topic: str) -> str:
        """Return the id that the broker assigned when the topic was created; empty if brokers assign none."""
        with self._lock, closing(KafkaAdminClient(**connection(self._settings))) as admin:
            found = topic_id(admin, topic)
        if found is None:
            raise self._no_topic(topic)
        return found

    @_raises_unavailable
    def start_positions(self, topic: str) -> dict[int, int]:
        """Return the first retained offset of each partition."""
        with self._borrowed_consumer() as consumer:
            found = consumer.beginning_offsets(self._partitions(consumer, topic))
        return {partition.partition: offset for partition, offset in sorted(found.items())}

    @_raises_unavailable
    def end_positions(self, topic: str) -> dict[int, int]:
        """Return the offset after the last committed record of each partition (``read_committed``)."""
        with self._borrowed_consumer() as consumer:
            found = consumer.end_offsets(self._partitions(consumer, topic))
        return {partition.partition: offset for partition, offset in sorted(found.items())}

    @_raises_unavailable
    def committed_positions(self, topic: str, group: str) -> dict[int, int]:
        """Return the positions that a consumer group has committed, of each partition that has one."""
        with self._lock, closing(KafkaAdminClient(**connection(self._settings))) as admin:
            found = admin.list_group_offsets(group).get(group, {})
        return {at.partition: kept.offset for at, kept in sorted(found.items()) if at.topic == topic}

    def read(self, topic: str, partition: int, start: int, end: int) -> Iterator[Record]:
        """Yield the committed records of an offset range, in order.

        Args:
            topic: the topic.
            partition: the partition.
            start: first offset.
            end: offset after the last one.

        Yields:
            The records; their offsets may have gaps.

        Raises:
            Unavailable: the broker did not answer in time; the records yielded so far are valid.
        """
        where = TopicPartition(topic, partition)
        try:
            with self._borrowed_consumer() as consumer:
                consumer.assign([where])
                consumer.seek(where, start)
                yield from _records(consumer, where, end, self._timeout_s)
        except (KafkaError, OSError) as error:
            raise Unavailable(f"Kafka failed while reading {topic}-{partition}: {error}") from error

    @_raises_unavailable
    def follow(
        self, topics: Iterable[str], *, from_end: bool = True, positions: Mapping[tuple[str, int], int] | None = None
    ) -> Follower:
        """Open a follower of several topics, with its own connection.

        Args:
            topics: the topics.
            from_end: whether to start after the last committed records instead of at the first retained ones.
            positions: other positions to start at, by topic and partition.
        """
        consumer = self._new_consumer()
        try:
            partitions = [where for topic in dict.fromkeys(topics) for where in self._partitions(consumer, topic)]
            consumer.assign(partitions)
            ends, firsts = consumer.end_offsets(partitions), consumer.beginning_offsets(partitions)
            for where in partitions:
                wanted = (positions or {}).get((where.topic, where.partition))
                if wanted is None:
                    wanted = ends[where] if from_end else firsts[where]
                consumer.seek(where, wanted if firsts[where] <= wanted <= ends[where] else firsts[where])
        except BaseException:
            consumer.close()
            raise
        return KafkaFollower(consumer)

    def latest_by_key(self, topic: str) -> dict[str, bytes]:
        """Return the last value of each key of a compacted topic, without keys whose last record is a tombstone."""
        starts, ends = self.start_positions(topic), self.end_positions(topic)
        latest: dict[str, bytes | None] = {}
        for partition, end in ends.items():
            for record in self.read(topic, partition, starts[partition], end):
                if record.key is not None:
                    latest[record.key.decode("utf-8", "replace")] = record.value
        return {key: value for key, value in latest.items() if value is not None}

    @_raises_unavailable
    def send(self, records: Iterable[Outgoing]) -> None:
        """Send the records and wait until all are acknowledged."""
        with self._lock:
            producer = self._producer()
            try:
                futures = [
                    producer.send(item.topic, item.value, key=item.key, headers=to_headers(item.headers))
                    for item in records
                ]
                for future in futures:
                    future.get(timeout=self._timeout_s)
            except (KafkaError, OSError):
                # An idempotent producer whose records have expired never sends again (seen after a broker was down for
                # a minute). Records that it still buffers must not be sent after this call has failed.
                self._opened_producer = None
                producer.close(timeout=0)
                raise

    def close(self) -> None:
        """Close the connections; the next call opens new ones."""
        with self._lock:
            while self._idle_consumers:
                self._idle_consumers.pop().close()
            if self._opened_producer is not None:
                self._opened_producer.close(timeout=self._timeout_s)
                self._opened_producer = None

    def _partitions(self, consumer: Any, topic: str) -> list[Any]:
        found = consumer.partitions_for_topic(topic)
        if not found:
            raise self._no_topic(topic)
        return [TopicPartition(topic, number) for number in sorted(found)]

    def _no_topic(self, topic: str) -> NotFound:
        where = self._settings.kafka_bootstrap
        return NotFound(f"topic {topic!r} does not exist on {where}: create the topics first (`stack up` does this)")

    @contextmanager
    def _borrowed_consumer(self) -> Iterator[Any]:
        """Lend an idle or new consumer; return it to the pool if the caller's block succeeds, otherwise close it."""
        with self._lock:
            consumer = self._idle_consumers.pop() if self._idle_consumers else None
        if consumer is None:
            consumer = self._new_consumer()
        try:
            yield consumer
        except BaseException:
            consumer.close()
            raise
        with self._lock:
            self._idle_consumers.append(consumer)

    def _new_consumer(self) -> Any:
        accept_any_header_names()
        try:
            return KafkaConsumer(
                **connection(self._settings),
                isolation_level="read_committed",
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                max_partition_fetch_bytes=MAX_FETCH_BYTES,
                allow_auto_create_topics=False,
            )
        except (KafkaError, OSError) as error:
            raise Unavailable(f"no Kafka broker answers at {self._settings.kafka_bootstrap}: {error}") from error

    def _producer(self) -> Any:
        if self._opened_producer is None:
            timeout_ms = int(self._timeout_s * 1000)
            self._opened_producer = KafkaProducer(
                **connection(self._settings),
                enable_idempotence=True,
                max_request_size=MAX_FETCH_BYTES,
                max_block_ms=timeout_ms,
                delivery_timeout_ms=timeout_ms,
                allow_auto_create_topics=False,
            )
        return self._opened_producer


class KafkaFollower:
    """The port Follower on a real broker: a consumer without a group, on manually assigned partitions."""

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer

    @_raises_unavailable
    def poll(self, timeout_s: float) -> Sequence[Record]:
        """Return the next records, possibly none; wait at most ``timeout_s`` for the first one."""
        found = self._consumer.poll(timeout_ms=int(timeout_s * 1000))
        return [to_record(record) for records in found.values() for record in records]

    @_raises_unavailable
    def behind(self) -> int:
        """Ask the brokers how many offsets are left to read; 0 if the last committed records have been returned."""
        ends = self._consumer.end_offsets(list(self._consumer.assignment()))
        return sum(max(0, end - self._consumer.position(where)) for where, end in ends.items())

    def close(self) -> None:
        """Close the connections."""
        self._consumer.close()


def _records(consumer: Any, where: Any, end: int, timeout_s: float) -> Iterator[Record]:
    """Poll until the consumer's position, which skips gaps and transaction markers, has reached the end."""
    deadline = time.monotonic() + timeout_s
    while consumer.position(where) < end:
        found = consumer.poll(timeout_ms=200).get(where, [])
        for record in found:
            if record.offset >= end:
                return
            yield to_record(record)
        if found:
            deadline = time.monotonic() + timeout_s
        elif time.monotonic() > deadline and consumer.position(where) < end:
            raise Unavailable(
                f"no records from {where.topic}-{where.partition} for {timeout_s:g} s; "
                f"at {consumer.position(where)}, expected to reach {end}"
            )
