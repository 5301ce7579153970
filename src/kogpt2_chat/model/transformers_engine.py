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

from kogpt2_chat.domain.prompt import END_ID, PAD_ID
from kogpt2_chat.model.engine import BotModel, Finished, Sampling
from kogpt2_chat.model.lanes import Lane, LaneEngine, Row
from kogpt2_chat.model.sampling import next_token


@dataclass(slots=True, kw_only=True)
class _Lane(Lane[Row]):
    """A bot's decode batch; ``rows`` are in the order of the cache's rows.

    Attributes:
        banned: (vocabulary,) bool, tokens that may not be chosen.
        cache: (keys, values) a layer, each (batch, heads, seq, head width).
        mask: (batch, seq) int64, 1 where the cache holds a real token.
    """

    banned: Tensor
    cache: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    mask: Tensor = field(default_factory=lambda: torch.zeros(0, 0, dtype=torch.long))


class TransformersEngine(LaneEngine[Row, _Lane]):
    """An :class:`kogpt2_chat.model.engine.Engine` on torch.

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
        for lane in self._lanes():
            finished += self._take_late(lane)
            self._admit(lane)
            if lane.rows:
                _decode(lane)
            finished += self._take_done(lane)
        return self._tidy(finished)

    def _admit(self, lane: _Lane) -> None:
        """Prefill waiting prompts but for their last token, and put them into the batch."""
        room = self._max_batch - len(lane.rows)
        coming, lane.waiting = lane.waiting[:room], lane.waiting[room:]
        if coming:
            _join(lane, coming)

    def _make_lane(self, model: BotModel) -> _Lane:
        banned = torch.zeros(int(model.network.config.vocab_size), dtype=torch.bool)
        controls = getattr(model, "tokenizer").control_ids if self._suppress_control else ()  # noqa: B009 - LoadedBot's
        banned[[id_ for id_ in controls if id_ != END_ID]] = True
        return _Lane(model=model, banned=banned)

    def _make_row(self, request_id: str, prompt_ids: list[int], deadline: float, sampling: Sampling | None) -> Row:
        return Row(request_id=request_id, prompt_ids=prompt_ids, deadline=deadline, sampling=sampling)

    def _keep(self, lane: _Lane, rows: list[Row]) -> None:
        kept = {id(row) for row in rows}
        _keep_places(lane, [place for place, row in enumerate(lane.rows) if id(row) in kept])


def _forward(lane: _Lane, ids: Tensor, mask: Tensor, cache: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Any]:
    """One pass.

    Args:
        lane: whose network.
        ids: (batch, new) int64.
        mask: (batch, cached + new) int64.
        cache: what was computed before; may be empty.

    Returns:
        The last hidden state (batch, width) and the grown cache.
    """
    network: Any = lane.model.network
    positions = (mask.cumsum(1) - 1).clamp(min=0)[:, -ids.shape[1] :]
    past = DynamicCache(cache) if cache else DynamicCache()
    out = network.transformer(ids, past_key_values=past, attention_mask=mask, position_ids=positions, use_cache=True)
    return out.last_hidden_state[:, -1], [(layer.keys, layer.values) for layer in out.past_key_values.layers]


def _join(lane: _Lane, rows: list[Row]) -> None:
    """Prefill prompts (left-padded, without their last token) and stack them below the batch."""
    width = max(len(row.prompt_ids) for row in rows) - 1
    ids = torch.full((len(rows), width), PAD_ID, dtype=torch.long)
    mask = torch.zeros(len(rows), width, dtype=torch.long)
    for place, row in enumerate(rows):
        head = row.prompt_ids[:-1]
        ids[place, width - len(head) :] = torch.tensor(head)
        mask[place, width - len(head) :] = 1
    _, cache = _forward(lane, ids, mask, [])
    if lane.rows:
        width = max(width, lane.mask.shape[1])
        cache = [
            (
                torch.cat([_pad(old[0], width), _pad(new[0], width)]),
                torch.cat([_pad(old[1], width), _pad(new[1], width)]),
            )
            for old, new in zip(lane.cache, cache, strict=True)
        ]
        mask = torch.cat([functional.pad(part, (width - part.shape[1], 0)) for part in (lane.mask, mask)])
    lane.rows, lane.cache, lane.mask = [*lane.rows, *rows], cache, mask


def _decode(lane: _Lane) -> None:
    """Choose the next token of every row of the batch."""
    last = torch.tensor([[row.tokens[-1] if row.tokens else row.prompt_ids[-1]] for row in lane.rows])
    lane.mask = functional.pad(lane.mask, (0, 1), value=1)
    hidden, lane.cache = _forward(lane, last, lane.mask, lane.cache)
    logits = lane.model.network.lm_head(hidden).float().masked_fill(lane.banned, -float("inf"))
    normalisers = logits.logsumexp(-1).tolist()
    for place, (row, likeliest) in enumerate(zip(lane.rows, logits.argmax(-1).tolist(), strict=True)):
        token = next_token(logits[place].numpy(), row.tokens, likeliest, row.sampling)
        row.take(token, float(logits[place, token]) - normalisers[place])


def _keep_places(lane: _Lane, places: list[int]) -> None:
    """Drop the other rows, and columns that no row uses any more."""
    if len(places) == len(lane.rows):
        return
    lane.rows = [lane.rows[place] for place in places]
    if not lane.rows:
        lane.cache, lane.mask = [], torch.zeros(0, 0, dtype=torch.long)
        return
    mask = lane.mask[places]
    first = int(mask.any(0).int().argmax())
    lane.mask = mask[:, first:]
    lane.cache = [(keys[places, :, first:], values[places, :, first:]) for keys, values in lane.cache]


def _pad(states: Tensor, width: int) -> Tensor:
    """Widen a cache on the left to ``width`` columns."""
    return functional.pad(states, (0, 0, width - states.shape[2], 0))
