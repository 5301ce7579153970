"""The wire format: parsing of ``bot_question`` records, and the headers of answers and dead letters.

Input is parsed and never evaluated as code. Every malformed record raises
:class:`~kogpt2_chat.errors.InvalidMessage` with a reason from the contract. Parsing takes time linear in the size of
the record. This module does not depend on a Kafka client: a record is bytes plus a partition and an offset.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from kogpt2_chat.domain.chat.players import player_id, says_minor
from kogpt2_chat.domain.chat.question_fields import (
    BOUNDS,
    MAX_NAME_CHARS,
    PADDING_CHARS,
    UNBOUNDED,
    Bounds,
    bounded_sender,
    bounded_text,
    consent_of,
    json_object,
    known_bot,
    optional_id,
    optional_time,
)
from kogpt2_chat.domain.chat.signing import AUTH, UNSIGNED, SigningKeys
from kogpt2_chat.domain.chat.topics import QUESTION_TOPIC
from kogpt2_chat.domain.chat.turns import TurnSource
from kogpt2_chat.errors import InvalidMessage

MAX_RECORD_BYTES: Final = 16 * 1024
MAX_ERROR_CHARS: Final = 300
LENGTH_REASONS: Final = frozenset({"too_large", "too_long"})
"""Reasons for refusing a record only because of its length. Such a record is still searched for a crisis."""

# Possessive quantifiers: a failed match does not backtrack into the spaces.
_SPACE: Final = rf"[{PADDING_CHARS}]*+"
# The frame that the Unity client sends.
_LEGACY_START: Final = re.compile(rf"\{{{_SPACE}'")
_LEGACY_HEAD: Final = re.compile(rf"\{{{_SPACE}'from'{_SPACE}:{_SPACE}'")
_LEGACY_TO: Final = re.compile(rf"'{_SPACE},{_SPACE}'to'{_SPACE}:{_SPACE}'")
_LEGACY_MESSAGE: Final = re.compile(rf"'{_SPACE},{_SPACE}'message'{_SPACE}:{_SPACE}'")
_V1_START: Final = re.compile(rf'\{{{_SPACE}"')
_UTF16_MARKS: Final = (b"\xff\xfe", b"\xfe\xff")
_V1_FIELDS: Final = frozenset(
    {
        *("v", "question_id", "bot", "sender", "text", "sender_id", "session_id", "sent_at", "consent", "reply_by"),
        *(AUTH, "minor"),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A valid question.

    Attributes:
        turn_id: the position of the record, ``bot_question-PARTITION-OFFSET``.
        question_id: the id from the client; the turn id for a legacy question.
        sender: the key of the answer, unchanged from the record.
        text: NFC, without control and zero-width characters; tabs and line feeds stay.
        sent_at: the client's time as RFC 3339, with the offset of Seoul if the client sent none.
        reply_by: the time after which the worker no longer waits for the model.
        authenticated: whether a holder of a key has signed the question, and so vouches for the player.
        minor: whether the player is a minor, from whom nothing is learned.
        extra: fields that this release does not know.
        is_oversized: whether the length limits were not applied. The text and ``extra`` then have no limit, and the
            sender has a larger one.
    """

    turn_id: str
    question_id: str
    bot: str
    player_id: str
    sender: str
    text: str
    consent_store: bool
    consent_train: bool
    source: TurnSource
    partition: int
    offset: int
    session_id: str | None = None
    sent_at: str | None = None
    reply_by: datetime | None = None
    authenticated: bool = False
    minor: bool = False
    extra: Mapping[str, object] = field(default_factory=dict)
    is_oversized: bool = False


def turn_id(partition: int, offset: int) -> str:
    """Return the id of a question and of its turn, which is the position of the record."""
    return f"{QUESTION_TOPIC}-{partition}-{offset}"


def read_question(
    value: bytes | None,
    partition: int,
    offset: int,
    *,
    legacy_consent: bool = False,
    of_any_length: bool = False,
    keys: SigningKeys = UNSIGNED,
) -> Question:
    """Parse one record of ``bot_question``.

    Args:
        value: the value of the record.
        partition: the partition of the record.
        offset: the offset of the record.
        legacy_consent: whether training may use questions from the legacy client.
        of_any_length: whether to accept a record that would be refused only because of its length (see
            :data:`LENGTH_REASONS`). The model must not decode such a question, and it must not be stored uncut.
        keys: the keys of those who may vouch for a player. A bad signature never refuses a question.

    Returns:
        The question.

    Raises:
        InvalidMessage: the record is malformed and can never be answered. The error's reason is that of the dead
            letter.
    """
    text = _decode(value, of_any_length=of_any_length)
    position = {
        "turn_id": turn_id(partition, offset),
        "partition": partition,
        "offset": offset,
        "is_oversized": of_any_length,
    }
    bounds = UNBOUNDED if of_any_length else BOUNDS
    if _V1_START.match(text):
        return _read_v1(text, position, bounds, keys)
    if _LEGACY_START.match(text):
        return _read_legacy(text, position, bounds, consent_train=legacy_consent)
    raise InvalidMessage("not_a_question", "expected a record that starts with {\" (v1) or {' (legacy)")


def legacy_text(nick: str, bot: str, text: str) -> str:
    """Return a question as the Unity client writes it: the parts are joined without any escaping."""
    return f"{{'from' : '{nick}', 'to' : '{bot}', 'message' : '{text}'}}"


def v1_text(*, question_id: str, bot: str, sender: str, text: str, **optional: object) -> str:
    """Return a question in the version 1 format.

    Args:
        question_id: an id that the client chooses.
        bot: the id of the bot.
        sender: the key of the answer.
        text: the question.
        **optional: further fields of the contract. A field with the value None is left out.

    Returns:
        One line of JSON.
    """
    body = v1_body(question_id=question_id, bot=bot, sender=sender, text=text, **optional)
    return json.dumps(body, ensure_ascii=False)


