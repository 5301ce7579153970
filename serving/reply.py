"""Build the reply to one question: an answer with its turn, or a dead letter, as records ready to be sent."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Final

from kogpt2_chat.domain.chat.prompt import UNKNOWN_ID, answer_text
from kogpt2_chat.domain.chat.question_fields import MAX_ID_CHARS, MAX_NAME_CHARS, MAX_TEXT_CHARS
from kogpt2_chat.domain.chat.topics import DEAD_LETTER_TOPIC, TOPIC_BY_NAME, TURN_TOPIC
from kogpt2_chat.domain.chat.turns import NOTICE_BY_FALLBACK, Fallback, Turn, masked_turn
from kogpt2_chat.domain.chat.unsure import unsure_answer
from kogpt2_chat.domain.chat.wire import Question, answer_headers, dead_letter_headers
from kogpt2_chat.domain.lake.layout import plausible_time
from kogpt2_chat.domain.safety.crisis import find_crisis
from kogpt2_chat.domain.safety.vetted_answers import SafetyTexts
from kogpt2_chat.domain.text.masking import mask_pii
from kogpt2_chat.errors import InvalidMessage
from kogpt2_chat.inference.nearest import Found
from kogpt2_chat.inference.uncertain import WhenUnsure, choose_answer, when_unsure
from kogpt2_chat.ports import Outgoing, Record
from kogpt2_chat.settings import Settings
from serving.in_flight import Answered, DeadLettered, Reply, RequestContext

_NEAREST_FOR: Final = frozenset({"timeout", "empty"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Text:
    """The text of an answer and its origin.

    Attributes:
        text: the answer.
        fallback: why it is not the model's own answer; None if it is.
        found: the known question whose answer the text is; None for any other text.
    """

    text: str
    fallback: Fallback | None = None
    found: Found | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyBuilder:
    """Builds replies.

    Attributes:
        settings: limits, and how answers are decoded.
        worker: ``worker-N``, for turns.
        clock: the time, for turns.
        monotonic: seconds, for latencies.
        safety: the vetted answers.
    """

    settings: Settings
    worker: str
    clock: Callable[[], datetime]
    monotonic: Callable[[], float]
    safety: SafetyTexts

    def answer(self, record: Record, context: RequestContext) -> Reply:
        """Build the answer and its turn.

        A question that may be about a crisis has no turn without the player's consent to store, because the existence
        of the turn would reveal that the player asked it. An answer or a turn that is too large for its topic becomes a
        dead letter.
        """
        chosen = self._text(context)
        turn = self._turn(record, context, chosen)
        question = context.question
        headers = answer_headers(
            question,
            model_version=turn.model_version,
            epoch=turn.epoch,
            latency_ms=turn.latency_ms,
            fallback=turn.fallback,
        )
        answer = Outgoing(topic=question.bot, key=question.sender.encode(), value=chosen.text.encode(), headers=headers)
        log = Outgoing(topic=TURN_TOPIC, key=turn.player_id.encode(), value=turn.to_json().encode(), headers=headers)
        outgoing = (answer,) if context.crisis and not turn.consent_store else (answer, log)
        if any(len(item.value or b"") > _max_value_bytes(item.topic) for item in outgoing):
            why = "the answer or its turn is larger than its topic accepts"
            return self.dead_letter(record, InvalidMessage("answer_too_large", why, question.question_id))
        answer_tokens = len(context.finished.token_ids) if context.finished else 0
        return Answered(outgoing=outgoing, turn=turn, answer_tokens=answer_tokens, crisis=context.crisis)

    def dead_letter(self, record: Record, error: InvalidMessage, *, without_value: bool = False) -> DeadLettered:
        """Build a dead letter: the unchanged record with the reason in its headers.

        Args:
            record: the question.
            error: why it cannot be answered.
            without_value: leave the value out, because the broker has refused the dead letter too.
        """
        value = record.value
        if without_value or (value is None and record.key is None):  # the producer rejects a record without both
            value = b""
        headers = dead_letter_headers(error, record.partition, record.offset)
        letter = Outgoing(topic=DEAD_LETTER_TOPIC, key=record.key, value=value, headers=headers)
        return DeadLettered(outgoing=(letter,), reason=error.reason)

    def _text(self, context: RequestContext) -> _Text:
        """Choose the text: the vetted answer, the model's own answer, or what replaces it."""
        if context.crisis is not None:  # never truncated: it contains the help lines
            vetted = self.safety.answer(context.question.text, context.question.bot, context.crisis)
            return _Text(text=vetted, fallback="safety")
        loaded, finished = context.loaded, context.finished
        if context.fallback is not None or loaded is None:
            return self._without_model(context, context.fallback or "timeout")
        if finished is None or finished.stop_reason == "deadline":
            return self._without_model(context, "timeout")
        own = answer_text(loaded.model.decode(finished.token_ids), self.settings.serving.max_answer_chars)
        if not own:
            return self._without_model(context, "empty")
        who, found = choose_answer(
            loaded.model.uncertainty, self._choice(context), finished.logprob, context.question.text
        )
        if who == "model":
            return _Text(text=own)
        return _Text(text=self._known_or_unsure(context, found), fallback=who, found=found)

    def _without_model(self, context: RequestContext, fallback: Fallback) -> _Text:
        """Choose the text if there is no answer from the model."""
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

    def _choice(self, context: RequestContext) -> WhenUnsure:
        small = context.loaded is not None and context.loaded.model.small
        return when_unsure(self.settings, context.question.bot, small=small)

    def _turn(self, record: Record, context: RequestContext, chosen: _Text) -> Turn:
        question, store = truncated(context.question), context.question.consent_store
        token_ids = context.finished.token_ids if context.finished and chosen.fallback is None else ()
        queue_ms, decode_ms = _decoding_times(context)
        turn = Turn(
            turn_id=question.turn_id,
            question_id=question.question_id,
            bot=question.bot,
            player_id=question.player_id,
            sender=question.sender,
            session_id=question.session_id,
            # Without consent to store, the turn shows that a question was asked, but not its text.
            text=question.text if store else "",
            answer=chosen.text if store else "",
            answer_token_ids=tuple(token_ids) if store else (),
            prompt_tokens=len(context.prompt_ids),
            model_version=context.loaded.version if context.loaded else 0,
            epoch=context.route.rollout_epoch if context.route else 0,
            decoding=self._decoding(context, chosen),
            fallback=chosen.fallback,
            sent_at=question.sent_at or _broker_time(record),
            received_at=context.received_at.isoformat(),
            answered_at=self.clock().isoformat(),
            latency_ms=_ms(self.monotonic() - context.received_s),
            consent_store=store,
            consent_train=question.consent_train,
            source=question.source,
            worker=self.worker,
            authenticated=question.authenticated,
            minor=question.minor,
            kafka_ms=_kafka_ms(record, context.received_at),
            queue_ms=queue_ms,
            decode_ms=decode_ms,
            unknown_tokens=context.prompt_ids.count(UNKNOWN_ID) if context.prompt_ids else None,
            extra=question.extra if store else {},
        )
        return masked_turn(turn)

    def _decoding(self, context: RequestContext, chosen: _Text) -> dict[str, object]:
        """Return how the answer was decoded; for a vetted answer, the kind of crisis and the date of the texts."""
        question, finished = context.question, context.finished
        if context.crisis is not None:
            vetted: dict[str, object] = {"safety": context.crisis, "checked_on": self.safety.checked_on.isoformat()}
            cut = {"question_chars": len(question.text)} if len(question.text) > MAX_TEXT_CHARS else {}
            return vetted | cut
        if finished is None:
            return {}
        decoding: dict[str, object] = {
            "engine": "openvino",
            "strategy": "greedy" if context.sampling is None else "sampled",
            "max_new_tokens": self.settings.model.max_new_tokens,
            "stop_reason": finished.stop_reason,
            "logprob": round(finished.logprob, 4),
        }
        if chosen.found is not None:
            decoding["nearest"] = _nearest_field(chosen.found, store=question.consent_store)
        if context.sampling is not None:
            decoding |= asdict(context.sampling)
        return decoding


