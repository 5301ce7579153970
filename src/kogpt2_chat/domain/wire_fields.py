"""The checks of a question's fields: each gives the value, or says in one sentence why it cannot be used."""

import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, cast

from kogpt2_chat.domain.bots import BOT_BY_ID
from kogpt2_chat.errors import InvalidMessage

MAX_TEXT_CHARS: Final = 500
MAX_NAME_CHARS: Final = 64
MAX_ID_CHARS: Final = 128
MAX_DEPTH: Final = 32
_MAX_KEY_CHARS: Final = 4096
"""A longer sender cannot be the key of an answer at all."""
PLAUSIBLE_YEARS: Final = range(2000, 2200)
"""Times outside overflow nanoseconds, or a subtraction, somewhere down the road."""

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)", re.ASCII)
# Control characters except tab and line feed; zero-width, bidi, annotation and tag characters; noncharacters.
_REMOVED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ufdd0-\ufdef\ufffe\uffff\U000e0000-\U000e007f]"
)
_BLANK: Final = "\u115f\u1160\u3164\uffa0\u2800"
"""Hangul fillers and the empty Braille cell: letters that show nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How long a question may be, in characters; None for no bound."""

    text: int | None
    sender: int


BOUNDS: Final = Bounds(text=MAX_TEXT_CHARS, sender=MAX_NAME_CHARS)
UNBOUNDED: Final = Bounds(text=None, sender=_MAX_KEY_CHARS)


def clean_text(text: str) -> str:
    """Question text as it is stored and counted: unseen characters removed, line ends unified, NFC."""
    unified = text.replace("\r\n", "\n").replace("\r", "\n")
    return unicodedata.normalize("NFC", _REMOVED.sub("", unified))


def json_object(text: str) -> dict[str, Any]:
    """An object that can also be written again: no lone surrogate, no infinity, no deep nesting."""
    try:
        body = json.loads(text)
        json.dumps(body, allow_nan=False, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError) as error:  # ValueError: also numbers of over 4,300 digits, and surrogates
        raise InvalidMessage("schema", f"not readable as JSON: {type(error).__name__}") from error
    # The text starts with {", so that it is an object if it is JSON at all.
    if _is_deeper(body, MAX_DEPTH):
        raise InvalidMessage("schema", f"nested more than {MAX_DEPTH} levels deep")
    return cast("dict[str, Any]", body)


def _is_deeper(value: object, depth: int) -> bool:
    level = [value]
    while level and depth >= 0:
        inner = [item.values() if isinstance(item, dict) else item for item in level if isinstance(item, dict | list)]
        level = [child for children in inner for child in children]
        depth -= 1
    return bool(level)


def known_bot(bot: str, question_id: str | None) -> str:
    """A bot of the roster, by its exact id."""
    if bot not in BOT_BY_ID:
        raise InvalidMessage("unknown_bot", f"expected one of {', '.join(BOT_BY_ID)}", question_id)
    return bot


def bounded_sender(sender: str, question_id: str | None, bounds: Bounds = BOUNDS) -> str:
    """The sender as it came, if it is short enough (NFC)."""
    length = len(unicodedata.normalize("NFC", sender))
    if length > bounds.sender:
        raise InvalidMessage("too_long", f"the sender has {length} characters, at most {bounds.sender}", question_id)
    return sender


def bounded_text(raw: str, question_id: str | None, bounds: Bounds = BOUNDS) -> str:
    """The cleaned question, if something of it can be seen and it is short enough."""
    text = clean_text(raw)
    if all(char.isspace() or char in _BLANK for char in text):
        raise InvalidMessage("empty", "the question has no visible character", question_id)
    length = len(text)
    if bounds.text is not None and length > bounds.text:
        raise InvalidMessage("too_long", f"the question has {length} characters, at most {bounds.text}", question_id)
    return text


def optional_id(body: Mapping[str, object], name: str, question_id: str) -> str | None:
    """A text of bounded length, or None when the field is not there; null is a wrong type."""
    if name not in body:
        return None
    found = body[name]
    if not isinstance(found, str) or not 1 <= len(found) <= MAX_ID_CHARS:
        raise InvalidMessage("schema", f"`{name}` must be a text of 1 to {MAX_ID_CHARS} characters", question_id)
    return found


def optional_time(body: Mapping[str, object], name: str, question_id: str) -> datetime | None:
    """A plausible RFC 3339 time, or None when the field is not there."""
    if name not in body:
        return None
    found = body[name]
    try:
        if isinstance(found, str) and _RFC3339.fullmatch(found) and int(found[:4]) in PLAUSIBLE_YEARS:
            return datetime.fromisoformat(found)
    except ValueError:  # a 30 February, an hour 25
        pass
    raise InvalidMessage("schema", f"`{name}` must be an RFC 3339 time with offset", question_id)


def consent_of(body: Mapping[str, object], question_id: str) -> tuple[bool, bool]:
    """Store and train. A bare bool speaks of training; nothing said: stored, not trained on."""
    consent = body.get("consent", {})
    if isinstance(consent, bool):
        return True, consent
    if isinstance(consent, dict):
        store, train = consent.get("store", True), consent.get("train", False)
        if isinstance(store, bool) and isinstance(train, bool):
            return store, store and train
    raise InvalidMessage("schema", "`consent` must be true, false or {store, train: true or false}", question_id)
