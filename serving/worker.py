"""From questions to replies: what each record leads to, and nothing of how it is read or published.

Every record gets exactly one reply: an answer with its turn, or a dead letter. Who answers, in this order: a vetted
text, where the question may speak of a crisis; the notice of a muted bot; the model; the nearest known answer, where
the settings want it; a fixed notice, where the model cannot speak in time, or at all.
"""

import hashlib
import time
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import structlog

from kogpt2_chat.domain.crisis import find_crisis
from kogpt2_chat.domain.wire import LENGTH_REASONS, Question, read_question, turn_id
from kogpt2_chat.errors import InvalidMessage
from kogpt2_chat.jobs.safety_texts import safety_texts
from kogpt2_chat.model.engine import Engine, Sampling
from kogpt2_chat.ports import Record
from kogpt2_chat.settings import Settings
from serving.crashes import CrashLog, reading
from serving.metrics import Metrics
from serving.reply import Asked, Replies, Reply
from serving.slot import Slots

_log = structlog.get_logger("serving.worker")


@dataclass(kw_only=True)
class Worker:
    """Answers questions side by side: any may be admitted between any two steps, each is replied to when it is done.

    Attributes:
        engine: decodes the questions of all bots side by side.
        slots: which model speaks for which bot.
        crashes: what has taken the process down before.
        metrics: told of each step of the engine.
        name: ``worker-N``, for turns.
        clock: the worker's time, for people to read.
        monotonic: seconds, for deadlines and latencies: they do not jump when somebody sets the clock.
        on_step: told before each step of decoding.
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
    _refusals_by_turn: dict[str, int] = field(init=False, default_factory=dict)
    _waiting: deque[Asked] = field(init=False, default_factory=deque)
    _decoding: dict[str, Asked] = field(init=False, default_factory=dict)
    _is_alone: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        self._replies = Replies(
            settings=self.settings,
            worker=self.name,
            clock=self.clock,
            monotonic=self.monotonic,
            safety=safety_texts(self.settings),
        )

    @property
    def is_busy(self) -> bool:
        """Whether questions are admitted and not yet replied to."""
        return bool(self._decoding or self._waiting)

    def admit(self, records: Sequence[Record]) -> list[Reply]:
        """Take questions in.

        Args:
            records: in the order of the poll.

        Returns:
            Replies to those that need no decoding: vetted answers, fixed notices, dead letters.
        """
        replies: list[Reply] = []
        received_at = self.clock()

        def admit(record: Record) -> Reply | None:
            return self._admit(record, received_at)

        for group in self._to_be_read(records):
            works = [_reading(record) for record in group]
            self.crashes.begin([*self._decoding, *works])
            replies += [reply for record in group if (reply := self._sure(record, admit)) is not None]
            most = self.settings.serving.max_crashes
            self.crashes.survived([work for work in works if self.crashes.count(work) < most])
        if not self._waiting:  # else they are written down with the next step
            self.crashes.begin(list(self._decoding))
        return replies

    def _to_be_read(self, records: Sequence[Record]) -> list[list[Record]]:
        """Together, but for suspects of earlier crashes: each is read by itself, so that only the guilty one counts."""
        suspects = [record for record in records if self.crashes.count(_reading(record))]
        others = [record for record in records if not self.crashes.count(_reading(record))]
        return [*([others] if others else []), *([record] for record in suspects)]

    def _admit(self, record: Record, received_at: datetime) -> Reply | None:
        asked = self._read(record, received_at)
        if asked.fallback is not None:
            return self._replies.answer(asked)
        self._waiting.append(asked)
        return None

    def _sure(self, record: Record, make: Callable[[Record], Reply | None]) -> Reply | None:
        """What is made of a record, or its dead letter: whatever it does to the code, the worker lives on.

        What an exception says may repeat the player's words, so its kind and place are told and not its text.
        """
        trouble = ""
        for _ in range(self.settings.serving.max_crashes):
            try:
                return make(record)
            except InvalidMessage as error:
                bare = self._refusals_by_turn.get(turn_id(record.partition, record.offset), 0) > 1
                return self._replies.dead_letter(record, error, bare=bare)
            except Exception as error:  # noqa: BLE001 - see above
                trouble = _where(error)
                _log.error("record_failed", turn_id=turn_id(record.partition, record.offset), error=trouble)
        times = self.settings.serving.max_crashes
        return self._replies.dead_letter(record, InvalidMessage("crash_loop", f"failed {times} times on it: {trouble}"))

    @property
    def is_trying_a_suspect(self) -> bool:
        """Whether a suspect of earlier crashes is being decoded, so that nothing else may be done."""
        return self._is_alone and bool(self._decoding)

    def step(self, *, may_try_suspects: bool = True) -> list[Reply]:
        """Advance every admitted question by one token.

        Args:
            may_try_suspects: whether nothing else is under way that could take the process down.

        Returns:
            Replies to those that are done.
        """
        replies = self._begin(may_try_suspects=may_try_suspects)
        if not self._decoding:
            return replies
        self.on_step("decoding")
        rows, started = len(self._decoding), time.perf_counter()
        done = self.engine.step()
        self.metrics.stepped(time.perf_counter() - started, rows)
        for finished in done:
            asked = self._decoding.pop(finished.request_id)
            asked.finished = finished
            replies += self._replied(asked)
        if done:
            self.crashes.survived([finished.request_id for finished in done])
            self.on_step("decoded")
        if not self._decoding:
            self.crashes.begin(())
        return replies

    def drop(self) -> None:
        """Forget every question that is not replied to yet."""
        for id_ in self._decoding:
            self.engine.cancel(id_)
        self._decoding.clear()
        self._waiting.clear()
        self.crashes.begin(())

    def _begin(self, *, may_try_suspects: bool) -> list[Reply]:
        """Give waiting questions to the engine; suspects of earlier crashes are decoded alone, one after another.

        What is done to the text of a question from here on is counted against it, should the process die.
        """
        coming: list[Asked] = []
        while self._waiting:
            is_suspect = self.crashes.count(self._waiting[0].question.turn_id) > 0
            if (is_suspect or self._is_alone) and (self._decoding or coming):
                break
            if is_suspect and not may_try_suspects:
                break
            self._is_alone = is_suspect
            coming.append(self._waiting.popleft())
        # Even if none is coming: what was read meanwhile is no longer under way.
        self.crashes.begin([*self._decoding, *(asked.question.turn_id for asked in coming)])
        return [reply for asked in coming for reply in self._added(asked)]

    def _added(self, asked: Asked) -> list[Reply]:
        """Hand a question to the engine; what comes back is said in place of its answer."""

        def add(_: Record) -> Reply | None:
            self._add(asked)
            return self._replies.answer(asked) if asked.fallback is not None else None

        reply = self._sure(asked.record, add)
        return [] if reply is None else [reply]

    def _replied(self, asked: Asked) -> list[Reply]:
        reply = self._sure(asked.record, lambda _: self._replies.answer(asked))
        return [] if reply is None else [reply]

    def refuse(self, turn_id: str) -> None:
        """The broker would not take this question's reply: the next one will be a dead letter."""
        self._refusals_by_turn[turn_id] = self._refusals_by_turn.get(turn_id, 0) + 1

    def _read(self, record: Record, received_at: datetime) -> Asked:
        here = turn_id(record.partition, record.offset)
        if here in self._refusals_by_turn:
            raise InvalidMessage("answer_too_large", "the broker refused the answer or its turn as too large")
        if (deaths := self.crashes.count(_reading(record))) >= self.settings.serving.max_crashes:
            raise InvalidMessage("crash_loop", f"the worker died {deaths} times while reading it")
        question = self._question(record)
        crisis = find_crisis(question.text)
        crashes = self.crashes.count(here)
        if crisis is None and crashes >= self.settings.serving.max_crashes:
            raise InvalidMessage("crash_loop", f"the worker died {crashes} times on it", question.question_id)
        patience_s = self.settings.serving.answer_deadline_s
        if question.reply_by is not None:
            patience_s = min(patience_s, (question.reply_by - received_at).total_seconds())
        received_s = self.monotonic()
        asked = Asked(
            record=record,
            question=question,
            received_at=received_at,
            received_s=received_s,
            deadline_s=received_s + patience_s,
        )
        if crisis is not None:
            asked.fallback, asked.crisis = "safety", crisis.kind
            asked.route = self.slots.route(question.bot)
        return asked

    def _question(self, record: Record) -> Question:
        """Read a question; what is refused only for its length is searched whole, and kept where it may be a crisis.

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

    def _add(self, one: Asked) -> None:
        """Give a question to the engine with the model that answers it to the end, or say why none does."""
        one.route = route = self.slots.route(one.question.bot)
        if route.muted:
            one.fallback = "muted"
            return
        if route.loaded is None:
            one.fallback = "degraded"
            return
        model = route.loaded.model
        left_s = one.deadline_s - self.monotonic()
        if left_s <= 0:
            one.fallback = "timeout"
            return
        one.prompt_ids = model.encode(one.question.text)
        one.sampling = self._sampling(one.question)
        turn = one.question.turn_id
        self.engine.add_request(turn, model, one.prompt_ids, deadline_s=left_s, sampling=one.sampling)
        self._decoding[turn] = one

    def _sampling(self, question: Question) -> Sampling | None:
        """Seeded by the question's position, so that the same question, answered again, has the same answer."""
        draw = self.settings.serving.sampling.get(question.bot)
        if draw is None:
            return None
        seed = int.from_bytes(hashlib.sha256(question.turn_id.encode()).digest()[:6])
        return Sampling(temperature=draw.temperature, top_k=draw.top_k, seed=seed)


def _reading(record: Record) -> str:
    return reading(turn_id(record.partition, record.offset))


def _where(error: Exception) -> str:
    """An exception's kind, and the line that raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{type(error).__name__} in {Path(frames[-1].filename).name}:{frames[-1].lineno}"
