"""Invisible characters, and Unicode normalisation in time linear in the length of any text.

All code that reads external text uses these functions.
"""

import re
import unicodedata
from functools import lru_cache
from typing import Final, Literal

MAX_MARKS: Final = 30
"""Combining marks allowed on one letter, as in the stream-safe text format (UAX #15). Modern scripts need four."""

# Control characters except tab and line feed; zero-width, bidi, annotation and tag characters; noncharacters.
_HIDDEN_CHARS: Final = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ufdd0-\ufdef\ufffe\uffff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e007f"
)
_HIDDEN: Final = re.compile(f"[{_HIDDEN_CHARS}]")
# Variation selectors, which only have a meaning after a letter or an emoji.
_SELECTORS: Final = "\u180b-\u180d\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef"
# Hangul fillers, the empty Braille cell and Khmer's inherent vowels: invisible letters.
FILLERS: Final = "\u115f\u1160\u3164\uffa0\u2800\u17b4\u17b5"
_INVISIBLE: Final = re.compile(f"[{_HIDDEN_CHARS}{_SELECTORS}{FILLERS}]")
_VISIBLE: Final = re.compile(rf"[^\s{_HIDDEN_CHARS}{_SELECTORS}{FILLERS}]")
_UNPRINTABLE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# A letter followed by eight such characters may decompose into more than MAX_MARKS marks.
_MAY_BE_MARKS: Final = re.compile(
    "[\u0300-\u10ff\u1200-\u1fff\u20d0-\u20ff\u2c00-\u302f\u3099\u309a\ua000-\uabff\ufb00-\ufe2f\uff9e\uff9f"
    "\U00010000-\U0001efff]{8,}"
)


def nfc(text: str) -> str:
    """Return the text in NFC; marks on one letter beyond :data:`MAX_MARKS` are removed.

    ``unicodedata`` sorts the marks of a letter by insertion sort: 8,000 marks of two kinds take 70 ms, and 80,000 take
    seven seconds.
    """
    return _normal("NFC", text)


def nfkc(text: str) -> str:
    """Return the text in NFKC, with the same limit on marks."""
    return _normal("NFKC", text)


def one_line(text: str) -> str:
    """Return the form of text for training and for answers: NFC, printable, on one line, with single spaces, trimmed.

    NFKC must not be used here, because it turns the full-width form of ``<usr>`` into the control token.
    """
    printable = (
        " " if char.isspace() else char
        for char in text
        if char.isspace() or unicodedata.category(char) not in _UNPRINTABLE
    )
    # NFC comes last, since removing a character may bring letters together that compose.
    return nfc(" ".join("".join(printable).split()))


def without_hidden(text: str) -> str:
    """Remove control, zero-width, bidi, tag and annotation characters; tabs and line feeds stay."""
    return _HIDDEN.sub("", text)


def without_invisible(text: str) -> str:
    """Remove all invisible characters except white space. Use the result only for comparisons."""
    return _INVISIBLE.sub("", text)


def shows_nothing(text: str) -> bool:
    """Check whether a text has no visible character."""
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
    """Return whether the decomposition of a character begins with a mark, and with how many marks it ends.

    The combining class of the character itself is not enough: that of U+0F73 is 0, but it decomposes into two marks.
    """
    classes = [unicodedata.combining(part) for part in unicodedata.normalize("NFKD", char)]
    trailing = next((count for count, class_ in enumerate(reversed(classes)) if class_ == 0), len(classes))
    return classes[0] != 0, trailing
