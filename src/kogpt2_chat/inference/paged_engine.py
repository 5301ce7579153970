"""Decode with a paged KV cache; requests join and leave between any two steps.

A step advances a batch by one token. Its pass computes the last token of each running sequence and the whole prompt of
each joining one. A single batch uses all cores. Several batches run concurrently, on one core each, and do not wait for
each other: cores that share the products of one small pass spend much of their time in barriers.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Final

from kogpt2_chat.inference.engine import BotModel, Finished, Sampling
from kogpt2_chat.inference.pages import PagedNetwork, PageTable
from kogpt2_chat.inference.sampling import next_token
from kogpt2_chat.inference.scheduler import BatchScheduler, ModelBatch, TokenSequence
from kogpt2_chat.machine.cores import usable_cores

MAX_PROMPT_TOKENS_PER_STEP: Final = 256
"""Limit of prompt tokens per step, because running sequences wait for joining prompts. One prompt may exceed it."""


@dataclass(slots=True, kw_only=True)
class _Sequence(TokenSequence):
    """A request with its part of the KV cache."""

    pages: PageTable = field(default_factory=PageTable)

    @property
    def new_tokens(self) -> list[int]:
        """Tokens that are not in the KV cache yet."""
        return self.tokens[-1:] or self.prompt_ids


@dataclass(slots=True, kw_only=True)
class _PagedBatch(ModelBatch[_Sequence]):
    """A batch; while `pending` is set, its running sequences belong to the thread that runs the pass."""

    pending: Future[None] | None = None

    @property
    def is_idle(self) -> bool:
        """Whether no pass is running."""
        return self.pending is None

    @property
    def network(self) -> PagedNetwork:
        """The model's loaded network."""
        network: PagedNetwork = self.model.network
        return network


class PagedEngine(BatchScheduler[_Sequence, _PagedBatch]):
    """An :class:`kogpt2_chat.inference.engine.Engine` on :class:`kogpt2_chat.inference.pages.PagedNetwork`.

    Args:
        max_batch: most sequences that one model decodes at once; its KV pages must suffice for them.
        max_new_tokens: longest answer, in tokens.
        cores: most batches that run concurrently; 0: the number of cores that this process may use.
        clock: returns seconds, for deadlines.
    """

    def __init__(
        self,
        *,
        max_batch: int,
        max_new_tokens: int,
        cores: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(max_batch=max_batch, max_new_tokens=max_new_tokens, clock=clock)
        self._pool = ThreadPoolExecutor(cores or usable_cores(), thread_name_prefix="batch")

    def step(self) -> list[Finished]:
        """Advance the requests of at least one model by one token.

        Returns:
            The requests that finished.
        """
        finished: list[Finished] = []
        batches = self._batches()
        idle = [batch for batch in batches if batch.is_idle]
        for batch in idle:
            finished += self._expire(batch)
            self._admit(batch)
        ready = [batch for batch in idle if batch.running]
        if len(ready) == 1 and len(idle) == len(batches):
            _run_pass(ready[0], single_core=False)
            finished += self._finish(ready[0])
        else:
            for batch in ready:
                batch.pending = self._pool.submit(_run_pass, batch, single_core=True)
            finished += self._first_completed(batches)
        return self._end_step(finished)

    def _first_completed(self, batches: Sequence[_PagedBatch]) -> list[Finished]:
        pending = {batch.pending: batch for batch in batches if batch.pending is not None}
        if not pending:
            return []
        finished: list[Finished] = []
        for future in wait(pending, return_when=FIRST_COMPLETED).done:
            batch = pending[future]
            batch.pending = None
            future.result()
            finished += self._finish(batch)
        return finished

    def _make_batch(self, model: BotModel) -> _PagedBatch:
        return _PagedBatch(model=model)

    def _make_sequence(
        self, request_id: str, prompt_ids: list[int], deadline: float, sampling: Sampling | None
    ) -> _Sequence:
        return _Sequence(request_id=request_id, prompt_ids=prompt_ids, deadline=deadline, sampling=sampling)

    def _retain(self, batch: _PagedBatch, sequences: list[_Sequence]) -> None:
        kept = {id(sequence) for sequence in sequences}
        for sequence in batch.running:
            if id(sequence) not in kept:
                batch.network.release(sequence.pages)
        batch.running = sequences

    def _admit(self, batch: _PagedBatch) -> None:
        """Let waiting requests join, up to the limits on sequences and on prompt tokens."""
        prompt_tokens, now = 0, self._clock()
        while batch.waiting and len(batch.running) < self._max_batch:
            prompt_tokens += len(batch.waiting[0].new_tokens)
            if prompt_tokens > MAX_PROMPT_TOKENS_PER_STEP and prompt_tokens > len(batch.waiting[0].new_tokens):
                return
            batch.waiting[0].joined = now
            batch.running.append(batch.waiting.pop(0))


def _run_pass(batch: _PagedBatch, *, single_core: bool) -> None:
    """Choose the next token of every running sequence."""
    logits, normalisers = batch.network.forward(
        [(sequence.pages, sequence.new_tokens) for sequence in batch.running], single_core=single_core
    )
    for index, (sequence, likeliest) in enumerate(zip(batch.running, logits.argmax(-1).tolist(), strict=True)):
        token = next_token(logits[index], sequence.tokens, likeliest, sequence.sampling)
        sequence.append(token, float(logits[index, token] - normalisers[index]))
