"""Decoding with a KV cache on transformers' GPT-2: requests join and leave between any two steps.

Each bot has one decode batch. A row's keys and values stand at the right end of the cache, older columns are
masked, and its position ids are its own; so batched answers equal single ones, and cached ones uncached ones.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional
from transformers import DynamicCache

from kogpt2_chat.domain.prompt import END_ID, PAD_ID
from kogpt2_chat.errors import Conflict, NotFound
from kogpt2_chat.model.engine import BotModel, Finished, Sampling, StopReason
from kogpt2_chat.model.sampling import choose

_NEVER: Final = float("inf")


@dataclass(slots=True, kw_only=True)
class _Row:
    """One request. ``tokens`` are those generated so far."""

    request_id: str
    prompt_ids: list[int]
    deadline: float
    sampling: Sampling | None = None
    tokens: list[int] = field(default_factory=list)
    ended: bool = False


@dataclass(slots=True)
class _Lane:
    """Requests that one model answers: those waiting, and the batch being decoded.

    Attributes:
        model: whose weights.
        banned: (vocabulary,) bool, tokens that may not be chosen.
        waiting: not yet in the batch.
        rows: the batch, in the order of the cache's rows.
        cache: (keys, values) a layer, each (batch, heads, seq, head width).
        mask: (batch, seq) int64, 1 where the cache holds a real token.
    """

    model: BotModel
    banned: Tensor
    waiting: list[_Row] = field(default_factory=list)
    rows: list[_Row] = field(default_factory=list)
    cache: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    mask: Tensor = field(default_factory=lambda: torch.zeros(0, 0, dtype=torch.long))


class TransformersEngine:
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
        self._max_batch = max_batch
        self._max_new_tokens = max_new_tokens
        self._suppress_control = suppress_control
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
        banned = torch.zeros(int(model.network.config.vocab_size), dtype=torch.bool)
        controls = getattr(model, "tokenizer").control_ids if self._suppress_control else ()  # noqa: B009 - LoadedBot's
        banned[[id_ for id_ in controls if id_ != END_ID]] = True
        self._lane_by_bot[bot] = _Lane(model, banned)

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
        row = _Row(request_id=request_id, prompt_ids=list(prompt_ids), deadline=deadline, sampling=sampling)
        self._lane_by_bot[bot].waiting.append(row)

    def cancel(self, request_id: str) -> None:
        """Forget a request; nothing happens when it is not in flight."""
        if request_id not in self._ids:
            return
        self._ids.discard(request_id)
        for lane in self._lanes():
            lane.waiting = [row for row in lane.waiting if row.request_id != request_id]
            _keep(lane, [place for place, row in enumerate(lane.rows) if row.request_id != request_id])

    @torch.inference_mode()
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
        """Prefill waiting prompts but for their last token, and put them into the batch."""
        room = self._max_batch - len(lane.rows)
        now = self._clock()
        coming = [row for row in lane.waiting if row.deadline > now][:room]
        if coming:
            chosen = {row.request_id for row in coming}
            lane.waiting = [row for row in lane.waiting if row.request_id not in chosen]
            _join(lane, coming)

    def _collect(self, lane: _Lane) -> list[Finished]:
        """Take out what ended, is full, or is late."""
        now = self._clock()
        finished = []
        stay = []
        for place, row in enumerate(lane.rows):
            if reason := self._stop_reason(row, now):
                finished.append(_finished(row, reason))
            else:
                stay.append(place)
        _keep(lane, stay)
        finished.extend(_finished(row, "deadline") for row in lane.waiting if row.deadline <= now)
        lane.waiting = [row for row in lane.waiting if row.deadline > now]
        return finished

    def _stop_reason(self, row: _Row, now: float) -> StopReason | None:
        if row.ended:
            return "end"
        if len(row.tokens) >= self._max_new_tokens:
            return "length"
        return "deadline" if row.deadline <= now else None


def _finished(row: _Row, reason: StopReason) -> Finished:
    return Finished(request_id=row.request_id, token_ids=tuple(row.tokens), stop_reason=reason)


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


def _join(lane: _Lane, rows: list[_Row]) -> None:
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
    logits = lane.model.network.lm_head(hidden).float().masked_fill(lane.banned, -_NEVER)
    for place, (row, likeliest) in enumerate(zip(lane.rows, logits.argmax(-1).tolist(), strict=True)):
        token = likeliest if row.sampling is None else choose(logits[place].numpy(), row.sampling, len(row.tokens))
        row.ended = token == END_ID
        if not row.ended:
            row.tokens.append(token)


def _keep(lane: _Lane, places: list[int]) -> None:
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
