"""From questions to replies: what each record leads to, and nothing of how it is read or published.

Every record gets exactly one reply: an answer with its turn, or a dead letter. Who answers, in this order: a vetted
text, where the question may speak of a crisis; the notice of a muted bot; the model; the nearest known answer, where
the settings want it; a fixed notice, where the model cannot speak in time, or at all.
"""

import hashlib
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import structlog

from kogpt2_chat.domain.chat.wire import LENGTH_REASONS, Question, read_question
from kogpt2_chat.domain.safety.crisis import find_crisis
from kogpt2_chat.errors import InvalidMessage
from kogpt2_chat.inference.engine import Engine, Sampling
from kogpt2_chat.ports import Record
from kogpt2_chat.safety_texts import safety_texts
from kogpt2_chat.settings import Settings
from serving.crashes import CrashLog, reading
from serving.in_flight import InFlightTracker, Reply, Request, RequestContext
from serving.metrics import Metrics
from serving.reply import ReplyBuilder
from serving.slot import LoadedVersion, Slots

_log = structlog.get_logger("serving.worker")


@dataclass(kw_only=True)
class Worker:
    """Answers questions side by side. Any may be admitted between two steps; each gets its reply when it is done.

    Attributes:
        engine: decodes the questions of all bots side by side.
        slots: which version speaks for which bot.
        crashes: what has killed the process before.
        metrics: counts each step of the engine.
        name: ``worker-N``, for turns.
        clock: the worker's time, for people to read.
        monotonic: seconds, for deadlines and latencies; they do not jump when the clock is set.
        on_step: called before each step of decoding.
        tracker: every question that was polled and not yet published.
    """

    engine: Engine
    slots: Slots
    crashes: CrashLog
    metrics: Metrics
    settings: Settings
    name: str
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    monotonic: Callable[[], float] = time.monotonic
    on_step: Callable[[str], None] = lambda _: None
    tracker: InFlightTracker = field(default_factory=InFlightTracker)
    _refusals_by_turn: dict[str, int] = field(init=False, default_factory=dict)
    _is_alone: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        self._replies = ReplyBuilder(
            settings=self.settings,
            worker=self.name,
            clock=self.clock,
            monotonic=self.monotonic,
            safety=safety_texts(self.settings),
        )

    @property
    def is_trying_a_suspect(self) -> bool:
        """Whether a suspect of earlier crashes is being decoded, so that nothing else may be done."""
        return self._is_alone and bool(self.tracker.decoding)

    def admit(self, records: Sequence[Record]) -> None:
        """Read questions. What needs no decoding, as a vetted answer or a dead letter, has its reply at once.

        Args:
            records: in the order of the poll.
        """
        received_at = self.clock()
        requests = [self.tracker.add(record) for record in records]
        for group in self._to_be_read(requests):
            works = [reading(request.turn_id) for request in group]
            self.crashes.begin([*self._decoding_turns(), *works])
            for request in group:
                self._guarded(request, lambda request=request: self._admit(request, received_at))  # type: ignore[misc]
            most = self.settings.serving.max_crashes
            self.crashes.survived([work for work in works if self.crashes.count(work) < most])
        if not self.tracker.waiting:  # otherwise the next step writes them down
            self.crashes.begin(self._decoding_turns())

    def step(self, *, may_try_suspects: bool = True) -> None:
        """Advance every admitted question by one token.

        Args:
            may_try_suspects: whether nothing else is running that could kill the process.
        """
        self._begin(may_try_suspects=may_try_suspects)
        decoding = self.tracker.decoding
        if not decoding:
            return
        self.on_step("decoding")
        rows, started = len(decoding), time.perf_counter()
        done = self.engine.step()
        self.metrics.stepped(time.perf_counter() - started, rows)
        survived = []
        for finished in done:
            request = decoding.pop(finished.request_id)
            context = _context(request)
            context.finished = finished
            survived.append(request.turn_id)
            self._guarded(request, lambda request=request: self._answer(request))  # type: ignore[misc]
        if done:
            self.crashes.survived(survived)
            self.on_step("decoded")
        if not decoding:
            self.crashes.begin(())

    def drop(self) -> int:
        """Forget every question that is not published yet.

        Returns:
            How many there were.
        """
        for request_id in self.tracker.decoding:
            self.engine.cancel(request_id)
        dropped = self.tracker.clear()
        self.crashes.begin(())
        return dropped

    def refuse(self, turn_id: str) -> None:
        """Note that the broker refused this question's reply: the next one will be a dead letter."""
        self._refusals_by_turn[turn_id] = self._refusals_by_turn.get(turn_id, 0) + 1

    def _to_be_read(self, requests: Sequence[Request]) -> list[list[Request]]:
        """Read suspects of earlier crashes one by one, so that only the guilty one counts, and all others together."""
        suspects = [request for request in requests if self.crashes.count(reading(request.turn_id))]
        others = [request for request in requests if not self.crashes.count(reading(request.turn_id))]
        return [*([others] if others else []), *([request] for request in suspects)]

    def _admit(self, request: Request, received_at: datetime) -> Reply | None:
        context = request.context = self._read(request, received_at)
        if context.fallback is not None:
            return self._replies.answer(request.record, context)
        self.tracker.waiting.append(request)
        return None

    def _guarded(self, request: Request, make: Callable[[], Reply | None]) -> None:
        """Set a request's reply, or its dead letter: whatever a record does to the code, the worker survives it.

        The text of an exception may repeat the player's words, so only its kind and place are logged.
        """
        trouble = ""
        for _ in range(self.settings.serving.max_crashes):
            try:
                request.reply = make()
            except InvalidMessage as error:
                bare = self._refusals_by_turn.get(request.turn_id, 0) > 1
                request.reply = self._replies.dead_letter(request.record, error, bare=bare)
            except Exception as error:  # noqa: BLE001 - see above
                trouble = _where(error)
                _log.error("record_failed", turn_id=request.turn_id, error=trouble)
                continue
            return
        times = self.settings.serving.max_crashes
        given_up = InvalidMessage("crash_loop", f"failed {times} times on it: {trouble}")
        request.reply = self._replies.dead_letter(request.record, given_up)

    def _begin(self, *, may_try_suspects: bool) -> None:
        """Give waiting questions to the engine; suspects of earlier crashes are decoded alone, one after another.

        From here on, what is done to the text of a question counts against it if the process dies.
        """
        coming: list[Request] = []
        while self.tracker.waiting:
            is_suspect = self.crashes.count(self.tracker.waiting[0].turn_id) > 0
            if (is_suspect or self._is_alone) and (self.tracker.decoding or coming):
                break
            if is_suspect and not may_try_suspects:
                break
            self._is_alone = is_suspect
            coming.append(self.tracker.waiting.popleft())
        # Even if none is coming: what was read meanwhile is no longer being read.
        self.crashes.begin([*self._decoding_turns(), *(request.turn_id for request in coming)])
        for request in coming:
            self._guarded(request, lambda request=request: self._decode(request))  # type: ignore[misc]

    def _decode(self, request: Request) -> Reply | None:
        """Give a question to the engine with the model that answers it to the end, or say why none does."""
        context = _context(request)
        context.route = route = self.slots.route(context.question.bot)
        left_s = context.deadline_s - self.monotonic()
        if route.muted:
            context.fallback = "muted"
        elif route.loaded is None:
            context.fallback = "degraded"
        elif left_s <= 0:
            context.fallback = "timeout"
        else:
            self._add(request, context, route.loaded, left_s)
            return None
        return self._answer(request)

    def _add(self, request: Request, context: RequestContext, loaded: LoadedVersion, left_s: float) -> None:
        context.prompt_ids = loaded.model.encode(context.question.text)
        context.sampling = self._sampling(context.question)
        request_id = f"{request.turn_id}@{loaded.version}"
        self.engine.add_request(
            request_id, loaded.model, context.prompt_ids, deadline_s=left_s, sampling=context.sampling
        )
        self.tracker.decoding[request_id] = request

    def _answer(self, request: Request) -> Reply:
        return self._replies.answer(request.record, _context(request))

    def _decoding_turns(self) -> list[str]:
        return [request.turn_id for request in self.tracker.decoding.values()]

    def _read(self, request: Request, received_at: datetime) -> RequestContext:
        here = request.turn_id
        if here in self._refusals_by_turn:
            raise InvalidMessage("answer_too_large", "the broker refused the answer or its turn as too large")
        if (deaths := self.crashes.count(reading(here))) >= self.settings.serving.max_crashes:
            raise InvalidMessage("crash_loop", f"the worker died {deaths} times while reading it")
        question = self._question(request.record)
        crisis = find_crisis(question.text)
        crashes = self.crashes.count(here)
        if crisis is None and crashes >= self.settings.serving.max_crashes:
            raise InvalidMessage("crash_loop", f"the worker died {crashes} times on it", question.question_id)
        patience_s = self.settings.serving.answer_deadline_s
        if question.reply_by is not None:
            patience_s = min(patience_s, (question.reply_by - received_at).total_seconds())
        received_s = self.monotonic()
        context = RequestContext(
            question=question, received_at=received_at, received_s=received_s, deadline_s=received_s + patience_s
        )
        if crisis is not None:
            context.fallback, context.crisis = "safety", crisis.kind
            context.route = self.slots.route(question.bot)
        return context

    def _question(self, record: Record) -> Question:
        """Read a question. One that is refused only for its length is searched whole, and kept if it may be a crisis.

        Raises:
            InvalidMessage: it can never be answered.
        """
        place, consent = (record.partition, record.offset), self.settings.learning.legacy_consent
        try:
            return read_question(record.value, *place, legacy_consent=consent)
        except InvalidMessage as error:
            if error.reason not in LENGTH_REASONS:
                raise
            self.on_step("searching")  # a record of the largest size takes a moment, and so may each of a hundred
            with suppress(InvalidMessage):
                question = read_question(record.value, *place, legacy_consent=consent, of_any_length=True)
                if find_crisis(question.text) is not None:
                    return question
            raise

    def _sampling(self, question: Question) -> Sampling | None:
        """Seed by the question's position, so that a question that is answered again gets the same answer."""
        draw = self.settings.serving.sampling.get(question.bot)
        if draw is None:
            return None
        seed = int.from_bytes(hashlib.sha256(question.turn_id.encode()).digest()[:6])
        return Sampling(temperature=draw.temperature, top_k=draw.top_k, seed=seed)


def _context(request: Request) -> RequestContext:
    if request.context is None:
        raise AssertionError(f"{request.turn_id} is decoded before it was read")
    return request.context


def _where(error: Exception) -> str:
    """An exception's kind, and the line that raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{type(error).__name__} in {Path(frames[-1].filename).name}:{frames[-1].lineno}"