def _nearest_field(found: Found, *, store: bool) -> dict[str, float | str]:
    """Return the known question for the turn. Its text is close to the player's, so it needs consent to store."""
    nearest: dict[str, float | str] = {"likeness": round(found.likeness, 4), "source": found.known.source}
    return {**nearest, "question": found.known.question} if store else nearest


def truncated(question: Question) -> Question:
    """Return a question that fits into a turn.

    An oversized question loses its ``extra`` fields, and all of its text except a part around the words about a crisis.
    The text is masked before it is truncated, because the rules would not find half a number.
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
    time = plausible_time(record.timestamp_ms)
    return time.isoformat() if time else None


def _kafka_ms(record: Record, received_at: datetime) -> int | None:
    """Return how long a question was in Kafka. The clocks of two machines may differ, so it is at least 0."""
    time = plausible_time(record.timestamp_ms)
    return _ms((received_at - time).total_seconds()) if time else None


def _decoding_times(context: RequestContext) -> tuple[int | None, int | None]:
    """Return how long a question waited in the worker for its first step, and how long it was decoded."""
    if context.finished is None or context.finished.decode_s is None:
        return None, None
    decode_s = context.finished.decode_s
    return _ms(context.finished_s - context.received_s - decode_s), _ms(decode_s)


def _ms(seconds: float) -> int:
    return max(0, round(seconds * 1000))


def _max_value_bytes(topic: str) -> int:
    return TOPIC_BY_NAME[topic].max_value_bytes
