"""From questions to replies: what each record leads to, and nothing of how it is read or published.

Every record gets exactly one reply: an answer with its turn, or a dead letter. A fixed notice takes the
answer's place where the model cannot speak in time, or at all.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from kogpt2_chat.domain.cleaning import mask_pii
from kogpt2_chat.domain.prompt import answer_text
from kogpt2_chat.domain.topics import DEAD_LETTER_TOPIC, TOPIC_BY_NAME, TURN_TOPIC
from kogpt2_chat.domain.turns import NOTICE_BY_FALLBACK, Fallback, Turn
from kogpt2_chat.domain.wire import Question, answer_headers, dead_letter_headers, read_question, turn_id
from kogpt2_chat.domain.wire_fields import PLAUSIBLE_YEARS
from kogpt2_chat.errors import InvalidMessage
from kogpt2_chat.model.engine import Engine, Finished
from kogpt2_chat.ports import Outgoing, Record
from kogpt2_chat.settings import Settings
from serving.crashes import CrashLog
from serving.slot import Loaded, Slots

_BROKER_MAX_BYTES: Final = 1024 * 1024
_HEADROOM_BYTES: Final = 16 * 1024
"""Key, headers and the record's frame stand in the same bound as the value."""


class BatchDropped(Exception):
    """The batch was given up; nothing of it may be published."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What one record leads to.

    Attributes:
        outgoing: an answer and its turn, or a dead letter.
        facts: fields of the canonical log line; never user text.
    """

    turn_id: str
    outgoing: tuple[Outgoing, ...]
    facts: Mapping[str, object]
    is_dead_letter: bool = False


@dataclass(slots=True, kw_only=True)
class _Asked:
    """A question on its way to an answer."""

    record: Record
    question: Question
    received_at: datetime
    deadline: datetime
    model: Loaded | None
    epoch: int
    fallback: Fallback | None = None
    prompt_ids: Sequence[int] = ()
    finished: Finished | None = None


