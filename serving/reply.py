"""What one question leads to: an answer with its turn, or a dead letter, as records ready to be sent."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Final

from kogpt2_chat.domain.crisis import Kind, find_crisis
from kogpt2_chat.domain.kept_turns import kept_turn
from kogpt2_chat.domain.masking import mask_pii
from kogpt2_chat.domain.prompt import answer_text
from kogpt2_chat.domain.safety_texts import SafetyTexts
from kogpt2_chat.domain.topics import DEAD_LETTER_TOPIC, TOPIC_BY_NAME, TURN_TOPIC
from kogpt2_chat.domain.turns import NOTICE_BY_FALLBACK, Fallback, Turn
from kogpt2_chat.domain.unsure import unsure_answer
from kogpt2_chat.domain.wire import Question, answer_headers, dead_letter_headers, turn_id
from kogpt2_chat.domain.wire_fields import MAX_ID_CHARS, MAX_NAME_CHARS, MAX_TEXT_CHARS, PLAUSIBLE_YEARS
from kogpt2_chat.errors import InvalidMessage
from kogpt2_chat.model.engine import Finished, Sampling
from kogpt2_chat.model.nearest import Found
from kogpt2_chat.model.uncertain import Choice, choose, speaker
from kogpt2_chat.ports import Outgoing, Record
from kogpt2_chat.settings import Settings
from serving.slot import LoadedVersion, Route

_NEAREST_FOR: Final = frozenset({"timeout", "empty"})
_BROKER_MAX_BYTES: Final = 1024 * 1024
_HEADROOM_BYTES: Final = 16 * 1024
"""Key, headers and the record's frame stand in the same bound as the value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What one record leads to.

    Attributes:
        outgoing: an answer and its turn, or a dead letter.
        facts: fields of the canonical log line; never user text.
        crisis: what a safety answer was given for; counted, and not logged.
    """

    turn_id: str
    outgoing: tuple[Outgoing, ...]
    facts: Mapping[str, object]
    is_dead_letter: bool = False
    crisis: Kind | None = None


@dataclass(slots=True, kw_only=True)
class Asked:
    """A question on its way to an answer.

    Attributes:
        received_s: monotonic, like ``deadline_s``.
        route: who answers, from when decoding begins.
        prompt_ids: what the model reads.
        sampling: how its tokens are drawn; None is greedy.
        found: the known question whose answer is said in place of the model's.
        crisis: what it may speak of, where `fallback` is `safety`.
    """

    record: Record
    question: Question
    received_at: datetime
    received_s: float
    deadline_s: float
    route: Route | None = None
    fallback: Fallback | None = None
    prompt_ids: Sequence[int] = ()
    sampling: Sampling | None = None
    finished: Finished | None = None
    found: Found | None = None
    crisis: Kind | None = None

    @property
    def loaded(self) -> LoadedVersion | None:
        """The version that answers; None if there is none."""
        return self.route.loaded if self.route else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Replies:
    """Makes replies.

    Attributes:
        settings: bounds, and what decoded.
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

    def answer(self, one: Asked) -> Reply:
        """The vetted answer, the model's, or what takes its place, and the turn.

        Of a question that may speak of a crisis there is no turn without the player's consent to store: the record
        alone would say of somebody that they asked such a thing.

        An answer that its topic could not take becomes a dead letter.
        """
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
        said = Outgoing(topic=one.question.bot, key=one.question.sender.encode(), value=text.encode(), headers=headers)
        log = Outgoing(topic=TURN_TOPIC, key=turn.player_id.encode(), value=turn.to_json().encode(), headers=headers)
        outgoing = (said,) if one.crisis and not turn.consent_store else (said, log)
        if any(len(item.value or b"") > _max_bytes(item.topic) - _HEADROOM_BYTES for item in outgoing):
            error = InvalidMessage("answer_too_large", "larger than its topic takes", one.question.question_id)
            return self.dead_letter(one.record, error)
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
        return Reply(turn_id=turn.turn_id, outgoing=outgoing, facts=facts, crisis=one.crisis)

    def dead_letter(self, record: Record, error: InvalidMessage, *, bare: bool = False) -> Reply:
        """The record as it came, and why.

        Args:
            record: the question.
            error: what is wrong with it.
            bare: leave the value out: the broker has refused the letter itself.

        Returns:
            The dead letter.
        """
        value = record.value
        if bare or (value is None and record.key is None):  # Kafka takes no record without key and value
            value = b""
        headers = dead_letter_headers(error, record.partition, record.offset)
        letter = Outgoing(topic=DEAD_LETTER_TOPIC, key=record.key, value=value, headers=headers)
        return Reply(
            turn_id=turn_id(record.partition, record.offset),
            outgoing=(letter,),
            facts={"reason": error.reason},
            is_dead_letter=True,
        )

    def _text(self, one: Asked) -> str:
        """The vetted answer, else the model's; sets the fallback where there is neither."""
        if one.crisis is not None:  # never cut: the help line stands in it
            return self.safety.answer(one.question.text, one.question.bot, one.crisis)
        if one.fallback is None and (one.finished is None or one.finished.stop_reason == "deadline"):
            one.fallback = "timeout"
        if one.fallback is None and one.loaded is not None and one.finished is not None:
            said = one.loaded.model.decode(one.finished.token_ids)
            text = answer_text(said, self.settings.serving.max_answer_chars)
            if text and self._speaks(one, one.finished.logprob):
                return text
            if not text:
                one.fallback = "empty"
        return self._instead(one)

    def _speaks(self, one: Asked, logprob: float) -> bool:
        """Whether the model's own answer is said; sets the fallback where it gives way."""
        model = one.loaded.model if one.loaded else None
        uncertainty = model.uncertainty if model else None
        choice = self._choice(one)
        who, one.found = speaker(uncertainty, choice, logprob, one.question.text)
        if who != "model":
            one.fallback = who
        return who == "model"

    def _choice(self, one: Asked) -> Choice:
        return choose(self.settings, one.question.bot, small=one.loaded is not None and one.loaded.model.small)

    def _instead(self, one: Asked) -> str:
        """What a player reads where the model has not spoken; the header `fallback` says so in any case."""
        uncertainty = one.loaded.model.uncertainty if one.loaded else None
        if one.fallback in _NEAREST_FOR and uncertainty is not None and self._choice(one) == "nearest":
            one.found = uncertainty.find(one.question.text)
            one.fallback = "nearest" if one.found else one.fallback
        if one.found is not None:
            return answer_text(one.found.known.answer, self.settings.serving.max_answer_chars)
        if one.fallback == "unsure":
            return unsure_answer(one.question.bot, one.question.turn_id)
        return NOTICE_BY_FALLBACK[one.fallback or "timeout"]

    def _turn(self, one: Asked, answer: str, answered_at: datetime) -> Turn:
        question, store = bounded(one.question), one.question.consent_store
        token_ids = one.finished.token_ids if one.finished and one.fallback is None else ()
        turn = Turn(
            turn_id=question.turn_id,
            question_id=question.question_id,
            bot=question.bot,
            player_id=question.player_id,
            sender=question.sender,
            session_id=question.session_id,
            # Without consent to store, the turn says that something was asked and never what.
            text=question.text if store else "",
            answer=answer if store else "",
            answer_token_ids=tuple(token_ids) if store else (),
            prompt_tokens=len(one.prompt_ids),
            model_version=one.loaded.version if one.loaded else 0,
            epoch=one.route.rollout_epoch if one.route else 0,
            decoding=self._decoded_with(one) if one.crisis is None else self._vetted_with(one, one.crisis),
            fallback=one.fallback,
            sent_at=question.sent_at or _broker_time(one.record),
            received_at=one.received_at.isoformat(),
            answered_at=answered_at.isoformat(),
            latency_ms=max(0, round((self.monotonic() - one.received_s) * 1000)),
            consent_store=store,
            consent_train=question.consent_train,
            source=question.source,
            worker=self.worker,
            extra=question.extra if store else {},
        )
        return kept_turn(turn)

    def _vetted_with(self, one: Asked, kind: Kind) -> dict[str, object]:
        """For reviewers: what was found, which texts answered, and how long the question was where it was cut."""
        facts: dict[str, object] = {"safety": kind, "checked_on": self.safety.checked_on.isoformat()}
        if len(one.question.text) > MAX_TEXT_CHARS:
            facts["question_chars"] = len(one.question.text)
        return facts

    def _decoded_with(self, one: Asked) -> dict[str, object]:
        if one.finished is None:
            return {}
        facts: dict[str, object] = {
            "engine": self.settings.serving.engine,
            "strategy": "greedy" if one.sampling is None else "sampled",
            "max_new_tokens": self.settings.model.max_new_tokens,
            "stop_reason": one.finished.stop_reason,
            "logprob": round(one.finished.logprob, 4),
        }
        if one.found is not None:
            facts["nearest"] = _as_fact(one.found, store=one.question.consent_store)
        if one.sampling is not None:
            facts |= asdict(one.sampling)
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


def _max_bytes(topic: str) -> int:
    return int(TOPIC_BY_NAME[topic].configs.get("max.message.bytes", _BROKER_MAX_BYTES))
