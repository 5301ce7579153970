"""From questions to replies: what each record leads to, and nothing of how it is read or published.

Every record gets exactly one reply: an answer with its turn, or a dead letter. Who answers, in this order: a vetted
text, where the question may speak of a crisis; the notice of a muted bot; the model; the nearest known answer, where
the settings want it; a fixed notice, where the model cannot speak in time, or at all.
"""

import hashlib
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from kogpt2_chat.domain.crisis import find_crisis
from kogpt2_chat.domain.wire import LENGTH_REASONS, Question, read_question, turn_id
from kogpt2_chat.errors import InvalidMessage
from kogpt2_chat.jobs.safety_texts import safety_texts
from kogpt2_chat.model.engine import Engine, Sampling
from kogpt2_chat.ports import Record
from kogpt2_chat.settings import Settings
from serving.crashes import CrashLog
from serving.history import History, Said
from serving.metrics import Metrics
from serving.reply import Asked, Replies, Reply
from serving.slot import Slots


@dataclass(kw_only=True)
class Worker:
    """Answers questions side by side: any may be admitted between any two steps, each is replied to when it is done.

    Attributes:
        engine: decodes the questions of all bots side by side.
        slots: which model speaks for which bot.
        crashes: what has taken the process down before.
        metrics: told of each step of the engine.
        name: ``worker-N``, for turns.
        clock: the worker's time.
        on_step: told before each step of decoding.
    """

    engine: Engine
    slots: Slots
    crashes: CrashLog
    metrics: Metrics
    settings: Settings
    name: str
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    on_step: Callable[[str], None] = lambda _: None
    _refusals_by_turn: dict[str, int] = field(init=False, default_factory=dict)
    _waiting: deque[Asked] = field(init=False, default_factory=deque)
    _decoding: dict[str, Asked] = field(init=False, default_factory=dict)
    _is_alone: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        self._replies = Replies(
            settings=self.settings, worker=self.name, clock=self.clock, safety=safety_texts(self.settings)
        )
        self._history = History(self.settings.serving.history_turns, self.settings.model.max_prompt_tokens)

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
        received_at = self.clock()
        replies = []
        for record in records:
            try:
                asked = self._read(record, received_at)
            except InvalidMessage as error:
                bare = self._refusals_by_turn.get(turn_id(record.partition, record.offset), 0) > 1
                replies.append(self._replies.dead_letter(record, error, bare=bare))
                continue
            if asked.fallback is None:
                self._waiting.append(asked)
            else:
                replies.append(self._replies.answer(asked))
        return replies

    def step(self) -> list[Reply]:
        """Advance every admitted question by one token.

        Returns:
            Replies to those that are done.
        """
        replies = self._begin()
        if not self._decoding:
            return replies
        self.on_step("decoding")
        rows, started = len(self._decoding), time.perf_counter()
        done = self.engine.step()
        self.metrics.stepped(time.perf_counter() - started, rows)
        for finished in done:
            asked = self._decoding.pop(finished.request_id)
            asked.finished = finished
            replies.append(self._replies.answer(asked))
            self._remember(asked)
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

    def _begin(self) -> list[Reply]:
        """Give waiting questions to the engine; suspects of earlier crashes are decoded alone, one after another.

        What is done to the text of a question from here on is counted against it, should the process die.
        """
        coming: list[Asked] = []
        while self._waiting:
            is_suspect = self.crashes.count(self._waiting[0].question.turn_id) > 0
            if (is_suspect or self._is_alone) and (self._decoding or coming):
                break
            self._is_alone = is_suspect
            coming.append(self._waiting.popleft())
        if not coming:
            return []
        self.crashes.begin([*self._decoding, *(asked.question.turn_id for asked in coming)])
        for asked in coming:
            self._add(asked)
        return [self._replies.answer(asked) for asked in coming if asked.fallback is not None]

    def refuse(self, turn_id: str) -> None:
        """The broker would not take this question's reply: the next one will be a dead letter."""
        self._refusals_by_turn[turn_id] = self._refusals_by_turn.get(turn_id, 0) + 1

    def _read(self, record: Record, received_at: datetime) -> Asked:
        here = turn_id(record.partition, record.offset)
        if here in self._refusals_by_turn:
            raise InvalidMessage("answer_too_large", "the broker refused the answer or its turn as too large")
        question = self._question(record)
        crisis = find_crisis(question.text)
        crashes = self.crashes.count(here)
        if crisis is None and crashes >= self.settings.serving.max_crashes:
            raise InvalidMessage("crash_loop", f"the worker died {crashes} times on it", question.question_id)
        model, epoch, muted = self.slots.serving(question.bot)
        latest = received_at + timedelta(seconds=self.settings.serving.answer_deadline_s)
        asked = Asked(
            record=record,
            question=question,
            received_at=received_at,
            deadline=min(latest, question.reply_by) if question.reply_by else latest,
            model=model,
            epoch=epoch,
        )
        if crisis is not None:
            asked.fallback, asked.crisis = "safety", crisis.kind
        elif muted:
            asked.fallback = "muted"
        elif model is None:
            asked.fallback = "degraded"
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
        # Anew, since a swap may lie between: the engine will use what serves now.
        one.model, one.epoch, _ = self.slots.serving(one.question.bot)
        if one.model is None:
            one.fallback = "degraded"
            return
        left_s = (one.deadline - self.clock()).total_seconds()
        if left_s <= 0:
            one.fallback = "timeout"
            return
        own = one.own_prompt_ids = one.model.model.encode(one.question.text)
        now, player = self.clock(), one.question.player_id
        one.earlier = self._history.before(player, one.question.bot, one.model.version, own, now)
        one.prompt_ids = [*(token for said in one.earlier for token in said.ids), *own]
        one.sampling = self._sampling(one.question)
        self.engine.add_request(one.question.turn_id, one.question.bot, one.prompt_ids, left_s, one.sampling)
        self._decoding[one.question.turn_id] = one

    def _sampling(self, question: Question) -> Sampling | None:
        """Seeded by the question's position, so that the same question, answered again, has the same answer."""
        draw = self.settings.serving.sampling.get(question.bot)
        if draw is None:
            return None
        seed = int.from_bytes(hashlib.sha256(question.turn_id.encode()).digest()[:6])
        return Sampling(temperature=draw.temperature, top_k=draw.top_k, seed=seed)

    def _remember(self, one: Asked) -> None:
        if one.fallback is None and one.model is not None and one.finished is not None:
            said = Said(
                turn_id=one.question.turn_id,
                version=one.model.version,
                prompt_ids=tuple(one.own_prompt_ids),
                answer_ids=one.finished.token_ids,
                at=self.clock(),
            )
            self._history.remember(one.question.player_id, one.question.bot, said)
