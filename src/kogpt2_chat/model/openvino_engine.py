"""Decoding on OpenVINO: int8 weights, paged keys and values, requests join and leave between any two steps.

Each bot has a lane. A pass takes a lane one token on: rows that decode bring their last token, rows that join bring
their prompt, side by side. A lane that is alone uses all cores. Several lanes run side by side, each on one core, and
none waits for another: cores that share every product of one small pass spend much of it waiting for each other.
"""

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
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
    cancelled: bool = False


@dataclass(slots=True)
class _Lane:
    """Requests that one model answers. While a pass runs, its rows belong to the thread that runs it."""

    model: BotModel
    waiting: list[_Row] = field(default_factory=list)
    rows: list[_Row] = field(default_factory=list)
    running: Future[None] | None = None

    @property
    def is_empty(self) -> bool:
        return not (self.rows or self.waiting)

    @property
    def paged(self) -> PagedModel:
        network: PagedModel = self.model.network
        return network


class OpenVinoEngine:
    """An :class:`kogpt2_chat.model.engine.Engine` on :class:`kogpt2_chat.model.paged.PagedModel`.

    Args:
        max_batch: rows a bot decodes at once; more wait. No more than its model has pages for.
        max_new_tokens: bound of an answer.
        cores: lanes that run side by side; 0: as many as this process may use.
        clock: for deadlines.
    """

    def __init__(
        self,
        *,
        max_batch: int = 32,
        max_new_tokens: int = 48,
        cores: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pool = ThreadPoolExecutor(cores or len(os.sched_getaffinity(0)), thread_name_prefix="lane")
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
        if old is not None and not old.is_empty:
            self._retired.append(old)
        # A model that comes back may still have answers to end: two lanes must not use its pages at once.
        known = next((lane for lane in self._retired if lane.model is model), None)
        if known is not None:
            self._retired.remove(known)
        self._lane_by_bot[bot] = known or _Lane(model)

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
                row.cancelled |= row.request_id == request_id
            if lane.running is None:
                _clear_cancelled(lane)

    def step(self) -> list[Finished]:
        """Advance requests by one token, those of one bot at least; give those that finished."""
        finished: list[Finished] = []
        lanes = self._lanes()
        ready = [lane for lane in lanes if lane.running is None]
        for lane in ready:
            finished += self._late(lane)
            self._admit(lane)
        ready = [lane for lane in ready if lane.rows]
        if len(ready) == 1 and all(lane.running is None for lane in lanes):
            _pass(ready[0], beside=False)
            finished += self._collect(ready[0])
        else:
            for lane in ready:
                lane.running = self._pool.submit(_pass, lane, beside=True)
            finished += self._first_completed(lanes)
        self._retired = [lane for lane in self._retired if not lane.is_empty]
        self._ids.difference_update(done.request_id for done in finished)
        return finished

    def _first_completed(self, lanes: Sequence[_Lane]) -> list[Finished]:
        running = {lane.running: lane for lane in lanes if lane.running is not None}
        if not running:
            return []
        finished: list[Finished] = []
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            lane = running[future]
            lane.running = None
            future.result()
            finished += self._collect(lane)
        return finished

    def _lanes(self) -> list[_Lane]:
        return [*self._lane_by_bot.values(), *self._retired]

    def _admit(self, lane: _Lane) -> None:
        """Let waiting requests join, as far as there is room for rows and for their prompts."""
        prompt_tokens = 0
        while lane.waiting and len(lane.rows) < self._max_batch:
            prompt_tokens += len(lane.waiting[0].coming)
            if prompt_tokens > MAX_PROMPT_TOKENS_A_STEP and prompt_tokens > len(lane.waiting[0].coming):
                return
            lane.rows.append(lane.waiting.pop(0))

    def _late(self, lane: _Lane) -> list[Finished]:
        """Those whose time was up before they could begin."""
        now = self._clock()
        late = [row for row in lane.waiting if row.deadline <= now]
        lane.waiting = [row for row in lane.waiting if row.deadline > now]
        return [_finished(row, "deadline") for row in late]

    def _collect(self, lane: _Lane) -> list[Finished]:
        """After a pass: take out what ended, is full, or is late."""
        _clear_cancelled(lane)
        now = self._clock()
        finished, stay = [], []
        for row in lane.rows:
            if reason := self._stop_reason(row, now):
                lane.paged.release(row.pages)
                finished.append(_finished(row, reason))
            else:
                stay.append(row)
        lane.rows = stay
        return finished

    def _stop_reason(self, row: _Row, now: float) -> StopReason | None:
        if row.ended:
            return "end"
        if len(row.tokens) >= self._max_new_tokens:
            return "length"
        return "deadline" if row.deadline <= now else None


def _clear_cancelled(lane: _Lane) -> None:
    for row in lane.rows:
        if row.cancelled:
            lane.paged.release(row.pages)
    lane.rows = [row for row in lane.rows if not row.cancelled]


def _pass(lane: _Lane, *, beside: bool) -> None:
    """Choose the next token of every row."""
    logits = lane.paged.forward([(row.pages, row.coming) for row in lane.rows], beside=beside)
    for place, (row, likeliest) in enumerate(zip(lane.rows, logits.argmax(-1).tolist(), strict=True)):
        token = likeliest if row.sampling is None else choose(logits[place], row.sampling, len(row.tokens))
        row.ended = token == END_ID
        if not row.ended:
            row.tokens.append(token)
            row.coming = [token]


def _finished(row: _Row, reason: StopReason) -> Finished:
    return Finished(request_id=row.request_id, token_ids=tuple(row.tokens), stop_reason=reason)
