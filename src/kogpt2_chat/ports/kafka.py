"""The two Kafka ports: plain topics read by position, and the worker's transactional consumer."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One record of a topic, at position ``(topic, partition, offset)``."""

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


class Topics(Protocol):
    """Kafka topics, read by position and written outside transactions."""

    def ensure(self) -> list[str]:
        """Create the contract's topics that are missing and return their names."""
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

    def read(self, topic: str, partition: int, start: int, end: int) -> Iterator[Record]:
        """Yield the committed records with ``start <= offset < end``, in order; offsets may have gaps."""
        ...

    def latest_by_key(self, topic: str) -> dict[str, bytes]:
        """Return the last value of each key of a compacted topic, without keys that have a tombstone."""
        ...

    def send(self, records: Iterable[Outgoing]) -> None:
        """Send the records and wait until all are acknowledged.

        Raises:
            Unavailable: a record was not acknowledged in time.
        """
        ...


@dataclass(frozen=True, slots=True)
class Assignment:
    """The partition assignment under which a worker polled.

    Batches with equal assignments may be published together. A batch with a different assignment means that every
    batch polled before it is stale.

    Attributes:
        revocations: how many times this worker had lost partitions before the poll.
        member: the group membership that the broker checks for fencing; opaque outside the adapter.
    """

    revocations: int
    member: object = field(default=None, compare=False)


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
        published: whether all records are visible. If they are not, or if the outcome is unknown (partitions lost,
            transaction aborted), drop everything in flight and recover.
        too_large: the record that exceeds the size limit, if that is the reason.
    """

    published: bool
    too_large: Outgoing | None = None


class TransactionalConsumer(Protocol):
    """The worker's side of Kafka: questions in; answers, turns, dead letters and offsets out, atomically.

    It keeps two positions per partition: the *polled* one, after the last record that `poll` returned, and the
    *committed* one, which `publish` moves together with the records that it makes visible. `recover` sets the first
    back to the second.

    One thread owns it. Only `publish` may run in another one meanwhile, one call at a time.
    """

    def recover(self) -> None:
        """Reset to the committed positions: at the start, and whenever something in flight was dropped.

        Raises:
            Unavailable: the broker cannot be reached; try again later.
            Fenced: another process has taken this worker's ordinal; end this process.
        """
        ...

    def poll(self, timeout_s: float, max_records: int) -> Batch:
        """Return the next questions, possibly none. With ``max_records`` 0, only stay a member of the group.

        Raises:
            Unavailable: the broker cannot be reached; poll again later.
            Fenced: another process has taken this worker's ordinal; end this process.
        """
        ...

    def publish(
        self, assignment: Assignment, positions: Mapping[int, int], outgoing: Sequence[Outgoing]
    ) -> PublishResult:
        """Make all records visible and move the committed positions, in one transaction.

        Args:
            assignment: the assignment under which all of it was polled.
            positions: per partition, the offset after the last question that is answered without a gap.
            outgoing: the answers, turns and dead letters of those questions.
        """
        ...

    def lag(self) -> dict[int, int]:
        """Return how many questions of each owned partition are not polled yet, for partitions where this is known."""
        ...

    def close(self) -> None:
        """Leave the group and close every connection."""
        ...
