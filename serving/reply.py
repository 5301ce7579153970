"""What one question leads to: an answer with its turn, or a dead letter, as records ready to be sent."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Final

from kogpt2_chat.domain.chat.kept_turns import masked_turn
from kogpt2_chat.domain.chat.prompt import answer_text
from kogpt2_chat.domain.chat.question_fields import MAX_ID_CHARS, MAX_NAME_CHARS, MAX_TEXT_CHARS
from kogpt2_chat.domain.chat.times import PLAUSIBLE_YEARS
from kogpt2_chat.domain.chat.topics import DEAD_LETTER_TOPIC, TOPIC_BY_NAME, TURN_TOPIC
from kogpt2_chat.domain.chat.turns import NOTICE_BY_FALLBACK, Fallback, Turn
from kogpt2_chat.domain.chat.unsure import unsure_answer
from kogpt2_chat.domain.chat.wire import Question, answer_headers, dead_letter_headers
from kogpt2_chat.domain.safety.crisis import find_crisis
from kogpt2_chat.domain.safety.vetted_answers import SafetyTexts
from kogpt2_chat.domain.text.masking import mask_pii
from kogpt2_chat.errors import InvalidMessage
from kogpt2_chat.inference.nearest import Found
from kogpt2_chat.inference.uncertain import Choice, choose, speaker
from kogpt2_chat.ports import Outgoing, Record
from kogpt2_chat.settings import Settings
from serving.in_flight import Answered, DeadLettered, Reply, RequestContext

_NEAREST_FOR: Final = frozenset({"timeout", "empty"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Text:
    """What is said, and why it is not the model's own answer if it is not.

    Attributes:
        found: the known question that it answers.
    """

    text: str
    fallback: Fallback | None = None
    found: Found | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyBuilder:
    """Builds replies.

    Attributes:
        settings: bounds, and what the answer was decoded with.
        worker: ``worker-N``, for turns.
        clock: the worker's time.
        monotonic: seconds, for latencies.
        safety: vetted answers.
    """

    settings: Settings
    worker: str
    clock: Callable[[], datetime]
    monotonic: Callable[[], float]
    safety: SafetyTexts

    def answer(self, record: Record, context: RequestContext) -> Reply:
        """Build the answer and its turn.

        There is no turn of a question that may speak of a crisis without the player's consent to store: the record
        alone would say of somebody that they asked such a thing. An answer that its topic does not take becomes a
        dead letter.
        """
        said = self._text(context)
        turn = self._turn(record, context, said)
        question = context.question
        headers = answer_headers(
            question,
            model_version=turn.model_version,
            epoch=turn.epoch,
            latency_ms=turn.latency_ms,
            fallback=turn.fallback,
        )
        answer = Outgoing(topic=question.bot, key=question.sender.encode(), value=said.text.encode(), headers=headers)
        log = Outgoing(topic=TURN_TOPIC, key=turn.player_id.encode(), value=turn.to_json().encode(), headers=headers)
        outgoing = (answer,) if context.crisis and not turn.consent_store else (answer, log)
        if any(len(item.value or b"") > _max_value_bytes(item.topic) for item in outgoing):
            error = InvalidMessage("answer_too_large", "larger than its topic takes", question.question_id)
            return self.dead_letter(record, error)
        answer_tokens = len(context.finished.token_ids) if context.finished else 0
        return Answered(outgoing=outgoing, turn=turn, answer_tokens=answer_tokens, crisis=context.crisis)

    def dead_letter(self, record: Record, error: InvalidMessage, *, bare: bool = False) -> DeadLettered:
        """Build a dead letter: the record as it came, and why.

        Args:
            record: the question.
            error: what is wrong with it.
            bare: leave the value out, because the broker has refused the letter itself.
        """
        value = record.value
        if bare or (value is None and record.key is None):  # Kafka takes no record without key and value
            value = b""
        headers = dead_letter_headers(error, record.partition, record.offset)
        letter = Outgoing(topic=DEAD_LETTER_TOPIC, key=record.key, value=value, headers=headers)
        return DeadLettered(outgoing=(letter,), reason=error.reason)

    def _text(self, context: RequestContext) -> _Text:
        """Choose what is said: the vetted answer, the model's, or what takes its place."""
        if context.crisis is not None:  # never cut: the help line stands in it
            vetted = self.safety.answer(context.question.text, context.question.bot, context.crisis)
            return _Text(text=vetted, fallback="safety")
        loaded, finished = context.loaded, context.finished
        if context.fallback is not None or loaded is None:
            return self._instead(context, context.fallback or "timeout")
        if finished is None or finished.stop_reason == "deadline":
            return self._instead(context, "timeout")
        own = answer_text(loaded.model.decode(finished.token_ids), self.settings.serving.max_answer_chars)
        if not own:
            return self._instead(context, "empty")
        who, found = speaker(loaded.model.uncertainty, self._choice(context), finished.logprob, context.question.text)
        if who == "model":
            return _Text(text=own)
        return _Text(text=self._known_or_unsure(context, found), fallback=who, found=found)

    def _instead(self, context: RequestContext, fallback: Fallback) -> _Text:
        """Choose what is said where the model has said nothing."""
        uncertainty = context.loaded.model.uncertainty if context.loaded else None
        if fallback in _NEAREST_FOR and uncertainty is not None and self._choice(context) == "nearest":
            found = uncertainty.find(context.question.text)
            if found is not None:
                return _Text(text=self._known_or_unsure(context, found), fallback="nearest", found=found)
        return _Text(text=NOTICE_BY_FALLBACK[fallback], fallback=fallback)

    def _known_or_unsure(self, context: RequestContext, found: Found | None) -> str:
        if found is None:
            return unsure_answer(context.question.bot, context.question.turn_id)
        return answer_text(found.known.answer, self.settings.serving.max_answer_chars)

    def _choice(self, context: RequestContext) -> Choice:
        small = context.loaded is not None and context.loaded.model.small
        return choose(self.settings, context.question.bot, small=small)

    def _turn(self, record: Record, context: RequestContext, said: _Text) -> Turn:
        question, store = bounded(context.question), context.question.consent_store
        token_ids = context.finished.token_ids if context.finished and said.fallback is None else ()
        turn = Turn(
            turn_id=question.turn_id,
            question_id=question.question_id,
            bot=question.bot,
            player_id=question.player_id,
            sender=question.sender,
            session_id=question.session_id,
            # Without consent to store, the turn says that something was asked and never what.
            text=question.text if store else "",
            answer=said.text if store else "",
            answer_token_ids=tuple(token_ids) if store else (),
            prompt_tokens=len(context.prompt_ids),
            model_version=context.loaded.version if context.loaded else 0,
            epoch=context.route.rollout_epoch if context.route else 0,
            decoding=self._decoding(context, said),
            fallback=said.fallback,
            sent_at=question.sent_at or _broker_time(record),
            received_at=context.received_at.isoformat(),
            answered_at=self.clock().isoformat(),
            latency_ms=max(0, round((self.monotonic() - context.received_s) * 1000)),
            consent_store=store,
            consent_train=question.consent_train,
            source=question.source,
            worker=self.worker,
            extra=question.extra if store else {},
        )
        return masked_turn(turn)

    def _decoding(self, context: RequestContext, said: _Text) -> dict[str, object]:
        """Say what the answer was made with; of a vetted one, what was found and which texts answered."""
        question, finished = context.question, context.finished
        if context.crisis is not None:
            vetted: dict[str, object] = {"safety": context.crisis, "checked_on": self.safety.checked_on.isoformat()}
            cut = {"question_chars": len(question.text)} if len(question.text) > MAX_TEXT_CHARS else {}
            return vetted | cut
        if finished is None:
            return {}
        facts: dict[str, object] = {
            "engine": "openvino",
            "strategy": "greedy" if context.sampling is None else "sampled",
            "max_new_tokens": self.settings.model.max_new_tokens,
            "stop_reason": finished.stop_reason,
            "logprob": round(finished.logprob, 4),
        }
        if said.found is not None:
            facts["nearest"] = _as_fact(said.found, store=question.consent_store)
        if context.sampling is not None:
            facts |= asdict(context.sampling)
        return facts


