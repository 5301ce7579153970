"""Every question between poll and publication: one record each, all of them in one tracker.

Answers finish in any order; offsets commit in theirs. Kafka keeps one position per partition, so a transaction
carries only the replies that have no gap before them. A reply behind a slower question waits for it.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from kogpt2_chat.domain.chat.turns import Fallback, Turn
from kogpt2_chat.domain.chat.wire import Question, turn_id
from kogpt2_chat.domain.safety.crisis import Kind
from kogpt2_chat.inference.engine import Finished, Sampling
from kogpt2_chat.inference.nearest import Found
from kogpt2_chat.ports import Outgoing, Record
from serving.slot import LoadedVersion, Route


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A question's answer with its turn, as records ready to be sent.

    Attributes:
        answer_tokens: tokens that were decoded for it, whether or not they became the answer.
        crisis: the kind of crisis that a vetted answer was given for. It is counted and not logged.
    """

    outgoing: tuple[Outgoing, ...]
    turn: Turn
    answer_tokens: int = 0
    crisis: Kind | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLettered:
    """A record that cannot be answered, as a dead letter ready to be sent."""

    outgoing: tuple[Outgoing, ...]
    reason: str


Reply = Answered | DeadLettered


@dataclass(slots=True, kw_only=True)
class RequestContext:
    """A question that was read, and what is known so far about its answer.

    Attributes:
        received_s: monotonic, like ``deadline_s``.
        route: who answers; set when decoding begins.
        prompt_ids: what the model reads.
        sampling: how its tokens are chosen; None is greedy.
        found: the known question whose answer replaces the model's.
        crisis: what the question may speak of, if `fallback` is `safety`.
    """

    question: Question
    received_at: datetime
    received_s: float
    deadline_s: float
    route: Route | None = None
    fallback: Fallback | None = None
    prompt_ids: Sequence[int] = ()
    sampling: Sampling | None = None
    finished: Finished | None = None
    found: Found | None = None
    crisis: Kind | None = None

    @property
    def loaded(self) -> LoadedVersion | None:
        """The version that answers; None if there is none."""
        return self.route.loaded if self.route else None


@dataclass(slots=True, kw_only=True, eq=False)
class Request:
    """One polled record.

    Attributes:
        turn_id: its position, which identifies it everywhere outside this process.
        context: what was read; None until then, and for a record that cannot be read.
        reply: what it leads to; None until that is known.
    """

    record: Record
    turn_id: str
    context: RequestContext | None = None
    reply: Reply | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CommittableBatch:
    """What one transaction may carry.

    Attributes:
        positions: by partition, the offset after its last request here.
        requests: in the order of each partition; each has its reply.
    """

    positions: dict[int, int]
    requests: tuple[Request, ...]

    @property
    def replies(self) -> list[Reply]:
        """The reply of each request."""
        return [request.reply for request in self.requests if request.reply is not None]

    @property
    def outgoing(self) -> list[Outgoing]:
        """Every record to be sent."""
        return [item for reply in self.replies for item in reply.outgoing]


@dataclass(slots=True)
class InFlightTracker:
    """The only place that knows which requests a worker holds and how far each of them is.

    Attributes:
        waiting: read, and not yet given to the engine, in the order of the polls.
        decoding: in the engine, by request id.
    """

    waiting: deque[Request] = field(default_factory=deque)
    decoding: dict[str, Request] = field(default_factory=dict)
    _requests_by_partition: dict[int, deque[Request]] = field(default_factory=dict)
    _count: int = 0

    def __len__(self) -> int:
        """How many requests are held."""
        return self._count

    @property
    def is_busy(self) -> bool:
        """Whether a request has no reply yet."""
        return bool(self.decoding or self.waiting)

    def add(self, record: Record) -> Request:
        """Hold a polled record. Records of one partition come in its order."""
        request = Request(record=record, turn_id=turn_id(record.partition, record.offset))
        self._requests_by_partition.setdefault(record.partition, deque()).append(request)
        self._count += 1
        return request

    def take(self, max_replies: int, max_bytes: int) -> CommittableBatch:
        """Take out what may be published now, possibly nothing.

        Args:
            max_replies: most requests.
            max_bytes: of all their records; the last request taken may exceed it.
        """
        positions: dict[int, int] = {}
        taken: list[Request] = []
        for partition, requests in self._requests_by_partition.items():
            while requests and len(taken) < max_replies and max_bytes > 0 and (reply := requests[0].reply) is not None:
                max_bytes -= sum(len(item.value or b"") for item in reply.outgoing)
                request = requests.popleft()
                positions[partition] = request.record.offset + 1
                taken.append(request)
        self._count -= len(taken)
        return CommittableBatch(positions=positions, requests=tuple(taken))

    def clear(self) -> int:
        """Forget every request.

        Returns:
            How many there were.
        """
        dropped, self._count = self._count, 0
        self.waiting.clear()
        self.decoding.clear()
        self._requests_by_partition.clear()
        return dropped
