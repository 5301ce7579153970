"""What every engine that decodes bots side by side has to remember: a lane a bot, and who waits or decodes in it.

Engines differ in how a lane is taken one token on, and in what a row keeps of its past; who joins, who leaves and
what becomes of a swap is the same for all, and stands here.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

from kogpt2_chat.domain.prompt import END_ID
from kogpt2_chat.errors import Conflict, NotFound
from kogpt2_chat.model.engine import BotModel, Finished, Sampling, StopReason

_NEVER: Final = float("inf")


@dataclass(slots=True, kw_only=True)
class Row:
    """One request.

    Attributes:
        deadline: on the engine's clock.
        tokens: those generated so far.
        logprob: sum of the log-probabilities of all chosen tokens, the end token among them, in nat.
        ended: the model has said its end token.
        cancelled: nobody waits for it any more; it leaves as soon as its lane is at rest.
    """

    request_id: str
    prompt_ids: list[int]
    deadline: float
    sampling: Sampling | None = None
    tokens: list[int] = field(default_factory=list)
    logprob: float = 0.0
    ended: bool = False
    cancelled: bool = False

    def finished(self, reason: StopReason) -> Finished:
        """What the engine gives back."""
        chosen = len(self.tokens) + self.ended
        mean = self.logprob / chosen if chosen else 0.0
        return Finished(request_id=self.request_id, token_ids=tuple(self.tokens), stop_reason=reason, logprob=mean)

    def take(self, token: int, logprob: float) -> None:
        """One more token was chosen; the end token is none of the answer's."""
        self.logprob += logprob
        self.ended = token == END_ID
        if not self.ended:
            self.tokens.append(token)


RowT = TypeVar("RowT", bound=Row)


@dataclass(slots=True, kw_only=True)
class Lane(Generic[RowT]):
    """Requests that one model answers: those waiting, and those being decoded."""

    model: BotModel
    waiting: list[RowT] = field(default_factory=list)
    rows: list[RowT] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        """Whether nobody waits or decodes."""
        return not (self.rows or self.waiting)

    @property
    def is_at_rest(self) -> bool:
        """Whether its rows may be touched."""
        return True


LaneT = TypeVar("LaneT", bound=Lane[Any])


class LaneEngine(ABC, Generic[RowT, LaneT]):
    """All of an :class:`kogpt2_chat.model.engine.Engine` but ``step``.

    Args:
        max_batch: rows a bot decodes at once; more wait.
        max_new_tokens: bound of an answer.
        clock: for deadlines.
    """

    def __init__(
        self, *, max_batch: int = 32, max_new_tokens: int = 48, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._max_batch = max_batch
        self._max_new_tokens = max_new_tokens
        self._clock = clock
        self._lane_by_bot: dict[str, LaneT] = {}
        self._retired: list[LaneT] = []
        self._ids: set[str] = set()

    @property
    def in_flight(self) -> int:
        """Requests added and not yet finished or cancelled."""
        return len(self._ids)

    def set_model(self, bot: str, model: BotModel) -> None:
        """Later requests of the bot use this model; those decoding end with their old one."""
        old = self._lane_by_bot.get(bot)
        if old is not None and not old.is_empty:
            self._retired.append(old)
        # A model that comes back may still have answers to end: two lanes must not work on its memory at once.
        known = next((lane for lane in self._retired if lane.model is model), None)
        if known is not None:
            self._retired.remove(known)
        self._lane_by_bot[bot] = known or self._make_lane(model)

    def add_request(
        self,
        request_id: str,
        bot: str,
        prompt_ids: Sequence[int],
        deadline_s: float | None = None,
        sampling: Sampling | None = None,
    ) -> None:
        """Queue a question; see :meth:`kogpt2_chat.model.engine.Engine.add_request`.

        Raises:
            NotFound: the bot has no model.
            Conflict: the id is in flight already.
        """
        if bot not in self._lane_by_bot:
            raise NotFound(f"bot {bot!r} has no model: call set_model first")
        if request_id in self._ids:
            raise Conflict(f"request {request_id!r} is in flight already")
        deadline = _NEVER if deadline_s is None else self._clock() + deadline_s
        self._ids.add(request_id)
        self._lane_by_bot[bot].waiting.append(self._make_row(request_id, list(prompt_ids), deadline, sampling))

    def cancel(self, request_id: str) -> None:
        """Forget a request; nothing happens when it is not in flight."""
        if request_id not in self._ids:
            return
        self._ids.discard(request_id)
        for lane in self._lanes():
            lane.waiting = [row for row in lane.waiting if row.request_id != request_id]
            for row in lane.rows:
                row.cancelled |= row.request_id == request_id
            if lane.is_at_rest:
                self._keep(lane, [row for row in lane.rows if not row.cancelled])

    @abstractmethod
    def _make_lane(self, model: BotModel) -> LaneT: ...

    @abstractmethod
    def _make_row(self, request_id: str, prompt_ids: list[int], deadline: float, sampling: Sampling | None) -> RowT: ...

    @abstractmethod
    def _keep(self, lane: LaneT, rows: list[RowT]) -> None:
        """Let go of all rows but these, which are in their old order, and of what they kept."""

    def _lanes(self) -> list[LaneT]:
        return [*self._lane_by_bot.values(), *self._retired]

    def _take_late(self, lane: LaneT) -> list[Finished]:
        """Those whose time was up before they could begin."""
        now = self._clock()
        late = [row for row in lane.waiting if row.deadline <= now]
        lane.waiting = [row for row in lane.waiting if row.deadline > now]
        return [row.finished("deadline") for row in late]

    def _take_done(self, lane: LaneT) -> list[Finished]:
        """After a token more: those that ended, are full, or are late."""
        now = self._clock()
        done, stay = [], []
        for row in lane.rows:
            reason = None if row.cancelled else self._stop_reason(row, now)
            if reason is not None:
                done.append(row.finished(reason))
            elif not row.cancelled:
                stay.append(row)
        self._keep(lane, stay)
        return done

    def _tidy(self, finished: list[Finished]) -> list[Finished]:
        """At the end of a step."""
        self._retired = [lane for lane in self._retired if not lane.is_empty]
        self._ids.difference_update(done.request_id for done in finished)
        return finished

    def _stop_reason(self, row: RowT, now: float) -> StopReason | None:
        if row.ended:
            return "end"
        if len(row.tokens) >= self._max_new_tokens:
            return "length"
        return "deadline" if row.deadline <= now else None