def _as_fact(found: Found, *, store: bool) -> dict[str, object]:
    """Which known question was answered; its words only with consent to store, being close to what was asked."""
    facts = {"likeness": round(found.likeness, 4), "source": found.known.source}
    return {**facts, "question": found.known.question} if store else facts


def bounded(question: Question) -> Question:
    """A question as a turn may hold it.

    One that was read although it is too long loses what its client sent beside it, and all of its text but what
    stands around the words that it was answered for. It is masked before it is cut: half a number is not found.
    """
    if not question.is_oversized:
        return question
    masked, _ = mask_pii(question.text)
    found = find_crisis(masked)
    middle = found.start if found else 0
    start = max(0, min(middle - MAX_TEXT_CHARS // 2, len(masked) - MAX_TEXT_CHARS))
    return replace(
        question,
        text=masked[start : start + MAX_TEXT_CHARS],
        sender=question.sender[:MAX_NAME_CHARS],
        player_id=question.player_id[:MAX_ID_CHARS],
        extra={},
    )


def _broker_time(record: Record) -> str | None:
    """The record's own time, which its client may have made up."""
    try:
        time = datetime.fromtimestamp(record.timestamp_ms / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return None
    return time.isoformat() if time.year in PLAUSIBLE_YEARS else None


def _max_value_bytes(topic: str) -> int:
    return TOPIC_BY_NAME[topic].max_value_bytes
