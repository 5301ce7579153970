"""Batch scheduling that every engine shares: one batch per model, with its waiting and its running sequences.

Engines differ in how they advance a batch by one token and in how they store a sequence's KV cache. When sequences join
and leave, and the effect of a deadline, are the same for all engines.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

from kogpt2_chat.domain.chat.prompt import END_ID
from kogpt2_chat.inference.engine import BotModel, Finished, Sampling, StopReason

_NEVER: Final = float("inf")


@dataclass(slots=True, kw_only=True)
class TokenSequence:
    """One request and what has been generated for it.

    Attributes:
        deadline: time on the engine's clock.
        tokens: those generated so far.
        joined: when it joined the running sequences, on the engine's clock; None before that.
        logprob: sum of the log-probabilities of all chosen tokens including the end token, in nats.
        ended: the model has produced its end token.
        cancelled: the result is not needed any more; the sequence leaves as soon as its batch is idle.
    """

    request_id: str
    prompt_ids: list[int]
    deadline: float
    sampling: Sampling | None = None
    joined: float | None = None
    tokens: list[int] = field(default_factory=list)
    logprob: float = 0.0
    ended: bool = False
    cancelled: bool = False

    def append(self, token: int, logprob: float) -> None:
        """Add the token that was chosen. The end token is not part of the answer."""
        self.logprob += logprob
        self.ended = token == END_ID
        if not self.ended:
            self.tokens.append(token)

    def finished(self, reason: StopReason, now: float) -> Finished:
        """Return the result of this request, which ends now."""
        chosen = len(self.tokens) + self.ended
        return Finished(
            request_id=self.request_id,
            token_ids=tuple(self.tokens),
            stop_reason=reason,
            logprob=self.logprob / chosen if chosen else 0.0,
            decode_s=None if self.joined is None else now - self.joined,
        )


SequenceT = TypeVar("SequenceT", bound=TokenSequence)


@dataclass(slots=True, kw_only=True)
class ModelBatch(Generic[SequenceT]):
    """The requests of one model: `waiting` to join, and `running`."""

    model: BotModel
    waiting: list[SequenceT] = field(default_factory=list)
    running: list[SequenceT] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        """Whether it holds no request."""
        return not (self.running or self.waiting)

    @property
    def is_idle(self) -> bool:
        """Whether its sequences may be changed now."""
        return True


BatchT = TypeVar("BatchT", bound=ModelBatch[Any])


class BatchScheduler(ABC, Generic[SequenceT, BatchT]):
    """All methods of an :class:`kogpt2_chat.inference.engine.Engine` except ``step``.

    A batch is created with the first request of its model and removed with the last one. Two versions of a bot are two
    models, so each has its own batch.

    Args:
        max_batch: most sequences that one model decodes at once; further requests wait.
        max_new_tokens: longest answer, in tokens.
        clock: returns seconds, for deadlines.
    """

    def __init__(self, *, max_batch: int, max_new_tokens: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_batch = max_batch
        self._max_new_tokens = max_new_tokens
        self._clock = clock
        self._batch_by_model: dict[int, BatchT] = {}  # by id(); a batch keeps its model alive, so ids stay unique
        self._ids: set[str] = set()

    @property
    def in_flight(self) -> int:
        """Number of requests that are neither finished nor cancelled."""
        return len(self._ids)

    def add_request(
        self,
        request_id: str,
        model: BotModel,
        prompt_ids: Sequence[int],
        *,
        deadline_s: float | None = None,
        sampling: Sampling | None = None,
    ) -> None:
        """Queue a request; see :meth:`kogpt2_chat.inference.engine.Engine.add_request`.

        Raises:
            ValueError: the id is in flight.
        """
        if request_id in self._ids:
            raise ValueError(f"request {request_id!r} is in flight")
        deadline = _NEVER if deadline_s is None else self._clock() + deadline_s
        self._ids.add(request_id)
        batch = self._batch_by_model.get(id(model))
        if batch is None:
            batch = self._batch_by_model[id(model)] = self._make_batch(model)
        batch.waiting.append(self._make_sequence(request_id, list(prompt_ids), deadline, sampling))

    def cancel(self, request_id: str) -> None:
        """Drop a request. Do nothing if it is not in flight."""
        if request_id not in self._ids:
            return
        self._ids.discard(request_id)
        for batch in self._batches():
            batch.waiting = [sequence for sequence in batch.waiting if sequence.request_id != request_id]
            for sequence in batch.running:
                sequence.cancelled |= sequence.request_id == request_id
            if batch.is_idle:
                self._retain(batch, [sequence for sequence in batch.running if not sequence.cancelled])
        self._remove_empty()

    @abstractmethod
    def _make_batch(self, model: BotModel) -> BatchT: ...

    @abstractmethod
    def _make_sequence(
        self, request_id: str, prompt_ids: list[int], deadline: float, sampling: Sampling | None
    ) -> SequenceT: ...

    @abstractmethod
    def _retain(self, batch: BatchT, sequences: list[SequenceT]) -> None:
        """Keep only these running sequences, in their present order, and free the caches of the others."""

    def _batches(self) -> list[BatchT]:
        return list(self._batch_by_model.values())

    def _expire(self, batch: BatchT) -> list[Finished]:
        """Finish the requests whose deadline passed before they could join."""
        now = self._clock()
        late = [sequence for sequence in batch.waiting if sequence.deadline <= now]
        batch.waiting = [sequence for sequence in batch.waiting if sequence.deadline > now]
        return [sequence.finished("deadline", now) for sequence in late]

    def _finish(self, batch: BatchT) -> list[Finished]:
        """After a step: finish the sequences that have ended, or reached the length limit or their deadline."""
        now = self._clock()
        done, remaining = [], []
        for sequence in batch.running:
            reason = None if sequence.cancelled else self._stop_reason(sequence, now)
            if reason is not None:
                done.append(sequence.finished(reason, now))
            elif not sequence.cancelled:
                remaining.append(sequence)
        self._retain(batch, remaining)
        return done

    def _end_step(self, finished: list[Finished]) -> list[Finished]:
        self._remove_empty()
        self._ids.difference_update(done.request_id for done in finished)
        return finished

    def _remove_empty(self) -> None:
        self._batch_by_model = {key: batch for key, batch in self._batch_by_model.items() if not batch.is_empty}

    def _stop_reason(self, sequence: SequenceT, now: float) -> StopReason | None:
        if sequence.ended:
            return "end"
        if len(sequence.tokens) >= self._max_new_tokens:
            return "length"
        return "deadline" if sequence.deadline <= now else None
