"""Turn questions into replies. This module neither polls nor publishes.

Every record gets exactly one reply: an answer with its turn, or a dead letter. The answer is the first of these that
applies: a vetted answer, if the question may be about a crisis; the notice of a muted bot; the model's own answer, if
it is ready in time and likely enough; the nearest known answer, or a text that says that the bot does not know; a fixed
notice. The settings can turn off the nearest answer and the check of the likelihood.
"""

import hashlib
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import structlog

from kogpt2_chat.domain.chat.signing import UNSIGNED, SigningKeys
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
    """Answers many questions concurrently. Questions are admitted between two steps, and finish in any order.

    Attributes:
        engine: decodes the questions of all bots.
        slots: the version that answers for each bot.
        crashes: the questions that may have killed the process before.
        metrics: counts each step of the engine.
        settings: limits, deadlines and sampling.
        name: ``worker-N``, for turns.
        clock: the time, for turns.
        monotonic: seconds, for deadlines and latencies; not affected when the clock is set.
        on_step: called with the name of each step.
        keys: the keys of those who may vouch for a player.
        tracker: every question that was polled and is not yet published.
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
    keys: SigningKeys = UNSIGNED
    tracker: InFlightTracker = field(default_factory=InFlightTracker)
    _refusals_by_turn: dict[str, int] = field(init=False, default_factory=dict)
    _decodes_suspect: bool = field(init=False, default=False)

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
        """Whether a suspect of earlier crashes is being decoded, so that nothing else may run."""
        return self._decodes_suspect and bool(self.tracker.decoding)

    @property
    def is_next_a_suspect(self) -> bool:
        """Whether the question that is decoded next is a suspect of earlier crashes."""
        waiting = self.tracker.waiting
        return bool(waiting) and self.crashes.count(waiting[0].turn_id) > 0

    def admit(self, records: Sequence[Record]) -> None:
        """Read questions. Those that need no decoding get their reply at once: a vetted answer or a dead letter.

        Args:
            records: in the order in which they were polled.
        """
        received_at = self.clock()
        requests = [self.tracker.add(record) for record in records]
        for group in self._reading_groups(requests):
            works = [reading(request.turn_id) for request in group]
            self.crashes.begin([*self._decoding_turns(), *works])
            for request in group:
                self._set_reply(request, lambda request=request: self._admit(request, received_at))  # type: ignore[misc]
            most = self.settings.serving.max_crashes
            self.crashes.survived([work for work in works if self.crashes.count(work) < most])
        if not self.tracker.waiting:  # otherwise the next step notes them
            self.crashes.begin(self._decoding_turns())

    def step(self, *, may_try_suspects: bool = True) -> None:
        """Advance every admitted question by one token.

        Args:
            may_try_suspects: whether suspects of earlier crashes may be decoded; False while something else is running
                that could kill the process.
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
            context.finished, context.finished_s = finished, self.monotonic()
            survived.append(request.turn_id)
            self._set_reply(request, lambda request=request: self._answer(request))  # type: ignore[misc]
        if done:
            self.crashes.survived(survived)
            self.on_step("decoded")
        if not decoding:
            self.crashes.begin(())

    def drop(self) -> int:
        """Drop every question that is not published yet.

        Returns:
            The number of dropped questions.
        """
        for request_id in self.tracker.decoding:
            self.engine.cancel(request_id)
        dropped = self.tracker.clear()
        self.crashes.begin(())
        return dropped

    def refuse(self, turn_id: str) -> None:
        """Record that the broker refused this question's reply: the next reply will be a dead letter."""
        self._refusals_by_turn[turn_id] = self._refusals_by_turn.get(turn_id, 0) + 1

    def _reading_groups(self, requests: Sequence[Request]) -> list[list[Request]]:
        """Group requests for reading: suspects of earlier crashes one by one, so that a crash blames only one."""
        suspects = [request for request in requests if self.crashes.count(reading(request.turn_id))]
        others = [request for request in requests if not self.crashes.count(reading(request.turn_id))]
        return [*([others] if others else []), *([request] for request in suspects)]

    def _admit(self, request: Request, received_at: datetime) -> Reply | None:
        context = request.context = self._read(request, received_at)
        if context.fallback is not None:
            return self._replies.answer(request.record, context)
        self.tracker.waiting.append(request)
        return None

    def _set_reply(self, request: Request, make: Callable[[], Reply | None]) -> None:
        """Set a request's reply to what ``make`` returns, or to a dead letter if it is invalid or keeps failing.

        So the worker survives any record that makes its code fail. The message of an exception may contain the player's
        text, so only the exception's type and line are logged.
        """
        trouble = ""
        for _ in range(self.settings.serving.max_crashes):
            try:
                request.reply = make()
            except InvalidMessage as error:
                without_value = self._refusals_by_turn.get(request.turn_id, 0) > 1
                request.reply = self._replies.dead_letter(request.record, error, without_value=without_value)
            except Exception as error:  # noqa: BLE001 - the worker survives any record
                trouble = _where(error)
                _log.error("record_failed", turn_id=request.turn_id, error=trouble)
                continue
            return
        times = self.settings.serving.max_crashes
        given_up = InvalidMessage("crash_loop", f"processing it failed {times} times: {trouble}")
        request.reply = self._replies.dead_letter(request.record, given_up)

    def _begin(self, *, may_try_suspects: bool) -> None:
        """Pass waiting questions to the engine. Suspects of earlier crashes are decoded one at a time, and alone.

        If the process dies from here on, these questions are suspects at its next start.
        """
        taken: list[Request] = []
        while self.tracker.waiting:
            is_suspect = self.is_next_a_suspect
            if (is_suspect or self._decodes_suspect) and (self.tracker.decoding or taken):
                break
            if is_suspect and not may_try_suspects:
                break
            self._decodes_suspect = is_suspect
            taken.append(self.tracker.waiting.popleft())
        # Also if none was taken: the log may still list records that are no longer being read.
        self.crashes.begin([*self._decoding_turns(), *(request.turn_id for request in taken)])
        for request in taken:
            self._set_reply(request, lambda request=request: self._decode(request))  # type: ignore[misc]

    def _decode(self, request: Request) -> Reply | None:
        """Add a question to the engine with the model that will answer it, or return a reply without the model."""
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
        turn_id = request.turn_id
        if turn_id in self._refusals_by_turn:
            raise InvalidMessage("answer_too_large", "the broker refused the answer or its turn as too large")
        if (deaths := self.crashes.count(reading(turn_id))) >= self.settings.serving.max_crashes:
            raise InvalidMessage("crash_loop", f"the worker died {deaths} times while reading it")
        question = self._question(request.record)
        crisis = find_crisis(question.text)
        crashes = self.crashes.count(turn_id)
        if crisis is None and crashes >= self.settings.serving.max_crashes:
            raise InvalidMessage(
                "crash_loop", f"the worker died {crashes} times while decoding it", question.question_id
            )
        timeout_s = self.settings.serving.answer_deadline_s
        if question.reply_by is not None:
            timeout_s = min(timeout_s, (question.reply_by - received_at).total_seconds())
        received_s = self.monotonic()
        context = RequestContext(
            question=question, received_at=received_at, received_s=received_s, deadline_s=received_s + timeout_s
        )
        if crisis is not None:
            context.fallback, context.crisis = "safety", crisis.kind
            context.route = self.slots.route(question.bot)
        return context

    def _question(self, record: Record) -> Question:
        """Parse a question. One that is too long is still searched for a crisis, and accepted if it may be about one.

        Raises:
            InvalidMessage: the question can never be answered.
        """
        read = partial(
            read_question,
            record.value,
            record.partition,
            record.offset,
            legacy_consent=self.settings.learning.legacy_consent,
            keys=self.keys,
        )
        try:
            return read()
        except InvalidMessage as error:
            if error.reason not in LENGTH_REASONS:
                raise
            self.on_step("searching")  # may take a moment for each of many large records: feed the watchdog
            with suppress(InvalidMessage):
                question = read(of_any_length=True)
                if find_crisis(question.text) is not None:
                    return question
            raise

    def _sampling(self, question: Question) -> Sampling | None:
        """Return the bot's sampling, seeded by the turn id: a question that is answered again gets the same answer."""
        draw = self.settings.serving.sampling.get(question.bot)
        if draw is None:
            return None
        seed = int.from_bytes(hashlib.sha256(question.turn_id.encode()).digest()[:6])
        return Sampling(temperature=draw.temperature, top_k=draw.top_k, seed=seed)


def _context(request: Request) -> RequestContext:
    if request.context is None:
        raise AssertionError(f"{request.turn_id} was not read before decoding")
    return request.context


def _where(error: Exception) -> str:
    """Return an exception's type and the line that raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{type(error).__name__} in {Path(frames[-1].filename).name}:{frames[-1].lineno}"
