"""The Kafka ports: topics read by position, a follower of new records, and the worker's transactional consumer."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One record of a topic, identified by topic, partition and offset.

    Attributes:
        value: the content; None is a tombstone.
        headers: values by name; bytes that are not UTF-8 are replaced.
        timestamp_ms: the record's time in Unix milliseconds.
    """

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, str] = field(default_factory=dict)
    timestamp_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A record to send. It has no partition: the client's partitioner chooses one by key."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, str] = field(default_factory=dict)


class Follower(Protocol):
    """Reads the new records of some topics, outside any consumer group: every follower gets every record.

    It keeps one position per partition, fixed when it is opened. From there on, ``poll`` returns each committed record
    (``read_committed``) once, in the order of its partition. It follows the partitions that exist when it is opened.
    If retention deletes records before they are read, it continues with the first retained one.

    Use it from one thread only.
    """

    def poll(self, timeout_s: float) -> Sequence[Record]:
        """Return the next records, possibly none; wait at most ``timeout_s`` for the first one.

        A broker that cannot be reached looks like a topic without new records.

        Raises:
            Unavailable: the client library reports an error; a later poll may succeed.
        """
        ...

    def behind(self) -> int:
        """Ask the brokers how many offsets are left to read; 0 if the last committed records have been returned.

        Raises:
            Unavailable: they do not answer in time. The positions stay as they are, and a later poll may succeed.
        """
        ...

    def close(self) -> None:
        """Close the connections."""
        ...


