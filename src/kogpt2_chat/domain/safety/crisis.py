"""Detection of texts that may be about suicide, self-harm, abuse or a medical emergency of any person, now or soon.

Rules are applied first. If they find nothing, a classifier looks for wording similar to that of known crises. The
result decides which answer a player gets, and which turns are used for training and indexed. Recall has priority over
precision, since a false positive only leads to a gentle answer. The time is linear in the length of the text.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from typing import Final, Literal, get_args

from kogpt2_chat.domain.safety.crisis_classifier import WEIGHTS_FILE, crisis_weights, likely_crisis
from kogpt2_chat.domain.safety.crisis_rules import CrisisRules, crisis_rules
from kogpt2_chat.domain.text.pattern_index import PatternIndex
from kogpt2_chat.domain.text.view import View, view_of

CrisisKind = Literal["suicide", "self_harm", "abuse", "medical"]
KINDS: Final[tuple[CrisisKind, ...]] = get_args(CrisisKind)

_WINDOW: Final = 2048
_OVERLAP: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Crisis:
    """A part of a text that may be about a crisis.

    Attributes:
        kind: the kind of crisis.
        start: index of its first character in the text.
        end: index after its last character.
    """

    kind: CrisisKind
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule:
    """The patterns of one kind, strength and form.

    Attributes:
        is_sure: whether they apply even if the text is about a ``subject``.
        is_spaced: whether they read the view with its spaces.
    """

    kind: CrisisKind
    is_sure: bool = True
    is_spaced: bool = False
    patterns: PatternIndex


@dataclass(frozen=True, slots=True, kw_only=True)
class _Language:
    """The rules of one language.

    Attributes:
        rules: the rules, in the order in which they decide the kind.
        any_dense: all patterns that read the view without spaces, to skip most texts quickly.
        any_spaced: all patterns that read the view with spaces, for the same purpose.
        frames: patterns of texts about something else, such as a game, to which no rule applies; a match must begin a
            word.
        inner_frames: patterns like ``frames`` that match anywhere.
        subjects: patterns of texts about something else, to which only sure rules apply.
        idioms: patterns of figurative phrases; a match that overlaps one is ignored.
        idiom_words: patterns like ``idioms`` that read the view with spaces.
    """

    rules: tuple[_Rule, ...]
    any_dense: PatternIndex
    any_spaced: PatternIndex
    frames: PatternIndex
    inner_frames: PatternIndex
    subjects: PatternIndex
    idioms: PatternIndex
    idiom_words: PatternIndex


def find_crisis(text: str) -> Crisis | None:
    """Search a text for a crisis.

    Args:
        text: a text of any length; all of it is searched.

    Returns:
        The first match, or None.
    """
    for start in range(0, max(len(text), 1), _WINDOW):
        first = max(0, start - _OVERLAP)
        found = _find_in_window(text[first : start + _WINDOW])
        if found is not None:
            return Crisis(kind=found.kind, start=found.start + first, end=found.end + first)
    return None


@cache
def crisis_digest() -> str:
    """Return a digest of the rules and weights, to recognise what was decided by other ones."""
    rules = json.dumps(crisis_rules(), sort_keys=True).encode()
    return sha256(rules + WEIGHTS_FILE.read_bytes()).hexdigest()


def find_by_rules(text: str) -> Crisis | None:
    """Return the first match of the rules in a message, without the classifier."""
    return _find_by_rules(view_of(text))


def is_about_something_else(text: str) -> bool:
    """Check by the rules whether a message is about a song, a film, a game or the news; the classifier skips those."""
    return _is_about_something_else(view_of(text))


def _find_in_window(text: str) -> Crisis | None:
    view = view_of(text)
    found = _find_by_rules(view)
    if found is not None or not view.text or _is_about_something_else(view):
        return found
    likely = likely_crisis(view.text, crisis_weights())
    if likely is None:
        return None
    start, end = view.span(likely.start, likely.end)
    return Crisis(kind=KINDS[KINDS.index(likely.kind)], start=start, end=end)


def _find_by_rules(spaced: View) -> Crisis | None:
    found = _find_in_language(_korean(), spaced, spaced.without_spaces())
    if found is not None or not _LATIN.search(spaced.text):
        return found
    # Players write contractions with and without the apostrophe.
    english = spaced.without("'")
    return _find_in_language(_english(), english, english)


def _is_about_something_else(spaced: View) -> bool:
    korean, english = spaced.without_spaces(), spaced.without("'")
    return _is_framed(_korean(), korean) or _is_framed(_english(), english)


def _is_framed(language: _Language, view: View) -> bool:
    return language.inner_frames.is_in(view.text) or _begins(language.frames, view)


def _find_in_language(language: _Language, spaced: View, dense: View) -> Crisis | None:
    # Nearly all texts match no pattern and end here, before the contexts are searched.
    if not (language.any_dense.is_in(dense.text) or language.any_spaced.is_in(spaced.text)):
        return None
    if _is_framed(language, dense):
        return None
    idioms = [spaced.span(*span) for span in language.idiom_words.spans(spaced.text)]
    idioms += [dense.span(*span) for span in language.idioms.spans(dense.text) if not _is_between(dense, span)]
    only_sure = _begins(language.subjects, dense)
    rules = (rule for rule in language.rules if rule.is_sure or not only_sure)
    hits = (hit for rule in rules for hit in _hits(rule, spaced if rule.is_spaced else dense))
    return next((hit for hit in hits if not any(begin < hit.end and hit.start < last for begin, last in idioms)), None)


def _begins(patterns: PatternIndex, view: View) -> bool:
    """Check whether a pattern matches at the beginning of a word; across a word boundary a match may be accidental."""
    return any(view.begins_word(start) for start, _ in patterns.spans(view.text))


def _hits(rule: _Rule, view: View) -> Iterator[Crisis]:
    has_gaps = view.has_gaps
    for found in rule.patterns.matches(view.text):
        span = found.span()
        if has_gaps and (_is_between(view, span) or not _is_aligned(view, found)):
            continue
        start, end = view.span(*span)
        yield Crisis(kind=rule.kind, start=start, end=end)


def _is_between(view: View, span: tuple[int, int]) -> bool:
    """Check whether a match is accidental: ``제가`` in ``숙제가``, or ``이유서`` in ``남편이 유서``.

    If the text has spaces, a match that starts with a pronoun and most short matches must begin a word.
    """
    first, length = view.text[span[0]], span[1] - span[0]
    is_weak = first in _BEGINNERS or (length <= _SHORT and first not in _STEMS)
    return is_weak and not view.begins_word(span[0]) and view.has_gaps


def _is_aligned(view: View, found: re.Match[str]) -> bool:
    """Check that the part after each gap of a pattern begins a word, follows a particle or is a particle.

    For example, ``피`` (blood) must not match in ``애인이 바람피웠어`` (cheated).
    """
    positions = (found.start(number) for number in range(1, found.re.groups + 1))
    return all(
        position < 1
        or position >= len(view.text)
        or view.begins_word(position)
        or view.text[position - 1] in _PARTICLES
        or view.text.startswith(_SUFFIXES, position)
        for position in positions
    )


_SHORT: Final = 3
_STEMS: Final = frozenset("죽쥭뒤뒈디쥬듁")
"""Syllables that are rarely inside another word, and are often written without a space before them."""
_BEGINNERS: Final = frozenset("나난내저전제날절애형목이더왜곧너")
"""First syllables of pronouns, adverbs and short nouns, which begin a word."""
_SUFFIXES: Final = ("한테", "에게", "께", "에서", "으로")
_PARTICLES: Final = frozenset("은는이가을를에서로도만고면께와과의랑")
_LATIN: Final = re.compile("[a-z]{2}")


@cache
def _korean() -> _Language:
    rules = crisis_rules()
    forms = (("sure", False), ("sure spaced", True), ("likely", False), ("likely spaced", True))
    made = tuple(
        _Rule(
            kind=kind,
            is_sure=form.startswith("sure"),
            is_spaced=is_spaced,
            patterns=PatternIndex(rules.get(f"{kind} {form}", ())),
        )
        for form, is_spaced in forms
        for kind in KINDS
    )
    return _Language(
        rules=made,
        any_dense=_all(rules, [f"{kind} {form}" for kind in KINDS for form, is_spaced in forms if not is_spaced]),
        any_spaced=_all(rules, [f"{kind} {form}" for kind in KINDS for form, is_spaced in forms if is_spaced]),
        frames=_all(rules, ["frame"]),
        inner_frames=_all(rules, ["frame inner"]),
        subjects=_all(rules, ["subject"]),
        idioms=_all(rules, ["idiom"]),
        idiom_words=_all(rules, ["idiom spaced"]),
    )


@cache
def _english() -> _Language:
    rules = crisis_rules()
    return _Language(
        rules=tuple(_Rule(kind=kind, patterns=_all(rules, [f"{kind} english"])) for kind in KINDS),
        any_dense=_all(rules, [f"{kind} english" for kind in KINDS]),
        any_spaced=PatternIndex(()),
        frames=_all(rules, ["frame english"]),
        inner_frames=PatternIndex(()),
        subjects=PatternIndex(()),
        idioms=_all(rules, ["idiom english"]),
        idiom_words=PatternIndex(()),
    )


def _all(rules: CrisisRules, sections: Sequence[str]) -> PatternIndex:
    return PatternIndex([pattern for section in sections for pattern in rules.get(section, ())])
