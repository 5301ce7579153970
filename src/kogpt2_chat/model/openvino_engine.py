"""Decoding on OpenVINO: int8 weights, paged keys and values, requests join and leave between any two steps.

Each bot has a lane. A step is one pass a lane: rows that decode bring their last token, rows that join bring their
prompt, side by side.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from kogpt2_chat.domain.prompt import END_ID
from kogpt2_chat.errors import Conflict, NotFound
from kogpt2_chat.model.engine import BotModel, Finished, Sampling, StopReason
from kogpt2_chat.model.paged import PagedModel, Pages
from kogpt2_chat.model.sampling import choose

MAX_PROMPT_TOKENS_A_STEP: Final = 256
"""Rows that decode wait for those that join: a step takes no more prompt tokens than this, or one prompt."""
_NEVER: Final = float("inf")


@dataclass(slots=True, kw_only=True)
class _Row:
    """One request. ``tokens`` are those generated so far, ``coming`` those not yet computed."""

    request_id: str
    coming: list[int]
    deadline: float
    sampling: Sampling | None = None
    pages: Pages = field(default_factory=Pages)
    tokens: list[int] = field(default_factory=list)
    ended: bool = False


@dataclass(slots=True)
class _Lane:
    """Requests that one model answers."""

    model: BotModel
    waiting: list[_Row] = field(default_factory=list)
    rows: list[_Row] = field(default_factory=list)

    @property
    def paged(self) -> PagedModel:
        network: PagedModel = self.model.network
        return network


class OpenVinoEngine:
    """An :class:`kogpt2_chat.model.engine.Engine` on :class:`kogpt2_chat.model.paged.PagedModel`.

    Args:
        max_batch: rows a bot decodes at once; more wait. No more than its model has pages for.
        max_new_tokens: bound of an answer.
        clock: for deadlines.
    """

    def __init__(
        self, *, max_batch: int = 32, max_new_tokens: int = 48, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._max_batch = max_batch
        self._max_new_tokens = max_new_tokens
        self._clock = clock
        self._lane_by_bot: dict[str, _Lane] = {}
        self._retired: list[_Lane] = []
        self._ids: set[str] = set()

    @property
    def in_flight(self) -> int:
        """Requests added and not yet finished or cancelled."""
        return len(self._ids)

    def set_model(self, bot: str, model: BotModel) -> None:
        """Later requests of the bot use this model; those decoding end with their old one."""
        old = self._lane_by_bot.get(bot)
        if old is not None and (old.rows or old.waiting):
            self._retired.append(old)
        self._lane_by_bot[bot] = _Lane(model)

    def add_request(
        self,
        request_id: str,
        bot: str,
        prompt_ids: Sequence[int],
        deadline_s: float | None = None,
        sampling: Sampling | None = None,
    ) -> None:
        """Queue a question.

        Args:
            request_id: unique among those in flight.
            bot: whose model answers.
            prompt_ids: from that model's ``encode``.
            deadline_s: seconds from now after which the request finishes with what it has.
            sampling: how to draw tokens; None is greedy.

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
        row = _Row(request_id=request_id, coming=list(prompt_ids), deadline=deadline, sampling=sampling)
        self._lane_by_bot[bot].waiting.append(row)

    def cancel(self, request_id: str) -> None:
        """Forget a request; nothing happens when it is not in flight."""
        if request_id not in self._ids:
            return
        self._ids.discard(request_id)
        for lane in self._lanes():
            lane.waiting = [row for row in lane.waiting if row.request_id != request_id]
            for row in lane.rows:
                if row.request_id == request_id:
                    lane.paged.release(row.pages)
            lane.rows = [row for row in lane.rows if row.request_id != request_id]

    def step(self) -> list[Finished]:
        """Advance every request by one token; give those that finished."""
        finished: list[Finished] = []
        for lane in self._lanes():
            self._admit(lane)
            if lane.rows:
                _decode(lane)
            finished.extend(self._collect(lane))
        self._retired = [lane for lane in self._retired if lane.rows or lane.waiting]
        self._ids.difference_update(done.request_id for done in finished)
        return finished

    def _lanes(self) -> list[_Lane]:
        return [*self._lane_by_bot.values(), *self._retired]

    def _admit(self, lane: _Lane) -> None:
        """Let waiting requests join, as far as there is room for rows and for their prompts."""
        now, prompt_tokens = self._clock(), 0
        waiting = lane.waiting
        lane.waiting = []
        for place, row in enumerate(waiting):
            if row.deadline <= now:
                lane.waiting.append(row)
                continue
            prompt_tokens += len(row.coming)
            fits = prompt_tokens <= MAX_PROMPT_TOKENS_A_STEP or prompt_tokens == len(row.coming)
            if len(lane.rows) >= self._max_batch or not fits:
                lane.waiting += waiting[place:]
                return
            lane.rows.append(row)

    def _collect(self, lane: _Lane) -> list[Finished]:
        """Take out what ended, is full, or is late."""
        now = self._clock()
        finished, stay = [], []
        for row in lane.rows:
            if reason := self._stop_reason(row, now):
                lane.paged.release(row.pages)
                finished.append(_finished(row, reason))
            else:
                stay.append(row)
        lane.rows = stay
        finished.extend(_finished(row, "deadline") for row in lane.waiting if row.deadline <= now)
        lane.waiting = [row for row in lane.waiting if row.deadline > now]
        return finished

    def _stop_reason(self, row: _Row, now: float) -> StopReason | None:
        if row.ended:
            return "end"
        if len(row.tokens) >= self._max_new_tokens:
            return "length"
        return "deadline" if row.deadline <= now else None


def _decode(lane: _Lane) -> None:
    """Choose the next token of every row."""
    logits = lane.paged.forward([(row.pages, row.coming) for row in lane.rows])
    for place, (row, likeliest) in enumerate(zip(lane.rows, logits.argmax(-1).tolist(), strict=True)):
        token = likeliest if row.sampling is None else choose(logits[place], row.sampling, len(row.tokens))
        row.ended = token == END_ID
        if not row.ended:
            row.tokens.append(token)
            row.coming = [token]


def _finished(row: _Row, reason: StopReason) -> Finished:
    return Finished(request_id=row.request_id, token_ids=tuple(row.tokens), stop_reason=reason)
