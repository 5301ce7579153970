"""Track every question from its poll to its publication.

Answers finish in any order, but Kafka stores one committed offset per partition. So a reply is published together with
the replies to all earlier questions of its partition, or after them.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from kogpt2_chat.domain.chat.turns import Fallback, Turn
from kogpt2_chat.domain.chat.wire import Question, turn_id
from kogpt2_chat.domain.safety.crisis import CrisisKind
from kogpt2_chat.inference.engine import Finished, Sampling
from kogpt2_chat.ports import Outgoing, Record
from serving.slot import LoadedVersion, Route


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A question's answer with its turn, as records ready to be sent.

    Attributes:
        outgoing: the answer, and its turn if it is stored.
        turn: the turn.
        answer_tokens: number of tokens that were decoded, even if another text replaced them.
        crisis: the kind of crisis, for a vetted answer. It is counted but not logged.
    """

    outgoing: tuple[Outgoing, ...]
    turn: Turn
    answer_tokens: int = 0
    crisis: CrisisKind | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLettered:
    """A dead letter, as a record ready to be sent, and its reason."""

    outgoing: tuple[Outgoing, ...]
    reason: str


Reply = Answered | DeadLettered


@dataclass(slots=True, kw_only=True)
class RequestContext:
    """A question that was read, and the state of its answer.

    Attributes:
        received_s: when it was polled, in monotonic seconds, like ``deadline_s``.
        route: the version that answers; set when decoding begins.
        prompt_ids: token ids of the prompt.
        sampling: how tokens are chosen; None is greedy.
        finished_s: when the engine returned ``finished``, in monotonic seconds.
        crisis: the kind of crisis, if ``fallback`` is ``safety``.
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
    finished_s: float = 0.0
    crisis: CrisisKind | None = None

    @property
    def loaded(self) -> LoadedVersion | None:
        """The version that answers; None if there is none."""
        return self.route.loaded if self.route else None


@dataclass(slots=True, kw_only=True, eq=False)
class Request:
    """One polled record.

    Attributes:
        turn_id: its partition and offset, which identify it outside this process too.
        context: the question that was read; None before that, and for a record that cannot be read.
        reply: the reply; None until it is built.
    """

    record: Record
    turn_id: str
    context: RequestContext | None = None
    reply: Reply | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CommittableBatch:
    """The replies that one transaction may carry.

    Attributes:
        positions: by partition, the offset after its last request in this batch.
        requests: the requests of each partition in order; each has its reply.
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
    """All requests in flight and their state.

    Attributes:
        waiting: requests that wait for the engine, in the order in which they were polled.
        decoding: requests in the engine, by the engine's request id.
    """

    waiting: deque[Request] = field(default_factory=deque)
    decoding: dict[str, Request] = field(default_factory=dict)
    _requests_by_partition: dict[int, deque[Request]] = field(default_factory=dict)
    _count: int = 0

    def __len__(self) -> int:
        """Return the number of requests."""
        return self._count

    @property
    def is_busy(self) -> bool:
        """Whether a request waits for the engine or is in it."""
        return bool(self.decoding or self.waiting)

    def add(self, record: Record) -> Request:
        """Add a polled record. Records of one partition must be added in the order of their offsets."""
        request = Request(record=record, turn_id=turn_id(record.partition, record.offset))
        self._requests_by_partition.setdefault(record.partition, deque()).append(request)
        self._count += 1
        return request

    def take(self, max_replies: int, max_bytes: int) -> CommittableBatch:
        """Remove and return the requests that may be published now, possibly none.

        Args:
            max_replies: maximum number of requests.
            max_bytes: maximum size of all their records; the last request may exceed it.
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
        """Remove every request.

        Returns:
            The number of removed requests.
        """
        dropped, self._count = self._count, 0
        self.waiting.clear()
        self.decoding.clear()
        self._requests_by_partition.clear()
        return dropped
