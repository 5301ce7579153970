"""Ask the bots over Kafka, as a game client does, and wait for their answers."""

import json
import time
import uuid
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final

from kogpt2_chat.client.answer_matcher import AnswerMatcher, PendingQuestion
from kogpt2_chat.domain.chat.signing import UNSIGNED, SigningKeys
from kogpt2_chat.domain.chat.topics import QUESTION_TOPIC
from kogpt2_chat.domain.chat.wire import legacy_text, v1_body
from kogpt2_chat.errors import Unavailable
from kogpt2_chat.ports import Outgoing, Record, Topics

_POLL_TIMEOUT_S: Final = 0.2
"""Timeout of one poll, by which a call may exceed its time limit. An answer ends a poll at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Utterance:
    """What one player says to one bot. A legacy question contains only ``bot``, ``sender`` and ``text``.

    Attributes:
        bot: the bot's id.
        sender: the player's name in the question; the key of the answer.
        text: the question.
        legacy: send it in the old Unity client's frame, which has neither ids nor consent.
        train: the player's consent that the turn may be trained on.
        store: the player's consent that the turn may be stored.
        player_id: the player's id, if it is not the name; ``sender_id`` on Kafka.
        session_id: the session that the question belongs to.
        reply_by: the time, with its offset, after which the player no longer waits for the model.
        minor: whether the player is a minor, from whom nothing is learned.
    """

    bot: str
    sender: str
    text: str
    legacy: bool = False
    train: bool = False
    store: bool = True
    player_id: str | None = None
    session_id: str | None = None
    reply_by: datetime | None = None
    minor: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedAnswer:
    """An answer with its origin; ``fallback`` is set if the text is not the model's."""

    bot: str
    sender: str
    question: str
    answer: str
    turn_id: str
    version: str
    epoch: int
    latency_ms: int
    fallback: str | None

    def as_json(self) -> dict[str, object]:
        """Return the reply as plain JSON values."""
        return asdict(self)


def ask(
    *, utterances: Sequence[Utterance], topics: Topics, timeout_s: float, keys: SigningKeys = UNSIGNED
) -> list[ReceivedAnswer]:
    """Send all questions at once and wait for all answers.

    Legacy answers can only be matched by bot and sender, as in the old client. So use each sender only once per bot.

    Args:
        utterances: the questions.
        topics: Kafka.
        timeout_s: how long to wait for all answers.
        keys: the keys of a gateway, which sign the questions; none for other clients.

    Returns:
        One reply per utterance, in the same order.

    Raises:
        NotFound: a bot has no topic.
        Unavailable: an answer did not arrive in time.
    """
    utterance_by_id = {uuid.uuid4().hex: utterance for utterance in utterances}
    reply_by_id: dict[str, ReceivedAnswer] = {}
    matcher = AnswerMatcher(timeout_s)
    with closing(topics.follow(sorted({utterance.bot for utterance in utterances}))) as answers:
        topics.send([question_record(asked_id, asked, keys) for asked_id, asked in utterance_by_id.items()])
        sent_at_s = time.monotonic()
        for question_id, utterance in utterance_by_id.items():
            matcher.add(_pending(question_id, utterance), sent_at_s)
        while len(matcher):
            for record in answers.poll(_POLL_TIMEOUT_S):
                if (question := matcher.accept(record)) is not None:
                    question_id = question.question_id
                    reply_by_id[question_id] = read_reply(record, utterance_by_id[question_id].text)
            if expired := matcher.expire(time.monotonic()):
                raise Unavailable(
                    f"{len(expired)} of {len(utterances)} answers did not arrive within {timeout_s:g} s: "
                    "check with `kogpt2-chat status` that a worker is running"
                )
    return [reply_by_id[question_id] for question_id in utterance_by_id]


def question_record(question_id: str, utterance: Utterance, keys: SigningKeys = UNSIGNED) -> Outgoing:
    """Return the record to send, keyed by sender so that one player's questions stay in order.

    Args:
        question_id: 1 to 64 characters; a legacy question does not contain it.
        utterance: the question.
        keys: the keys that sign the question; a legacy question is never signed.
    """
    value = _value(utterance, question_id, keys)
    return Outgoing(topic=QUESTION_TOPIC, key=utterance.sender.encode(), value=value.encode())


def read_reply(record: Record, question: str) -> ReceivedAnswer:
    """Read an answer.

    Args:
        record: a record of a bot's topic, written by a worker.
        question: the text of its question.
    """
    return ReceivedAnswer(
        bot=record.topic,
        sender=(record.key or b"").decode(),
        question=question,
        answer=(record.value or b"").decode(),
        turn_id=record.headers["turn_id"],
        version=record.headers["model_version"],
        epoch=int(record.headers["epoch"]),
        latency_ms=int(record.headers["latency_ms"]),
        fallback=record.headers.get("fallback"),
    )


def _pending(question_id: str, utterance: Utterance) -> PendingQuestion:
    return PendingQuestion(question_id=question_id, bot=utterance.bot, sender=utterance.sender, legacy=utterance.legacy)


def _value(utterance: Utterance, question_id: str, keys: SigningKeys) -> str:
    if utterance.legacy:
        return legacy_text(utterance.sender, utterance.bot, utterance.text)
    body = v1_body(
        question_id=question_id,
        bot=utterance.bot,
        sender=utterance.sender,
        text=utterance.text,
        consent={"store": utterance.store, "train": utterance.train},
        sender_id=utterance.player_id,
        session_id=utterance.session_id,
        reply_by=utterance.reply_by.isoformat() if utterance.reply_by else None,
        minor=utterance.minor or None,
    )
    return json.dumps(keys.sign(body), ensure_ascii=False)
