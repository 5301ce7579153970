"""Whether a text may speak of suicide, self-harm, abuse or a medical emergency, now or soon, of anybody.

One set of rules for the answer that a player gets, for what is learned from, and for what is indexed. They rather
find too much than too little: who is found gets a gentle answer. Linear in the text; knows no model and no turn.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

from kogpt2_chat.domain import crisis_contexts, crisis_english, crisis_harm, crisis_medical, crisis_suicide
from kogpt2_chat.domain.pattern_index import PatternIndex
from kogpt2_chat.domain.text_view import View, view_of

Kind = Literal["suicide", "self_harm", "abuse", "medical"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

_WINDOW: Final = 2048
_OVERLAP: Final = 256


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
        is_sure: whether they hold whatever else the text is about.
        is_spaced: whether they read the view with its spaces.
    """

    kind: Kind
    is_sure: bool
    sources: Sequence[str]
    is_spaced: bool = False
    patterns: PatternIndex = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "patterns", PatternIndex(self.sources))


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
    return _find_korean(spaced) or _find_english(spaced)


def _find_korean(spaced: View) -> Crisis | None:
    dense = spaced.without_spaces()
    # Contexts are looked for only where there is something to be found: nearly all texts end here.
    if not (_ANY_DENSE.is_in(dense.text) or _ANY_SPACED.is_in(spaced.text)) or _FRAMES.is_in(dense.text):
        return None
    idioms = [spaced.span(*span) for span in _IDIOM_WORDS.spans(spaced.text)]
    idioms += [dense.span(*span) for span in _IDIOMS.spans(dense.text)]
    return _first(_KOREAN, spaced, dense, only_sure=_SUBJECTS.is_in(dense.text), idioms=idioms)


def _first(
    rules: Sequence[_Rule], spaced: View, dense: View, *, only_sure: bool, idioms: Sequence[tuple[int, int]]
) -> Crisis | None:
    """The first hit that no idiom stands on; of sure rules only, if so told."""
    for rule in rules:
        if only_sure and not rule.is_sure:
            continue
        view = spaced if rule.is_spaced else dense
        for span in rule.patterns.spans(view.text):
            start, end = view.span(*span)
            if not any(begin < end and start < last for begin, last in idioms):
                return Crisis(kind=rule.kind, start=start, end=end)
    return None


def _find_english(spaced: View) -> Crisis | None:
    if not _LATIN.search(spaced.text):
        return None
    # Contractions are written with and without their apostrophe.
    view = spaced.without("'")
    if not _ANY_ENGLISH.is_in(view.text) or _ENGLISH_FRAMES.is_in(view.text):
        return None
    idioms = [view.span(*span) for span in _ENGLISH_IDIOMS.spans(view.text)]
    return _first(_ENGLISH, view, view, only_sure=False, idioms=idioms)


_LATIN: Final = re.compile("[a-z]{2}")
_KOREAN: Final = (  # sure ones first: what is sure decides the kind
    _Rule("suicide", True, crisis_suicide.SURE),
    _Rule("suicide", True, crisis_suicide.WORDS, is_spaced=True),
    _Rule("self_harm", True, crisis_harm.SELF_HARM_SURE),
    _Rule("self_harm", True, crisis_harm.SELF_HARM_WORDS, is_spaced=True),
    _Rule("abuse", True, crisis_harm.ABUSE_SURE),
    _Rule("medical", True, crisis_medical.SURE),
    _Rule("suicide", False, crisis_suicide.LIKELY),
    _Rule("self_harm", False, crisis_harm.SELF_HARM_LIKELY),
    _Rule("abuse", False, crisis_harm.ABUSE_LIKELY),
    _Rule("medical", False, crisis_medical.LIKELY),
)
_ENGLISH: Final = (
    _Rule("suicide", True, crisis_english.SUICIDE),
    _Rule("self_harm", True, crisis_english.SELF_HARM),
    _Rule("abuse", True, crisis_english.ABUSE),
    _Rule("medical", True, crisis_english.MEDICAL),
)
_ANY_DENSE: Final = PatternIndex([source for rule in _KOREAN if not rule.is_spaced for source in rule.sources])
_ANY_SPACED: Final = PatternIndex([source for rule in _KOREAN if rule.is_spaced for source in rule.sources])
_ANY_ENGLISH: Final = PatternIndex([source for rule in _ENGLISH for source in rule.sources])
_FRAMES: Final = PatternIndex(crisis_contexts.FRAMES)
_SUBJECTS: Final = PatternIndex((crisis_contexts.SUBJECTS,))
_IDIOMS: Final = PatternIndex(crisis_contexts.IDIOMS)
_IDIOM_WORDS: Final = PatternIndex(crisis_contexts.IDIOM_WORDS)
_ENGLISH_FRAMES: Final = PatternIndex(crisis_contexts.ENGLISH_FRAMES)
_ENGLISH_IDIOMS: Final = PatternIndex(crisis_contexts.ENGLISH_IDIOMS)
