"""Decoding with a KV cache on transformers' GPT-2: requests join and leave between any two steps.

Each model has one decode batch. The keys and values of a sequence are at the right end of its cache row; the columns
before them are masked, and its position ids do not depend on other sequences. Therefore batched answers equal single
ones, and answers with a cache equal those without.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import DynamicCache

from kogpt2_chat.domain.chat.prompt import END_ID, PAD_ID, UNKNOWN_ID
from kogpt2_chat.inference.engine import BotModel, Finished, Sampling
from kogpt2_chat.inference.sampling import next_token
from kogpt2_chat.inference.scheduler import BatchScheduler, ModelBatch, TokenSequence


@dataclass(slots=True, kw_only=True)
class _ReferenceBatch(ModelBatch[TokenSequence]):
    """A model's decode batch; ``running`` has the same order as the rows of the cache.

    Attributes:
        suppressed_tokens: (vocabulary,) bool, tokens that may not be chosen.
        cache: (keys, values) per layer, each (batch, heads, seq, head width).
        mask: (batch, seq) int64, 1 for real tokens, 0 for padding.
    """

    suppressed_tokens: Tensor
    cache: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    mask: Tensor = field(default_factory=lambda: torch.zeros(0, 0, dtype=torch.long))


class TransformersEngine(BatchScheduler[TokenSequence, _ReferenceBatch]):
    """An :class:`kogpt2_chat.inference.engine.Engine` on torch.

    Args:
        max_batch: sequences that one model decodes at once; more requests wait.
        max_new_tokens: longest answer.
        suppress_control: never choose a control token other than the end token. Only the gate turns this off, to see
            whether the model would choose one. ``<unk>`` is never chosen, as on the serving engine: it has no text.
        clock: for deadlines.
    """

    def __init__(
        self,
        *,
        max_batch: int,
        max_new_tokens: int,
        suppress_control: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(max_batch=max_batch, max_new_tokens=max_new_tokens, clock=clock)
        self._suppress_control = suppress_control

    @torch.inference_mode()
    def step(self) -> list[Finished]:
        """Advance every request by one token.

        Returns:
            The finished requests.
        """
        finished: list[Finished] = []
        for batch in self._batches():
            finished += self._expire(batch)
            self._admit(batch)
            if batch.running:
                _decode(batch)
            finished += self._finish(batch)
        return self._end_step(finished)

    def _admit(self, batch: _ReferenceBatch) -> None:
        """Prefill waiting prompts except for their last token, and add them to the batch."""
        free = self._max_batch - len(batch.running)
        joining, batch.waiting = batch.waiting[:free], batch.waiting[free:]
        now = self._clock()
        for sequence in joining:
            sequence.joined = now
        if joining:
            _join(batch, joining)

    def _make_batch(self, model: BotModel) -> _ReferenceBatch:
        suppressed_tokens = torch.zeros(int(model.network.config.vocab_size), dtype=torch.bool)
        controls = getattr(model, "tokenizer").control_ids if self._suppress_control else {UNKNOWN_ID}  # noqa: B009
        suppressed_tokens[[id_ for id_ in controls if id_ != END_ID]] = True
        return _ReferenceBatch(model=model, suppressed_tokens=suppressed_tokens)

    def _make_sequence(
        self, request_id: str, prompt_ids: list[int], deadline: float, sampling: Sampling | None
    ) -> TokenSequence:
        return TokenSequence(request_id=request_id, prompt_ids=prompt_ids, deadline=deadline, sampling=sampling)

    def _retain(self, batch: _ReferenceBatch, sequences: list[TokenSequence]) -> None:
        kept = {id(sequence) for sequence in sequences}
        _keep_rows(batch, [row for row, sequence in enumerate(batch.running) if id(sequence) in kept])


def _forward(
    batch: _ReferenceBatch, ids: Tensor, mask: Tensor, cache: list[tuple[Tensor, Tensor]]
) -> tuple[Tensor, Any]:
    """Run one pass of the batch's network.

    Args:
        batch: contains the network.
        ids: (batch, new) int64.
        mask: (batch, cached + new) int64.
        cache: keys and values of earlier passes; may be empty.

    Returns:
        The hidden state of the last position (batch, width), and the cache with the new columns.
    """
    network: Any = batch.model.network
    positions = (mask.cumsum(1) - 1).clamp(min=0)[:, -ids.shape[1] :]
    past = DynamicCache(cache) if cache else DynamicCache()
    out = network.transformer(ids, past_key_values=past, attention_mask=mask, position_ids=positions, use_cache=True)
    return out.last_hidden_state[:, -1], [(layer.keys, layer.values) for layer in out.past_key_values.layers]


def _join(batch: _ReferenceBatch, sequences: list[TokenSequence]) -> None:
    """Prefill prompts (left-padded, without their last token) and append their rows to the batch."""
    width = max(len(sequence.prompt_ids) for sequence in sequences) - 1
    ids = torch.full((len(sequences), width), PAD_ID, dtype=torch.long)
    mask = torch.zeros(len(sequences), width, dtype=torch.long)
    for row, sequence in enumerate(sequences):
        head = sequence.prompt_ids[:-1]
        ids[row, width - len(head) :] = torch.tensor(head)
        mask[row, width - len(head) :] = 1
    _, cache = _forward(batch, ids, mask, [])
    if batch.running:
        width = max(width, batch.mask.shape[1])
        cache = [
            (
                torch.cat([_pad(old[0], width), _pad(new[0], width)]),
                torch.cat([_pad(old[1], width), _pad(new[1], width)]),
            )
            for old, new in zip(batch.cache, cache, strict=True)
        ]
        mask = torch.cat([functional.pad(part, (width - part.shape[1], 0)) for part in (batch.mask, mask)])
    batch.running, batch.cache, batch.mask = [*batch.running, *sequences], cache, mask


def _decode(batch: _ReferenceBatch) -> None:
    """Choose the next token of every running sequence."""
    last = torch.tensor([[(sequence.tokens or sequence.prompt_ids)[-1]] for sequence in batch.running])
    batch.mask = functional.pad(batch.mask, (0, 1), value=1)
    hidden, batch.cache = _forward(batch, last, batch.mask, batch.cache)
    logits = batch.model.network.lm_head(hidden).float().masked_fill(batch.suppressed_tokens, -float("inf"))
    normalisers = logits.logsumexp(-1).tolist()
    for row, (sequence, likeliest) in enumerate(zip(batch.running, logits.argmax(-1).tolist(), strict=True)):
        token = next_token(logits[row].numpy(), sequence.tokens, likeliest, sequence.sampling)
        sequence.append(token, float(logits[row, token]) - normalisers[row])


def _keep_rows(batch: _ReferenceBatch, rows: list[int]) -> None:
    """Drop all other rows of the batch, and the columns that no remaining row uses."""
    if len(rows) == len(batch.running):
        return
    batch.running = [batch.running[row] for row in rows]
    if not batch.running:
        batch.cache, batch.mask = [], torch.zeros(0, 0, dtype=torch.long)
        return
    mask = batch.mask[rows]
    first = int(mask.any(0).int().argmax())
    batch.mask = mask[:, first:]
    batch.cache = [(keys[rows, :, first:], values[rows, :, first:]) for keys, values in batch.cache]


def _pad(states: Tensor, width: int) -> Tensor:
    """Pad a cache on the left to ``width`` columns."""
    return functional.pad(states, (0, 0, width - states.shape[2], 0))
