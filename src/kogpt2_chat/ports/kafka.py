"""Kafka, twice: plain topics read by position, and the worker's exchange with its transactions."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One record as it stands in a topic. Its position is ``(topic, partition, offset)``."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, str] = field(default_factory=dict)
    timestamp_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A record to be sent. No partition: Kafka's own partitioner chooses by key."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, str] = field(default_factory=dict)


class Topics(Protocol):
    """Kafka topics read by position and written outside any transaction."""

    def ensure(self) -> list[str]:
        """Create the contract's topics that are missing; give the names of those created."""
        ...

    def topic_id(self, topic: str) -> str:
        """What tells a topic from one of the same name made later; empty where brokers give no ids."""
        ...

    def start_positions(self, topic: str) -> dict[int, int]:
        """First retained offset of each partition."""
        ...

    def end_positions(self, topic: str) -> dict[int, int]:
        """Offset after the last committed record of each partition (read_committed)."""
        ...

    def read(self, topic: str, partition: int, start: int, end: int) -> Iterator[Record]:
        """Committed records with ``start <= offset < end``, in order; positions may have holes."""
        ...

    def latest_by_key(self, topic: str) -> dict[str, bytes]:
        """The last value of each key of a compacted topic; tombstoned keys are left out."""
        ...

    def send(self, records: Iterable[Outgoing]) -> None:
        """Send and wait until all are acknowledged.

        Raises:
            Unavailable: some record was not acknowledged in time.
        """
        ...


@dataclass(frozen=True, slots=True)
class Assignment:
    """Under which partitions a worker polled.

    Two batches with equal assignments may be published together. A batch with another one says that everything
    polled before is stale.

    Attributes:
        revocations: how often partitions were taken from this worker until then.
        member: what the broker fences by; only the adapter knows it.
    """

    revocations: int
    member: object = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Batch:
    """Questions of one poll.

    Attributes:
        records: in order within each partition.
        assignment: under which their offsets may be committed.
    """

    records: tuple[Record, ...]
    assignment: Assignment


@dataclass(frozen=True, slots=True)
class PublishResult:
    """What came of a transaction.

    Attributes:
        published: whether all of it is visible. If it is not, or if that is unknown (partitions lost, transaction
            aborted), forget everything in flight and recover.
        too_large: the record that its topic does not take, if that is the reason.
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
        """Begin at the committed positions: at the start, and whenever something in flight was dropped.

        Raises:
            Unavailable: the broker cannot be reached; try again later.
            Fenced: another process has taken this worker's ordinal; end.
        """
        ...

    def poll(self, timeout_s: float, max_records: int) -> Batch:
        """Return the next questions, possibly none. With ``max_records`` 0, only stay a member of the group.

        Raises:
            Unavailable: the broker cannot be reached; poll again later.
            Fenced: another process has taken this worker's ordinal; end.
        """
        ...

    def publish(
        self, assignment: Assignment, positions: Mapping[int, int], outgoing: Sequence[Outgoing]
    ) -> PublishResult:
        """Make all records visible and move the committed positions, in one transaction.

        Args:
            assignment: under which all of it was polled.
            positions: by partition, the offset after the last question that is answered without a gap.
            outgoing: answers, turns and dead letters of those questions.
        """
        ...

    def lag(self) -> dict[int, int]:
        """Return how many questions of each owned partition have not been polled yet, as far as is known."""
        ...

    def close(self) -> None:
        """Leave the group and close every connection."""
        ...