class Topics(Protocol):
    """Kafka topics, read by position or followed, and written outside transactions. Thread-safe.

    A *position* is an offset to read from or up to. Not every offset has a record, so the difference of two positions
    is not a number of records.

    Every method raises ``Unavailable`` if the broker does not answer in time, and every method that names a topic
    raises ``NotFound`` if it does not exist, unless its docstring says otherwise.
    """

    def ensure(self) -> list[str]:
        """Create the contract's topics that are missing and return their names.

        Raises:
            InvalidInput: topics exist whose partitions or settings differ from the contract.
            Unavailable: the broker does not answer in time.
        """
        ...

    def topic_id(self, topic: str) -> str:
        """Return the topic's id, which a recreated topic of the same name does not share.

        Empty if the brokers do not assign topic ids.
        """
        ...

    def start_positions(self, topic: str) -> dict[int, int]:
        """Return the first retained offset of each partition."""
        ...

    def end_positions(self, topic: str) -> dict[int, int]:
        """Return the offset after the last committed record of each partition (``read_committed``)."""
        ...

    def committed_positions(self, topic: str, group: str) -> dict[int, int]:
        """Return the positions that a consumer group has committed, of each partition that has one.

        A topic that does not exist has none.
        """
        ...

    def read(self, topic: str, partition: int, start: int, end: int) -> Iterator[Record]:
        """Yield the committed records with ``start <= offset < end``, in order; not every offset has a record.

        Raises:
            Unavailable: the broker does not answer in time; the records yielded so far are valid.
        """
        ...

    def follow(
        self, topics: Iterable[str], *, from_end: bool = True, positions: Mapping[tuple[str, int], int] | None = None
    ) -> Follower:
        """Open a follower of several topics. Close it after use.

        Args:
            topics: the topics.
            from_end: whether to start after the last committed record of each partition, instead of at the first
                retained one. Records that are sent after this call returns are never missed.
            positions: other positions to start at, by topic and partition. If the partition does not reach so far, or
                no longer has that offset, the follower starts at the first retained record.

        Raises:
            NotFound: a topic does not exist.
            Unavailable: the broker does not answer in time.
        """
        ...

    def latest_by_key(self, topic: str) -> dict[str, bytes]:
        """Return the last value of each key of a compacted topic; leave out keys with a tombstone."""
        ...

    def send(self, records: Iterable[Outgoing]) -> None:
        """Send the records and wait until all are acknowledged.

        Raises:
            Unavailable: a record was not acknowledged in time. Any of the records may have been written.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupMember:
    """A worker's membership in its consumer group. By it the broker refuses a worker that has lost its partitions.

    Attributes:
        generation: the group's generation; negative outside a group.
        member_id: the id that the broker assigned.
    """

    generation: int
    member_id: str


@dataclass(frozen=True, slots=True)
class Assignment:
    """The partition assignment under which a worker polled; see :class:`TransactionalConsumer`.

    Batches with equal assignments may be published together. A batch with a different assignment means that every
    batch polled before it is stale.

    Attributes:
        revocations: how many times this worker had lost partitions before the poll.
        member: the membership at the poll, which the broker checks; None if there is no group.
    """

    revocations: int
    member: GroupMember | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Batch:
    """The questions returned by one poll.

    Attributes:
        records: the questions, in order within each partition.
        assignment: the assignment under which their offsets may be committed.
    """

    records: tuple[Record, ...]
    assignment: Assignment


@dataclass(frozen=True, slots=True)
class PublishResult:
    """The outcome of a transaction.

    Attributes:
        published: whether all records are visible. False if partitions were lost, if the transaction was aborted, or if
            its outcome is unknown: then drop everything in flight and recover.
        too_large: the record that exceeds the size limit, if that is the reason.
    """

    published: bool
    too_large: Outgoing | None = None


class TransactionalConsumer(Protocol):
    """The worker's Kafka client: polls questions, and publishes answers, turns, dead letters and offsets atomically.

    For each partition that the worker owns, it keeps two offsets:

    - The *polled* offset follows the last question that ``poll`` returned. The next poll continues there.
    - The *committed* offset follows the last question whose reply is published. The broker stores it for the group, so
      a successor starts there. Only ``publish`` moves it, together with the records that it makes visible.

    The questions between the two are *in flight*: polled, but without a visible reply. Replies may be ready in any
    order, but only one offset per partition is committed. Therefore a *committable batch* contains, of each partition,
    only the replies without an unfinished question before them.

    ``recover`` sets the polled offset back to the committed one, so that everything in flight is polled again. The
    worker must first drop what it has in flight.

    The broker may assign partitions to another worker. An *assignment* counts how often this worker has lost any. A
    poll whose assignment differs from the one before makes everything in flight stale: drop it and recover. The
    committed offset of a lost partition belongs to its new owner, and ``publish`` refuses to move it.

    Use it from one thread only, except for ``publish``, which may run in another thread, one call at a time.
    """

    def recover(self) -> None:
        """Set the polled offsets back to the committed ones: at the start, and after everything in flight was dropped.

        An open transaction of this worker, or of its predecessor with the same ordinal, is aborted.

        Raises:
            Unavailable: the broker cannot be reached; try again later.
            Fenced: another process has taken this worker's ordinal; end this process.
        """
        ...

    def poll(self, timeout_s: float, max_records: int) -> Batch:
        """Return the next questions, possibly none, and move the polled offsets. The first poll joins the group.

        Args:
            timeout_s: maximum time to wait for a question.
            max_records: maximum number of questions; 0 only keeps this worker in the group.

        Raises:
            Unavailable: the broker cannot be reached; poll again later.
            Fenced: another process has taken this worker's ordinal; end this process.
        """
        ...

    def publish(
        self, assignment: Assignment, positions: Mapping[int, int], outgoing: Sequence[Outgoing]
    ) -> PublishResult:
        """Make all records of a committable batch visible and move the committed offsets, in one transaction.

        A failed transaction is reported in the result, not raised. It may then stay open and hide later records of its
        partitions from readers, until ``recover`` ends it.

        Args:
            assignment: the assignment under which all of it was polled.
            positions: the new committed offset of each partition in the batch.
            outgoing: the answers, turns and dead letters of its questions.
        """
        ...

    def lag(self) -> dict[int, int]:
        """Return how far each owned partition's polled offset is behind the partition's end, if that is known."""
        ...

    def close(self) -> None:
        """Close every connection; an open transaction is aborted, and nothing more is published.

        Until this worker's session times out, its partitions are reserved for a successor with the same ordinal.
        """
        ...
