"""Which characters show nothing, and normal forms in time linear in the text, whatever came in.

Every reader of text from outside uses these. Knows no rule of questions, players or training.
"""

import re
import unicodedata
from functools import lru_cache
from typing import Final, Literal

MAX_MARKS: Final = 30
"""Combining marks on one letter; the bound of Unicode's stream-safe text format (UAX #15). Living scripts need four."""

# Control characters except tab and line feed; zero-width, bidi, annotation and tag characters; noncharacters.
_HIDDEN_CHARS: Final = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ufdd0-\ufdef\ufffe\uffff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e007f"
)
_HIDDEN: Final = re.compile(f"[{_HIDDEN_CHARS}]")
# Variation selectors, which mean something behind a letter or an emoji and nothing alone.
_SELECTORS: Final = "\u180b-\u180d\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef"
# Hangul fillers, the empty Braille cell, Khmer's inherent vowels: letters that show nothing.
FILLERS: Final = "\u115f\u1160\u3164\uffa0\u2800\u17b4\u17b5"
_INVISIBLE: Final = re.compile(f"[{_HIDDEN_CHARS}{_SELECTORS}{FILLERS}]")
_VISIBLE: Final = re.compile(rf"[^\s{_HIDDEN_CHARS}{_SELECTORS}{FILLERS}]")
_UNPRINTABLE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# A letter and eight characters may come apart into that many marks.
_MAY_BE_MARKS: Final = re.compile(
    "[\u0300-\u10ff\u1200-\u1fff\u20d0-\u20ff\u2c00-\u302f\u3099\u309a\ua000-\uabff\ufb00-\ufe2f\uff9e\uff9f"
    "\U00010000-\U0001efff]{8,}"
)


def nfc(text: str) -> str:
    """NFC; of more than :data:`MAX_MARKS` marks on one letter the last are gone.

    The library sorts the marks of a letter by insertion: 8,000 of two kinds take it 70 ms, 80,000 seven seconds.
    """
    return _normal("NFC", text)


def nfkc(text: str) -> str:
    """NFKC, bounded in the same way."""
    return _normal("NFKC", text)


def one_line(text: str) -> str:
    """NFC without anything that cannot be printed, single spaces, trimmed: what is trained on and what is said.

    Never NFKC: it would make ``<usr>`` out of its full-width form.
    """
    shown = (
        " " if char.isspace() else char
        for char in text
        if char.isspace() or unicodedata.category(char) not in _UNPRINTABLE
    )
    # Composed last: taking a character out may bring letters together that compose.
    return nfc(" ".join("".join(shown).split()))


def without_hidden(text: str) -> str:
    """Without control, zero-width, bidi, tag and annotation characters; tabs and line feeds stay."""
    return _HIDDEN.sub("", text)


def without_invisible(text: str) -> str:
    """Without anything that shows nothing by itself, spaces excepted: for comparing, never for keeping."""
    return _INVISIBLE.sub("", text)


def shows_nothing(text: str) -> bool:
    """Whether no character of a text can be seen."""
    return _VISIBLE.search(text) is None


def _normal(form: Literal["NFC", "NFKC"], text: str) -> str:
    return unicodedata.normalize(form, _with_few_marks(text))


def _with_few_marks(text: str) -> str:
    if not _MAY_BE_MARKS.search(text):
        return text
    kept: list[str] = []
    marks = 0
    for char in text:
        leads, trailing = _marks(char)
        marks = marks + trailing if leads else trailing
        if not leads or marks <= MAX_MARKS:
            kept.append(char)
    return "".join(kept)


@lru_cache(maxsize=4096)
def _marks(char: str) -> tuple[bool, int]:
    """Whether a character, taken apart, begins with a mark, and how many marks it ends with.

    Its own class does not say: U+0F73 is no mark by itself, and is two of them once it is taken apart.
    """
    classes = [unicodedata.combining(part) for part in unicodedata.normalize("NFKD", char)]
    trailing = next((count for count, class_ in enumerate(reversed(classes)) if class_ == 0), len(classes))
    return classes[0] != 0, trailing
