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
class Batch:
    """Questions of one poll, and the claim under which their offsets may be committed.

    Attributes:
        records: in order within each partition.
        claim: opaque to the worker; two batches with equal claims may be published together, and a claim that
            differs from the last one says that everything polled under that one is stale.
    """

    records: tuple[Record, ...]
    claim: object = None


class Exchange(Protocol):
    """The worker's side of Kafka: questions in; answers, turns, dead letters and offsets out, atomically.

    One thread owns it; only ``publish`` may run in another one meanwhile, one call at a time.
    """

    def recover(self) -> None:
        """Begin at the committed positions: at the start, and whenever something in flight was dropped.

        Raises:
            Unavailable: the broker cannot be reached; try again later.
            Ousted: another process has taken this worker's slot; end.
        """
        ...

    def poll(self, timeout_s: float, max_records: int) -> Batch:
        """Next questions, possibly none; with ``max_records`` 0 only the membership of the group is kept up.

        Raises:
            Unavailable: the broker cannot be reached; poll again later.
            Ousted: another process has taken this worker's slot; end.
        """
        ...

    def publish(self, claim: object, positions: Mapping[int, int], outgoing: Sequence[Outgoing]) -> bool:
        """Make all records visible and move the group's positions, in one transaction.

        Args:
            claim: under which all of it was polled.
            positions: by partition, the offset after the last question that is answered without a gap.
            outgoing: answers, turns and dead letters of those questions.

        Returns:
            False when nothing was published, or nobody knows (partitions lost, transaction aborted, outcome
            unknown): forget everything in flight and recover.

        Raises:
            InvalidMessage: a record is larger than its topic takes (``question_id`` is its turn id); nothing was
                published: recover.
        """
        ...

    def lag(self) -> dict[int, int]:
        """Questions of each owned partition that have not been polled yet, as far as is known."""
        ...

    def close(self) -> None:
        """Leave the group and give back every connection."""
        ...
