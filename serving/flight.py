"""Questions between poll and publication: answers finish in any order, offsets commit in theirs.

Kafka keeps one position a partition, so a transaction may carry only what is answered without a gap before it: the
prefix of each partition. An answer behind a slower one waits for it, never the other way round.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from kogpt2_chat.ports import Outgoing, Record
from serving.reply import Reply


@dataclass(slots=True)
class _Place:
    """One question; ``reply`` comes later."""

    offset: int
    reply: Reply | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Prefix:
    """What one transaction may carry.

    Attributes:
        positions: by partition, the offset after its last question here.
        replies: in the order of each partition.
    """

    positions: dict[int, int]
    replies: tuple[Reply, ...]

    @property
    def outgoing(self) -> list[Outgoing]:
        """Every record to be sent."""
        return [item for reply in self.replies for item in reply.outgoing]


@dataclass(slots=True)
class Flight:
    """What has been polled and not yet handed over for publication."""

    _places_by_partition: dict[int, deque[_Place]] = field(default_factory=dict)
    _place_by_turn: dict[str, _Place] = field(default_factory=dict)
    _count: int = 0

    def __len__(self) -> int:
        return self._count

    def add(self, turn_id: str, record: Record) -> None:
        """A question that was polled; those of a partition come in its order."""
        place = _Place(record.offset)
        self._places_by_partition.setdefault(record.partition, deque()).append(place)
        self._place_by_turn[turn_id] = place
        self._count += 1

    def settle(self, replies: Iterable[Reply]) -> None:
        """What questions led to."""
        for reply in replies:
            self._place_by_turn.pop(reply.turn_id).reply = reply

    def take(self, most: int, most_bytes: int) -> Prefix:
        """Take out what may be published now; possibly nothing.

        Args:
            most: questions.
            most_bytes: of all their records; the last one taken may lead over it.
        """
        positions: dict[int, int] = {}
        replies: list[Reply] = []
        for partition, places in self._places_by_partition.items():
            while places and len(replies) < most and most_bytes > 0 and (reply := places[0].reply) is not None:
                most_bytes -= sum(len(item.value or b"") for item in reply.outgoing)
                positions[partition] = places.popleft().offset + 1
                replies.append(reply)
        self._count -= len(replies)
        return Prefix(positions=positions, replies=tuple(replies))

    def clear(self) -> int:
        """Forget everything; give how many questions that were."""
        dropped, self._count = self._count, 0
        self._places_by_partition.clear()
        self._place_by_turn.clear()
        return dropped
