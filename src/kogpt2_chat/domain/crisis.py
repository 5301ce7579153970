"""Whether a text may speak of suicide, self-harm, abuse or a medical emergency, now or soon, of anybody.

One set of rules for the answer that a player gets, for what is learned from, and for what is indexed. They rather
find too much than too little: who is found gets a gentle answer. Linear in the text; knows no model and no turn.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final, Literal, get_args

from kogpt2_chat.domain import crisis_contexts, crisis_english, crisis_harm, crisis_medical, crisis_suicide
from kogpt2_chat.domain.text_view import View, view_of

Kind = Literal["suicide", "self_harm", "abuse", "medical"]
Strength = Literal["sure", "likely"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

_WINDOW: Final = 2048
_OVERLAP: Final = 256
_AROUND: Final = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Crisis:
    """What was found.

    Attributes:
        kind: what it speaks of.
        start: where it stands in the text.
        end: likewise.
    """

    kind: Kind
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class _Rule:
    """Patterns of one kind.

    Attributes:
        spaced: whether they read the view with its spaces.
    """

    kind: Kind
    strength: Strength
    pattern: re.Pattern[str]
    spaced: bool = False


def find_crisis(text: str) -> Crisis | None:
    """The first thing in a text that may speak of a crisis.

    Args:
        text: of any length; it is searched whole.

    Returns:
        What was found and where, or None.
    """
    for start in range(0, max(len(text), 1), _WINDOW):
        first = max(0, start - _OVERLAP)
        found = _find(text[first : start + _WINDOW])
        if found is not None:
            return Crisis(kind=found.kind, start=found.start + first, end=found.end + first)
    return None


def _find(text: str) -> Crisis | None:
    spaced = view_of(text)
    dense = spaced.without_spaces()
    is_framed = _frames().search(dense.text) is not None
    is_about_else = is_framed or _subjects().search(dense.text) is not None
    idioms = [found.span() for found in _idioms().finditer(dense.text)]
    for rule in _rules():
        if is_framed or (is_about_else and rule.strength == "likely"):
            break
        view = spaced if rule.spaced else dense
        for found in rule.pattern.finditer(view.text):
            if rule.spaced or not _is_idiom(found.span(), idioms):
                return _crisis(rule.kind, view, found)
    return _find_english(spaced)


def _find_english(spaced: View) -> Crisis | None:
    if not _LATIN.search(spaced.text):
        return None
    # Contractions are written with and without their apostrophe.
    view = spaced.without("'")
    if _english_frames().search(view.text):
        return None
    idioms = [found.span() for found in _english_idioms().finditer(view.text)]
    for rule in _english_rules():
        for found in rule.pattern.finditer(view.text):
            if not _is_idiom(found.span(), idioms):
                return _crisis(rule.kind, view, found)
    return None


def _crisis(kind: Kind, view: View, found: re.Match[str]) -> Crisis:
    start, end = view.span(*found.span())
    return Crisis(kind=kind, start=start, end=end)


def _is_idiom(span: tuple[int, int], idioms: Sequence[tuple[int, int]]) -> bool:
    return any(start < span[1] and span[0] < end for start, end in idioms)


_LATIN: Final = re.compile("[a-z]{2}")


@cache
def _rules() -> tuple[_Rule, ...]:
    return tuple(_made())


def _made() -> Iterator[_Rule]:
    """Sure ones first: what is sure decides the kind."""
    yield _Rule("suicide", "sure", _any(crisis_suicide.SURE))
    yield _Rule("suicide", "sure", _any(crisis_suicide.WORDS), spaced=True)
    yield _Rule("self_harm", "sure", _any(crisis_harm.SELF_HARM_SURE))
    yield _Rule("self_harm", "sure", _any(crisis_harm.SELF_HARM_WORDS), spaced=True)
    yield _Rule("abuse", "sure", _any(crisis_harm.ABUSE_SURE))
    yield _Rule("medical", "sure", _any(crisis_medical.SURE))
    yield _Rule("suicide", "likely", _any(crisis_suicide.LIKELY))
    yield _Rule("self_harm", "likely", _any(crisis_harm.SELF_HARM_LIKELY))
    yield _Rule("abuse", "likely", _any(crisis_harm.ABUSE_LIKELY))
    yield _Rule("medical", "likely", _any(crisis_medical.LIKELY))


@cache
def _english_rules() -> tuple[_Rule, ...]:
    return (
        _Rule("suicide", "sure", _any(crisis_english.SUICIDE)),
        _Rule("self_harm", "sure", _any(crisis_english.SELF_HARM)),
        _Rule("abuse", "sure", _any(crisis_english.ABUSE)),
        _Rule("medical", "sure", _any(crisis_english.MEDICAL)),
    )


@cache
def _frames() -> re.Pattern[str]:
    return _any(crisis_contexts.FRAMES)


@cache
def _subjects() -> re.Pattern[str]:
    return re.compile(crisis_contexts.SUBJECTS)


@cache
def _idioms() -> re.Pattern[str]:
    return _any(crisis_contexts.IDIOMS)


@cache
def _english_frames() -> re.Pattern[str]:
    return _any(crisis_contexts.ENGLISH_FRAMES)


@cache
def _english_idioms() -> re.Pattern[str]:
    return _any(crisis_contexts.ENGLISH_IDIOMS)


def _any(patterns: Sequence[str]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns))
