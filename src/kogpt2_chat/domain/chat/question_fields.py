"""The checks of a question's fields: each gives the value, or says in one sentence why it cannot be used."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, cast

from kogpt2_chat.domain.chat.bots import BOT_BY_ID
from kogpt2_chat.domain.chat.players import normal_name
from kogpt2_chat.domain.chat.times import with_offset
from kogpt2_chat.domain.text.characters import nfc, shows_nothing, without_hidden
from kogpt2_chat.errors import InvalidMessage

MAX_TEXT_CHARS: Final = 500
MAX_NAME_CHARS: Final = 64
MAX_ID_CHARS: Final = 128
MAX_DEPTH: Final = 32
_MAX_KEY_CHARS: Final = 4096
"""A longer sender cannot be the key of an answer at all."""
PLAUSIBLE_YEARS: Final = range(2000, 2200)
"""Times outside overflow nanoseconds, or a subtraction, somewhere down the road."""

_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:?\d\d)?", re.ASCII)
_JSON_SPACES: Final = " \t\n\r"
_ODD_SPACES: Final = (
    "\x00\x0b\x0c\x1c\x1d\x1e\x1f\x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u200b"
    "\u2028\u2029\u202f\u205f\u2060\u3000\ufeff"
)
AROUND: Final = _JSON_SPACES + _ODD_SPACES
"""What may stand around a frame and between its tokens: white space, a byte order mark, and what is not seen."""
_ODD_SPACE: Final = re.compile(f"[{_ODD_SPACES}]")
_STRING_OR_ODD: Final = re.compile(rf'("[^"\\]*+(?:\\.[^"\\]*+)*+"?)|[{_ODD_SPACES}]++', re.DOTALL)
_SHRINKS_BY: Final = 4
"""NFC makes one character of four at the most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How long a question may be, in characters; None for no bound."""

    text: int | None
    sender: int


BOUNDS: Final = Bounds(text=MAX_TEXT_CHARS, sender=MAX_NAME_CHARS)
UNBOUNDED: Final = Bounds(text=None, sender=_MAX_KEY_CHARS)


def clean_text(text: str) -> str:
    """Question text as it is stored and counted: unseen characters removed, line ends unified, NFC."""
    return nfc(_shown(text))


def _shown(text: str) -> str:
    return without_hidden(text.replace("\r\n", "\n").replace("\r", "\n"))


def json_object(text: str) -> dict[str, Any]:
    """An object that can also be written again: no lone surrogate, no infinity, no deep nesting."""
    try:
        body = json.loads(_with_json_spaces(text))
        json.dumps(body, allow_nan=False, ensure_ascii=False).encode("utf-8")
    except json.JSONDecodeError as error:
        raise InvalidMessage("schema", f"not readable as JSON: {error.msg}, at character {error.pos}") from error
    except (ValueError, RecursionError) as error:  # ValueError: also numbers of over 4,300 digits, and surrogates
        raise InvalidMessage("schema", f"not readable as JSON: {type(error).__name__}") from error
    # The text starts with { so that it is an object if it is JSON at all.
    if _is_deeper(body, MAX_DEPTH):
        raise InvalidMessage("schema", f"nested more than {MAX_DEPTH} levels deep")
    return cast("dict[str, Any]", body)


def _with_json_spaces(text: str) -> str:
    """White space of any kind between tokens, as JSON knows it; texts stay as they are."""
    return _STRING_OR_ODD.sub(lambda found: found.group(1) or " ", text) if _ODD_SPACE.search(text) else text


def _is_deeper(value: object, depth: int) -> bool:
    level = [value]
    while level and depth >= 0:
        inner = [item.values() if isinstance(item, dict) else item for item in level if isinstance(item, dict | list)]
        level = [child for children in inner for child in children]
        depth -= 1
    return bool(level)


def known_bot(bot: str, question_id: str | None) -> str:
    """A bot of the roster, by its id; what is not seen does not count."""
    name = normal_name(bot) if len(bot) <= MAX_ID_CHARS else bot
    if name not in BOT_BY_ID:
        raise InvalidMessage("unknown_bot", f"expected one of {', '.join(BOT_BY_ID)}", question_id)
    return name


def bounded_sender(sender: str, question_id: str | None, bounds: Bounds = BOUNDS) -> str:
    """The sender as it came, if it is short enough (NFC)."""
    _refuse_long("sender", len(sender), bounds.sender * _SHRINKS_BY, question_id)
    _refuse_long("sender", len(nfc(sender)), bounds.sender, question_id)
    return sender


def bounded_text(raw: str, question_id: str | None, bounds: Bounds = BOUNDS) -> str:
    """The cleaned question, if something of it can be seen and it is short enough."""
    if shows_nothing(raw):
        raise InvalidMessage("empty", "the question has no visible character", question_id)
    if bounds.text is None:
        return clean_text(raw)
    shown = _shown(raw)
    _refuse_long("question", len(shown), bounds.text * _SHRINKS_BY, question_id)
    text = nfc(shown)
    _refuse_long("question", len(text), bounds.text, question_id)
    return text


def _refuse_long(what: str, length: int, most: int, question_id: str | None) -> None:
    if length > most:
        raise InvalidMessage("too_long", f"the {what} has {length} characters, at most {most}", question_id)


def optional_id(body: Mapping[str, object], name: str, question_id: str) -> str | None:
    """A text of bounded length, or None where there is none: no field, null, or an empty text."""
    found = body.get(name)
    if found is None or found == "":
        return None
    if not isinstance(found, str) or len(found) > MAX_ID_CHARS:
        raise InvalidMessage("schema", f"`{name}` must be a text of 1 to {MAX_ID_CHARS} characters", question_id)
    return found


def optional_time(body: Mapping[str, object], name: str, question_id: str) -> datetime | None:
    """A plausible RFC 3339 time, that of Seoul where it has no offset; None where there is none: no field, or null."""
    found = body.get(name)
    if found is None or found == "":
        return None
    try:
        if isinstance(found, str) and _TIME.fullmatch(found) and int(found[:4]) in PLAUSIBLE_YEARS:
            return with_offset(datetime.fromisoformat(found.upper()))
    except ValueError:  # a 30 February, an hour 25
        pass
    raise InvalidMessage("schema", f"`{name}` must be an RFC 3339 time, as in 2026-11-24T10:00:00+09:00", question_id)


def consent_of(body: Mapping[str, object], question_id: str) -> tuple[bool, bool]:
    """Store and train. A bare bool speaks of training; nothing said: stored, not trained on."""
    consent = body.get("consent")
    if consent is None:
        return True, False
    if isinstance(consent, bool):
        return True, consent
    if isinstance(consent, dict):
        said = {name: value for name, value in consent.items() if value is not None}
        store, train = said.get("store", True), said.get("train", False)
        if isinstance(store, bool) and isinstance(train, bool):
            return store, store and train
    raise InvalidMessage("schema", "`consent` must be true, false or {store, train: true or false}", question_id)
