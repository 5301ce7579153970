"""Decoding with a KV cache on transformers' GPT-2: requests join and leave between any two steps.

Each bot has one decode batch. A row's keys and values stand at the right end of the cache, older columns are
masked, and its position ids are its own; so batched answers equal single ones, and cached ones uncached ones.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import DynamicCache

from kogpt2_chat.domain.chat.prompt import END_ID, PAD_ID
from kogpt2_chat.inference.engine import BotModel, Finished, Sampling
from kogpt2_chat.inference.sampling import next_token
from kogpt2_chat.inference.scheduler import BatchScheduler, ModelBatch, TokenSequence


@dataclass(slots=True, kw_only=True)
class _Batch(ModelBatch[TokenSequence]):
    """A bot's decode batch; ``rows`` are in the order of the cache's rows.

    Attributes:
        banned: (vocabulary,) bool, tokens that may not be chosen.
        cache: (keys, values) a layer, each (batch, heads, seq, head width).
        mask: (batch, seq) int64, 1 where the cache holds a real token.
    """

    banned: Tensor
    cache: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    mask: Tensor = field(default_factory=lambda: torch.zeros(0, 0, dtype=torch.long))


class TransformersEngine(BatchScheduler[TokenSequence, _Batch]):
    """An :class:`kogpt2_chat.inference.engine.Engine` on torch.

    Args:
        max_batch: rows a bot decodes at once; more wait.
        max_new_tokens: bound of an answer.
        suppress_control: never choose a control token other than the end. Only the gate turns this off, to see
            whether a model would.
        clock: for deadlines.
    """

    def __init__(
        self,
        *,
        max_batch: int = 32,
        max_new_tokens: int = 48,
        suppress_control: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(max_batch=max_batch, max_new_tokens=max_new_tokens, clock=clock)
        self._suppress_control = suppress_control

    @torch.inference_mode()
    def step(self) -> list[Finished]:
        """Advance every request by one token; give those that finished."""
        finished: list[Finished] = []
        for batch in self._batches():
            finished += self._expire(batch)
            self._admit(batch)
            if batch.running:
                _decode(batch)
            finished += self._finish(batch)
        return self._end_step(finished)

    def _admit(self, batch: _Batch) -> None:
        """Prefill waiting prompts but for their last token, and put them into the batch."""
        room = self._max_batch - len(batch.running)
        coming, batch.waiting = batch.waiting[:room], batch.waiting[room:]
        if coming:
            _join(batch, coming)

    def _make_batch(self, model: BotModel) -> _Batch:
        banned = torch.zeros(int(model.network.config.vocab_size), dtype=torch.bool)
        controls = getattr(model, "tokenizer").control_ids if self._suppress_control else ()  # noqa: B009 - LoadedBot's
        banned[[id_ for id_ in controls if id_ != END_ID]] = True
        return _Batch(model=model, banned=banned)

    def _make_sequence(
        self, request_id: str, prompt_ids: list[int], deadline: float, sampling: Sampling | None
    ) -> TokenSequence:
        return TokenSequence(request_id=request_id, prompt_ids=prompt_ids, deadline=deadline, sampling=sampling)

    def _retain(self, batch: _Batch, rows: list[TokenSequence]) -> None:
        kept = {id(row) for row in rows}
        _keep_rows(batch, [place for place, row in enumerate(batch.running) if id(row) in kept])


def _forward(batch: _Batch, ids: Tensor, mask: Tensor, cache: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Any]:
    """One pass.

    Args:
        batch: whose network.
        ids: (batch, new) int64.
        mask: (batch, cached + new) int64.
        cache: what was computed before; may be empty.

    Returns:
        The last hidden state (batch, width) and the grown cache.
    """
    network: Any = batch.model.network
    positions = (mask.cumsum(1) - 1).clamp(min=0)[:, -ids.shape[1] :]
    past = DynamicCache(cache) if cache else DynamicCache()
    out = network.transformer(ids, past_key_values=past, attention_mask=mask, position_ids=positions, use_cache=True)
    return out.last_hidden_state[:, -1], [(layer.keys, layer.values) for layer in out.past_key_values.layers]


def _join(batch: _Batch, rows: list[TokenSequence]) -> None:
    """Prefill prompts (left-padded, without their last token) and stack them below the batch."""
    width = max(len(row.prompt_ids) for row in rows) - 1
    ids = torch.full((len(rows), width), PAD_ID, dtype=torch.long)
    mask = torch.zeros(len(rows), width, dtype=torch.long)
    for place, row in enumerate(rows):
        head = row.prompt_ids[:-1]
        ids[place, width - len(head) :] = torch.tensor(head)
        mask[place, width - len(head) :] = 1
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
    batch.running, batch.cache, batch.mask = [*batch.running, *rows], cache, mask


def _decode(batch: _Batch) -> None:
    """Choose the next token of every row of the batch."""
    last = torch.tensor([[row.tokens[-1] if row.tokens else row.prompt_ids[-1]] for row in batch.running])
    batch.mask = functional.pad(batch.mask, (0, 1), value=1)
    hidden, batch.cache = _forward(batch, last, batch.mask, batch.cache)
    logits = batch.model.network.lm_head(hidden).float().masked_fill(batch.banned, -float("inf"))
    normalisers = logits.logsumexp(-1).tolist()
    for place, (row, likeliest) in enumerate(zip(batch.running, logits.argmax(-1).tolist(), strict=True)):
        token = next_token(logits[place].numpy(), row.tokens, likeliest, row.sampling)
        row.append(token, float(logits[place, token]) - normalisers[place])


def _keep_rows(batch: _Batch, places: list[int]) -> None:
    """Drop the other rows, and columns that no row uses any more."""
    if len(places) == len(batch.running):
        return
    batch.running = [batch.running[place] for place in places]
    if not batch.running:
        batch.cache, batch.mask = [], torch.zeros(0, 0, dtype=torch.long)
        return
    mask = batch.mask[places]
    first = int(mask.any(0).int().argmax())
    batch.mask = mask[:, first:]
    batch.cache = [(keys[places, :, first:], values[places, :, first:]) for keys, values in batch.cache]


def _pad(states: Tensor, width: int) -> Tensor:
    """Widen a cache on the left to ``width`` columns."""
    return functional.pad(states, (0, 0, width - states.shape[2], 0))
