"""Checks for the fields of a question. Each returns the value, or raises an error that names the field."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, cast

from kogpt2_chat.domain.chat.bots import BOT_BY_ID
from kogpt2_chat.domain.chat.players import normal_name
from kogpt2_chat.domain.chat.times import PLAUSIBLE_YEARS, with_offset
from kogpt2_chat.domain.text.characters import nfc, shows_nothing, without_hidden
from kogpt2_chat.errors import InvalidMessage

MAX_TEXT_CHARS: Final = 500
MAX_NAME_CHARS: Final = 64
MAX_ID_CHARS: Final = 128
MAX_DEPTH: Final = 32
_MAX_KEY_CHARS: Final = 4096
"""Limit for the sender of an oversized question, which becomes the key of the answer."""

_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:?\d\d)?", re.ASCII)
_JSON_SPACES: Final = " \t\n\r"
_ODD_SPACES: Final = (
    "\x00\x0b\x0c\x1c\x1d\x1e\x1f\x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u200b"
    "\u2028\u2029\u202f\u205f\u2060\u3000\ufeff"
)
PADDING_CHARS: Final = _JSON_SPACES + _ODD_SPACES
"""Characters allowed around a frame and between its tokens: white space, byte order marks, invisible characters."""
_ODD_SPACE: Final = re.compile(f"[{_ODD_SPACES}]")
_STRING_OR_ODD: Final = re.compile(rf'("[^"\\]*+(?:\\.[^"\\]*+)*+"?)|[{_ODD_SPACES}]++', re.DOTALL)
_SHRINKS_BY: Final = 4
"""NFC composes at most four characters into one, so a text of more than four times the limit is too long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Length limits of a question, in characters; None means no limit."""

    text: int | None
    sender: int


BOUNDS: Final = Bounds(text=MAX_TEXT_CHARS, sender=MAX_NAME_CHARS)
UNBOUNDED: Final = Bounds(text=None, sender=_MAX_KEY_CHARS)


def stored_text(text: str) -> str:
    """Return the text as it is stored and counted: NFC, without hidden characters, with line feeds as line ends."""
    return nfc(_without_hidden(text))


def _without_hidden(text: str) -> str:
    return without_hidden(text.replace("\r\n", "\n").replace("\r", "\n"))


def json_object(text: str) -> dict[str, Any]:
    """Parse a JSON object and check that it can be serialised again.

    Args:
        text: JSON that begins with ``{``.

    Returns:
        The object.

    Raises:
        InvalidMessage: the text is not JSON, has a lone surrogate, NaN or infinity, or is nested too deeply;
            ``schema``.
    """
    try:
        body = json.loads(_with_json_spaces(text))
        json.dumps(body, allow_nan=False, ensure_ascii=False).encode("utf-8")
    except json.JSONDecodeError as error:
        raise InvalidMessage("schema", f"not valid JSON: {error.msg}, at character {error.pos}") from error
    except (ValueError, RecursionError) as error:  # ValueError: also numbers of over 4,300 digits, and surrogates
        raise InvalidMessage("schema", f"not valid JSON: {type(error).__name__}") from error
    # The text begins with {, so valid JSON is an object.
    if _is_deeper(body, MAX_DEPTH):
        raise InvalidMessage("schema", f"nested more than {MAX_DEPTH} levels deep")
    return cast("dict[str, Any]", body)


def _with_json_spaces(text: str) -> str:
    """Replace other white space between tokens by a space that JSON allows; strings stay unchanged."""
    return _STRING_OR_ODD.sub(lambda found: found.group(1) or " ", text) if _ODD_SPACE.search(text) else text


def _is_deeper(value: object, depth: int) -> bool:
    level = [value]
    while level and depth >= 0:
        inner = [item.values() if isinstance(item, dict) else item for item in level if isinstance(item, dict | list)]
        level = [child for children in inner for child in children]
        depth -= 1
    return bool(level)


def known_bot(bot: str, question_id: str | None) -> str:
    """Return the id of a known bot, without invisible characters, or raise ``unknown_bot``."""
    name = normal_name(bot) if len(bot) <= MAX_ID_CHARS else bot
    if name not in BOT_BY_ID:
        raise InvalidMessage("unknown_bot", f"expected one of {', '.join(BOT_BY_ID)}", question_id)
    return name


def bounded_sender(sender: str, question_id: str | None, bounds: Bounds = BOUNDS) -> str:
    """Return the sender unchanged, or raise ``too_long`` if it exceeds the limit in NFC."""
    _refuse_long("sender", len(sender), bounds.sender * _SHRINKS_BY, question_id)
    _refuse_long("sender", len(nfc(sender)), bounds.sender, question_id)
    return sender


def bounded_text(raw: str, question_id: str | None, bounds: Bounds = BOUNDS) -> str:
    """Return the cleaned text of a question, or raise ``empty`` or ``too_long``."""
    if shows_nothing(raw):
        raise InvalidMessage("empty", "the question has no visible character", question_id)
    if bounds.text is None:
        return stored_text(raw)
    printable = _without_hidden(raw)
    _refuse_long("question", len(printable), bounds.text * _SHRINKS_BY, question_id)
    text = nfc(printable)
    _refuse_long("question", len(text), bounds.text, question_id)
    return text


def _refuse_long(what: str, length: int, most: int, question_id: str | None) -> None:
    if length > most:
        raise InvalidMessage("too_long", f"the {what} has {length} characters, expected at most {most}", question_id)


def optional_id(body: Mapping[str, object], name: str, question_id: str) -> str | None:
    """Return an id, or None if the field is missing, null or empty; raise ``schema`` for any other value."""
    found = body.get(name)
    if found is None or found == "":
        return None
    if not isinstance(found, str) or len(found) > MAX_ID_CHARS:
        raise InvalidMessage("schema", f"`{name}` must be a string of 1 to {MAX_ID_CHARS} characters", question_id)
    return found


def optional_time(body: Mapping[str, object], name: str, question_id: str) -> datetime | None:
    """Return a time, or None if the field is missing, null or empty; raise ``schema`` for any other value.

    The time must be RFC 3339, in a plausible year. A time without an offset is in Seoul time.
    """
    found = body.get(name)
    if found is None or found == "":
        return None
    try:
        if isinstance(found, str) and _TIME.fullmatch(found) and int(found[:4]) in PLAUSIBLE_YEARS:
            return with_offset(datetime.fromisoformat(found.upper()))
    except ValueError:  # for example 30 February, or hour 25
        pass
    raise InvalidMessage("schema", f"`{name}` must be an RFC 3339 time, e.g. 2026-11-24T10:00:00+09:00", question_id)


def consent_of(body: Mapping[str, object], question_id: str) -> tuple[bool, bool]:
    """Return the consent to store and the consent to train.

    A bare boolean refers to training. By default, a turn is stored and not used for training. Without consent to
    store there is no consent to train.
    """
    consent = body.get("consent")
    if consent is None:
        return True, False
    if isinstance(consent, bool):
        return True, consent
    if isinstance(consent, dict):
        given = {name: value for name, value in consent.items() if value is not None}
        store, train = given.get("store", True), given.get("train", False)
        if isinstance(store, bool) and isinstance(train, bool):
            return store, store and train
    raise InvalidMessage(
        "schema", '`consent` must be true, false or an object such as {"store": true, "train": false}', question_id
    )
