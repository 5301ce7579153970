"""Decode with a paged KV cache; requests join and leave between any two steps.

A step advances a batch by at least one token. Its pass computes the last token of each running sequence and the whole
prompt of each joining one, and after them the tokens that are guessed to follow (:mod:`kogpt2_chat.inference.drafts`).
A single batch uses all cores. Several batches run concurrently, on one core each, and do not wait for each other: cores
that share the products of one small pass spend much of their time in barriers.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Final

from kogpt2_chat.inference.drafts import Draft
from kogpt2_chat.inference.engine import BotModel, Finished, Sampling
from kogpt2_chat.inference.pages import Logits, PagedNetwork, PageTable
from kogpt2_chat.inference.sampling import next_token
from kogpt2_chat.inference.scheduler import BatchScheduler, ModelBatch, TokenSequence
from kogpt2_chat.machine.cores import usable_cores

MAX_PROMPT_TOKENS_PER_STEP: Final = 256
"""Limit of prompt tokens per step, because running sequences wait for joining prompts. One prompt may exceed it."""


_MOST_GUESSED: Final = 16
"""Longest guess, in tokens."""


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
            _run_pass(ready[0], single_core=False, max_new_tokens=self._max_new_tokens)
            finished += self._finish(ready[0])
        else:
            for batch in ready:
                batch.pending = self._pool.submit(
                    _run_pass, batch, single_core=True, max_new_tokens=self._max_new_tokens
                )
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


def _run_pass(batch: _PagedBatch, *, single_core: bool, max_new_tokens: int) -> None:
    """Choose the next tokens of every running sequence."""
    drafts = _guess(batch, max_new_tokens)
    logits, normalisers = batch.network.forward(
        [
            (sequence.pages, [*sequence.new_tokens, *draft.tokens])
            for sequence, draft in zip(batch.running, drafts, strict=True)
        ],
        tails=[1 + len(draft.tokens) for draft in drafts],
        single_core=single_core,
    )
    likeliest, row = logits.argmax(-1).tolist(), 0
    for sequence, draft in zip(batch.running, drafts, strict=True):
        rows = slice(row, row + 1 + len(draft.tokens))
        right = _append_tokens(sequence, draft, logits[rows], normalisers[rows], likeliest[rows])
        # The positions after the last right guess hold keys and values of tokens that were not chosen.
        batch.network.forget(sequence.pages, len(draft.tokens) - right)
        if batch.model.drafts and draft.tokens:
            batch.model.drafts.learn(draft, right)
        row = rows.stop


def _append_tokens(
    sequence: _Sequence, draft: Draft, logits: Logits, normalisers: Logits, likeliest: Sequence[int]
) -> int:
    """Choose a token at each position, up to the first that was not guessed; return how many guesses were right."""
    for place, guessed in enumerate([*draft.tokens, None]):
        token = next_token(logits[place], sequence.tokens, likeliest[place], sequence.sampling)
        sequence.append(token, float(logits[place, token] - normalisers[place]))
        if sequence.ended or token != guessed:
            return place + (token == guessed)
    raise AssertionError("after the last guess there is none to be right")


def _guess(batch: _PagedBatch, max_new_tokens: int) -> list[Draft]:
    """Guess as far as it pays: a further row makes the pass longer, and a right guess saves a share of a later pass.

    With N rows in a pass that costs as much as F + N rows, a row more must be right in N of F + N cases.
    """
    model = batch.model
    rows = sum(len(sequence.new_tokens) for sequence in batch.running)
    drafts = []
    for sequence in batch.running:
        most = min(_MOST_GUESSED, max_new_tokens - len(sequence.tokens) - 1)
        draft = Draft()
        if model.drafts and most > 0:
            least = rows / (rows + model.free_rows) if model.free_rows else 1.0
            draft = model.drafts.guess(sequence.prompt_ids, sequence.tokens, most, least)
        rows += len(draft.tokens)
        drafts.append(draft)
    return drafts