@dataclass(kw_only=True)
class Worker:
    """Answers batches of records.

    Attributes:
        engine: decodes the questions of all bots side by side.
        slots: which model speaks for which bot.
        crashes: what has taken the process down before.
        name: ``worker-N``, for turns.
        clock: the worker's time.
        on_step: told before each step of decoding.
        give_up: asked between steps whether the batch is to be dropped.
    """

    engine: Engine
    slots: Slots
    crashes: CrashLog
    settings: Settings
    name: str
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    on_step: Callable[[str], None] = lambda _: None
    give_up: Callable[[], bool] = lambda: False
    _refusals_by_turn: dict[str, int] = field(default_factory=dict)

    def answer(self, records: Sequence[Record]) -> list[Reply]:
        """One reply for each record, in the order of the records.

        Args:
            records: of one poll.

        Returns:
            The replies. When ``give_up`` says so in the middle there are none: BatchDropped passes through.
        """
        received_at = self.clock()
        dead: dict[tuple[int, int], InvalidMessage] = {}
        asked: list[_Asked] = []
        for record in records:
            try:
                asked.append(self._read(record, received_at))
            except InvalidMessage as error:
                dead[record.partition, record.offset] = error
        replies = [
            self._dead_letter(r, dead[r.partition, r.offset]) for r in records if (r.partition, r.offset) in dead
        ]
        for group in self._groups(asked):
            replies += self._answer_group(group)
        order = {turn_id(record.partition, record.offset): number for number, record in enumerate(records)}
        return sorted(replies, key=lambda reply: order[reply.turn_id])

    def refuse(self, turn_id: str) -> None:
        """The broker would not take this question's reply: the next one will be a dead letter."""
        self._refusals_by_turn[turn_id] = self._refusals_by_turn.get(turn_id, 0) + 1

    def _read(self, record: Record, received_at: datetime) -> _Asked:
        here = turn_id(record.partition, record.offset)
        if here in self._refusals_by_turn:
            raise InvalidMessage("answer_too_large", "the broker refused the answer or its turn as too large")
        consent = self.settings.learning.legacy_consent
        question = read_question(record.value, record.partition, record.offset, legacy_consent=consent)
        crashes = self.crashes.count(here)
        if crashes >= self.settings.serving.max_crashes:
            raise InvalidMessage("crash_loop", f"the worker died {crashes} times on it", question.question_id)
        model, epoch, muted = self.slots.serving(question.bot)
        latest = received_at + timedelta(seconds=self.settings.serving.answer_deadline_s)
        asked = _Asked(
            record=record,
            question=question,
            received_at=received_at,
            deadline=min(latest, question.reply_by) if question.reply_by else latest,
            model=model,
            epoch=epoch,
        )
        if muted:
            asked.fallback = "muted"
        elif model is None:
            asked.fallback = "degraded"
        return asked

    def _groups(self, asked: Sequence[_Asked]) -> list[list[_Asked]]:
        """Suspects of earlier crashes one by one, then all others side by side."""
        suspects = [[one] for one in asked if self.crashes.count(one.question.turn_id)]
        others = [one for one in asked if not self.crashes.count(one.question.turn_id)]
        return [*suspects, others] if others else suspects

    def _answer_group(self, group: Sequence[_Asked]) -> list[Reply]:
        """All that is done to the text of a question happens between begin and end, so that it is counted."""
        turn_ids = [one.question.turn_id for one in group]
        self.crashes.begin(turn_ids)
        try:
            self._decode(group)
        except BatchDropped:
            self.crashes.begin(())
            raise
        replies = [self._reply(one) for one in group]
        self.crashes.end(turn_ids)
        self.on_step("decoded")
        return replies

    def _decode(self, group: Sequence[_Asked]) -> None:
        by_id = {one.question.turn_id: one for one in group}
        for one in group:
            self._add(one)
        while self.engine.in_flight:
            self.on_step("decoding")
            if self.give_up():
                for id_ in by_id:
                    self.engine.cancel(id_)
                raise BatchDropped
            for finished in self.engine.step():
                by_id[finished.request_id].finished = finished

    def _add(self, one: _Asked) -> None:
        if one.fallback is not None or one.model is None:
            return
        left_s = (one.deadline - self.clock()).total_seconds()
        if left_s <= 0:
            one.fallback = "timeout"
            return
        one.prompt_ids = one.model.model.encode(one.question.text)
        self.engine.add_request(one.question.turn_id, one.question.bot, one.prompt_ids, left_s)

    def _text(self, one: _Asked) -> str:
        """The model's answer; sets the fallback where there is none."""
        if one.fallback is None and (one.finished is None or one.finished.stop_reason == "deadline"):
            one.fallback = "timeout"
        if one.fallback is None and one.model is not None and one.finished is not None:
            said = one.model.model.decode(one.finished.token_ids)
            text = answer_text(said, self.settings.serving.max_answer_chars)
            if text:
                return text
            one.fallback = "empty"
        return NOTICE_BY_FALLBACK[one.fallback or "timeout"]

    def _reply(self, one: _Asked) -> Reply:
        text = self._text(one)
        answered_at = self.clock()
        turn = self._turn(one, text, answered_at)
        headers = answer_headers(
            one.question,
            model_version=turn.model_version,
            epoch=turn.epoch,
            latency_ms=turn.latency_ms,
            fallback=turn.fallback,
        )
        outgoing = (
            Outgoing(topic=one.question.bot, key=one.question.sender.encode(), value=text.encode(), headers=headers),
            Outgoing(topic=TURN_TOPIC, key=turn.player_id.encode(), value=turn.to_json().encode(), headers=headers),
        )
        if any(len(item.value or b"") > _max_bytes(item.topic) - _HEADROOM_BYTES for item in outgoing):
            error = InvalidMessage("answer_too_large", "larger than its topic takes", one.question.question_id)
            return self._dead_letter(one.record, error)
        facts = {
            "bot": turn.bot,
            "version": turn.model_version,
            "epoch": turn.epoch,
            "source": turn.source,
            "fallback": turn.fallback,
            "latency_ms": turn.latency_ms,
            "prompt_tokens": turn.prompt_tokens,
            "answer_tokens": len(one.finished.token_ids) if one.finished else 0,
        }
        return Reply(turn_id=turn.turn_id, outgoing=outgoing, facts=facts)

    def _turn(self, one: _Asked, answer: str, answered_at: datetime) -> Turn:
        question, store = one.question, one.question.consent_store
        token_ids = one.finished.token_ids if one.finished and one.fallback is None else ()
        masked, _ = mask_pii(question.text)
        return Turn(
            turn_id=question.turn_id,
            question_id=question.question_id,
            bot=question.bot,
            player_id=question.player_id,
            sender=question.sender,
            session_id=question.session_id,
            # Without consent to store, the turn says that something was asked and never what.
            text=masked if store else "",
            answer=answer if store else "",
            answer_token_ids=tuple(token_ids) if store else (),
            prompt_tokens=len(one.prompt_ids),
            model_version=one.model.version if one.model else 0,
            epoch=one.epoch,
            decoding=self._decoding(one.finished),
            fallback=one.fallback,
            sent_at=question.sent_at or _broker_time(one.record),
            received_at=one.received_at.isoformat(),
            answered_at=answered_at.isoformat(),
            latency_ms=max(0, round((answered_at - one.received_at).total_seconds() * 1000)),
            consent_store=store,
            consent_train=question.consent_train,
            source=question.source,
            worker=self.name,
            extra=question.extra if store else {},
        )

    def _decoding(self, finished: Finished | None) -> dict[str, object]:
        if finished is None:
            return {}
        return {
            "engine": self.settings.serving.engine,
            "strategy": "greedy",
            "max_new_tokens": self.settings.model.max_new_tokens,
            "stop_reason": finished.stop_reason,
        }

    def _dead_letter(self, record: Record, error: InvalidMessage) -> Reply:
        here = turn_id(record.partition, record.offset)
        value = record.value
        if self._refusals_by_turn.get(here, 0) > 1 or (value is None and record.key is None):
            # The letter itself was refused, or Kafka takes no record without key and value.
            value = b""
        headers = dead_letter_headers(error, record.partition, record.offset)
        letter = Outgoing(topic=DEAD_LETTER_TOPIC, key=record.key, value=value, headers=headers)
        return Reply(turn_id=here, outgoing=(letter,), facts={"reason": error.reason}, is_dead_letter=True)


def _broker_time(record: Record) -> str | None:
    """The record's own time, which its client may have made up."""
    try:
        time = datetime.fromtimestamp(record.timestamp_ms / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return None
    return time.isoformat() if time.year in PLAUSIBLE_YEARS else None


def _max_bytes(topic: str) -> int:
    return int(TOPIC_BY_NAME[topic].configs.get("max.message.bytes", _BROKER_MAX_BYTES))