def v1_body(*, question_id: str, bot: str, sender: str, text: str, **optional: object) -> dict[str, object]:
    """Return a question in the version 1 format as an object, so that it can be signed; see :func:`v1_text`."""
    body: dict[str, object] = {"v": 1, "question_id": question_id, "bot": bot, "sender": sender, "text": text}
    return body | {name: value for name, value in optional.items() if value is not None}


def answer_headers(
    question: Question, *, model_version: int, epoch: int, latency_ms: int, fallback: str | None
) -> dict[str, str]:
    """Return the headers of an answer; its turn contains the same values.

    Args:
        question: the question.
        model_version: the registered version that answered; 0 if no model was loaded.
        epoch: the rollout epoch of the slot.
        latency_ms: time that the worker spent on the question.
        fallback: why the text does not come from the model; None if it does.

    Returns:
        Header values by name.
    """
    headers = {
        "turn_id": question.turn_id,
        "question_id": question.question_id,
        "question_partition": str(question.partition),
        "question_offset": str(question.offset),
        "model_version": str(model_version),
        "epoch": str(epoch),
        "latency_ms": str(latency_ms),
    }
    return headers if fallback is None else {**headers, "fallback": fallback}


def dead_letter_headers(error: InvalidMessage, partition: int, offset: int) -> dict[str, str]:
    """Return the headers of a dead letter: the reason, and the position of the question."""
    headers = {
        "reason": error.reason,
        "error": str(error)[:MAX_ERROR_CHARS],
        "turn_id": turn_id(partition, offset),
        "question_partition": str(partition),
        "question_offset": str(offset),
    }
    return headers if error.question_id is None else {**headers, "question_id": error.question_id}


def _decode(value: bytes | None, *, of_any_length: bool) -> str:
    if value is None:
        raise InvalidMessage("not_a_question", "the record has no value")
    if len(value) > MAX_RECORD_BYTES and not of_any_length:
        raise InvalidMessage("too_large", f"the record has {len(value)} bytes, expected at most {MAX_RECORD_BYTES}")
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError as error:
        hint = "; the record starts with a UTF-16 byte order mark" if value.startswith(_UTF16_MARKS) else ""
        raise InvalidMessage("not_utf8", f"byte {error.start} is not UTF-8: {error.reason}{hint}") from error
    return text.strip(PADDING_CHARS)


def _read_legacy(text: str, position: dict[str, Any], bounds: Bounds, *, consent_train: bool) -> Question:
    """Split the frame at the first ``to``, the first ``message`` after it and the last closing quote.

    The text between these separators is not unescaped.
    """
    head = _LEGACY_HEAD.match(text)
    to = _LEGACY_TO.search(text, head.end()) if head else None
    message = _LEGACY_MESSAGE.search(text, to.end()) if to else None
    body = text[:-1].rstrip(PADDING_CHARS)
    if head is None or to is None or message is None or not (text.endswith("}") and body.endswith("'")):
        raise InvalidMessage("schema", "expected {'from' : 'NICK', 'to' : 'BOT', 'message' : 'TEXT'}")
    if len(body) - 1 < message.end():  # the last quote before } is the one that opens TEXT
        raise InvalidMessage("schema", "the message has no closing quote")
    nick = text[head.end() : to.start()]
    return Question(
        question_id=position["turn_id"],
        bot=known_bot(text[to.end() : message.start()], None),
        player_id=player_id(None, nick),
        sender=bounded_sender(nick, None, bounds),
        text=bounded_text(text[message.end() : len(body) - 1], None, bounds),
        consent_store=True,
        consent_train=consent_train,
        source="legacy",
        **position,
    )


def _read_v1(text: str, position: dict[str, Any], bounds: Bounds, keys: SigningKeys) -> Question:
    body = json_object(text)
    found_id = body.get("question_id")
    question_id = found_id if isinstance(found_id, str) and 1 <= len(found_id) <= MAX_NAME_CHARS else None
    if type(body.get("v")) is not int or body["v"] != 1:
        raise InvalidMessage("schema", "`v` must be the number 1", question_id)
    if question_id is None:
        raise InvalidMessage("schema", f"`question_id` must be a string of 1 to {MAX_NAME_CHARS} characters")
    for name in ("bot", "sender", "text"):
        if not isinstance(body.get(name), str):
            missing = "null" if name in body else "missing"
            found = missing if body.get(name) is None else type(body[name]).__name__
            raise InvalidMessage("schema", f"`{name}` must be a string, found {found}", question_id)
    store, train = consent_of(body, question_id)
    minor = says_minor(body.get("minor"))
    sender = bounded_sender(body["sender"], question_id, bounds)
    if not sender:
        raise InvalidMessage("schema", "`sender` must not be empty", question_id)
    sender_id, session_id = (optional_id(body, name, question_id) for name in ("sender_id", "session_id"))
    sent_at, reply_by = (optional_time(body, name, question_id) for name in ("sent_at", "reply_by"))
    return Question(
        question_id=question_id,
        bot=known_bot(body["bot"], question_id),
        player_id=player_id(sender_id, sender),
        sender=sender,
        text=bounded_text(body["text"], question_id, bounds),
        consent_store=store,
        consent_train=train and not minor,
        source="v1",
        session_id=session_id,
        sent_at=sent_at.isoformat() if sent_at else None,
        reply_by=reply_by,
        authenticated=keys.verify(body),
        minor=minor,
        extra={name: value for name, value in body.items() if name not in _V1_FIELDS},
        **position,
    )
