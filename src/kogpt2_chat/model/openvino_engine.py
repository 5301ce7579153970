"""Decoding on OpenVINO: int8 weights, paged keys and values, requests join and leave between any two steps.

Each bot has a lane. A pass takes a lane one token on: rows that decode bring their last token, rows that join bring
their prompt, side by side. A lane that is alone uses all cores. Several lanes run side by side, each on one core, and
none waits for another: cores that share every product of one small pass spend much of it waiting for each other.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Final

from kogpt2_chat.model.cores import usable_cores
from kogpt2_chat.model.engine import BotModel, Finished, Sampling
from kogpt2_chat.model.lanes import Lane, LaneEngine, Row
from kogpt2_chat.model.paged import PagedModel, Pages
from kogpt2_chat.model.sampling import next_token

MAX_PROMPT_TOKENS_A_STEP: Final = 256
"""Rows that decode wait for those that join: a step takes no more prompt tokens than this, or one prompt."""


@dataclass(slots=True, kw_only=True)
class _Row(Row):
    """A request and its pages."""

    pages: Pages = field(default_factory=Pages)

    @property
    def coming(self) -> list[int]:
        """Tokens not yet computed."""
        return self.tokens[-1:] or self.prompt_ids


@dataclass(slots=True, kw_only=True)
class _Lane(Lane[_Row]):
    """While a pass runs, the rows belong to the thread that runs it."""

    running: Future[None] | None = None

    @property
    def is_at_rest(self) -> bool:
        """Whether no pass is running."""
        return self.running is None

    @property
    def paged(self) -> PagedModel:
        """The model's pages."""
        network: PagedModel = self.model.network
        return network


class OpenVinoEngine(LaneEngine[_Row, _Lane]):
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
        super().__init__(max_batch=max_batch, max_new_tokens=max_new_tokens, clock=clock)
        self._pool = ThreadPoolExecutor(cores or usable_cores(), thread_name_prefix="lane")

    def step(self) -> list[Finished]:
        """Advance requests by one token, those of one bot at least; give those that finished."""
        finished: list[Finished] = []
        lanes = self._lanes()
        resting = [lane for lane in lanes if lane.is_at_rest]
        for lane in resting:
            finished += self._take_late(lane)
            self._admit(lane)
        ready = [lane for lane in resting if lane.rows]
        if len(ready) == 1 and len(resting) == len(lanes):
            _pass(ready[0], beside=False)
            finished += self._take_done(ready[0])
        else:
            for lane in ready:
                lane.running = self._pool.submit(_pass, lane, beside=True)
            finished += self._first_completed(lanes)
        return self._tidy(finished)

    def _first_completed(self, lanes: Sequence[_Lane]) -> list[Finished]:
        running = {lane.running: lane for lane in lanes if lane.running is not None}
        if not running:
            return []
        finished: list[Finished] = []
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            lane = running[future]
            lane.running = None
            future.result()
            finished += self._take_done(lane)
        return finished

    def _make_lane(self, model: BotModel) -> _Lane:
        return _Lane(model=model)

    def _make_row(self, request_id: str, prompt_ids: list[int], deadline: float, sampling: Sampling | None) -> _Row:
        return _Row(request_id=request_id, prompt_ids=prompt_ids, deadline=deadline, sampling=sampling)

    def _keep(self, lane: _Lane, rows: list[_Row]) -> None:
        kept = {id(row) for row in rows}
        for row in lane.rows:
            if id(row) not in kept:
                lane.paged.release(row.pages)
        lane.rows = rows

    def _admit(self, lane: _Lane) -> None:
        """Let waiting requests join, as far as there is room for rows and for their prompts."""
        prompt_tokens = 0
        while lane.waiting and len(lane.rows) < self._max_batch:
            prompt_tokens += len(lane.waiting[0].coming)
            if prompt_tokens > MAX_PROMPT_TOKENS_A_STEP and prompt_tokens > len(lane.waiting[0].coming):
                return
            lane.rows.append(lane.waiting.pop(0))


def _pass(lane: _Lane, *, beside: bool) -> None:
    """Choose the next token of every row."""
    logits, normalisers = lane.paged.forward([(row.pages, row.coming) for row in lane.rows], beside=beside)
    for place, (row, likeliest) in enumerate(zip(lane.rows, logits.argmax(-1).tolist(), strict=True)):
        token = next_token(logits[place], row.tokens, likeliest, row.sampling)
        row.take(token, float(logits[place, token] - normalisers[place]))
