"""A normalised view of a text for search rules, with a mapping back to the original positions.

Players write a word in many ways: in full width, as single jamo, with spaces or repeated letters, or with digits for
letters. The view reverts these, so that a rule needs only one spelling. Each character of the view has its range in the
original text, so that matches can be masked or cut there. Building a view takes time linear in the length of the text.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import compress, groupby
from typing import Final

from kogpt2_chat.domain.text.characters import FILLERS, nfkc
from kogpt2_chat.domain.text.jamo import (
    CONJOINING,
    LAUGHTER,
    LEAD_BY_JAMO,
    TEARS,
    VOWEL_BY_JAMO,
    compatibility_jamo,
    compose,
    repeats_vowel,
)

# Characters that replace a similar letter next to a single jamo (``싶0ㅓ``) or between Latin letters (``k1ll``).
_LEAD_LOOKALIKES: Final = {"0": "ㅇ", "o": "ㅇ", "7": "ㄱ"}
_VOWEL_LOOKALIKES: Final = {"1": "ㅣ", "l": "ㅣ", "i": "ㅣ", "!": "ㅣ", "r": "ㅏ", "h": "ㅐ", "-": "ㅡ", "_": "ㅡ"}
_LATIN_LOOKALIKES: Final = {"0": "o", "1": "i", "3": "e", "4": "a", "5": "s", "7": "t", "$": "s", "!": "i"}
_DIGIT_LOOKALIKES: Final = {"o": "0", "l": "1", "i": "1"}
_SAME_RUN: Final = 3
_SPACED_RUN: Final = 3
_ENDS: Final = ".?!"
_APOSTROPHES: Final = str.maketrans("\u2019\u2018\u00b4`", "''''")
_DASHES: Final = "\u2010\u2012\u2013\u2014\u2015\u2212\u2043\u02d7\u30fc\u2796\u3161_"
_DOTS: Final = "\u00b7\u119e\u318d\u2022\u30fb\u2219\u3002"
_MARKS: Final = str.maketrans(_DASHES + _DOTS, "-" * len(_DASHES) + "." * len(_DOTS))
_AS_DIGITS: Final = str.maketrans("oil|", "0111")
_DIGITS_MEANT: Final = re.compile(r"(?<![a-z0-9|])[oil|]{0,2}\d[\doil|]*+(?![a-z])")
_DIGIT: Final = re.compile(r"\d")
_END: Final = re.compile(r"[.?!]")
# Text that needs no normalisation: words of syllables without doubled ones. Three one-syllable words in a row may be a
# single word written with spaces, so at most two are allowed, and only between longer words.
_PLAIN: Final = re.compile(
    r"(?<!\S)(?:([가-힣])(?!\1)){2,}+"
    r"(?:[.?!]? (?:[가-힣][.?!]? ){0,2}(?:([가-힣])(?!\2)){2,}+(?=[.?!]?(?:\s|$)))*+"
    r"(?=[.?!]?(?:\s|$))"
)

Piece = tuple[str, int, int]
"""A character of the view, with the start and end of the original range that it came from."""


@dataclass(frozen=True, slots=True)
class View:
    """A text in the form that rules read.

    Attributes:
        text: the normalised text; :func:`view_of` and :func:`details_view` define its form.
        starts: for each character of ``text``, the start of its range in the original.
        ends: for each character of ``text``, the end of its range in the original.
    """

    text: str
    starts: tuple[int, ...]
    ends: tuple[int, ...]

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Return the range of the original that a non-empty range of ``text`` came from."""
        return self.starts[start], self.ends[end - 1]

    def begins_word(self, index: int) -> bool:
        """Check whether a character is the first, follows a space, or follows a part that is not in the view."""
        return index == 0 or self.starts[index] > self.ends[index - 1] or self.text[index - 1] == " "

    @property
    def has_gaps(self) -> bool:
        """Whether a part of the original between two characters is not in the view."""
        return any(start > end for start, end in zip(self.starts[1:], self.ends, strict=False))

    def without_spaces(self) -> "View":
        """Return the view without spaces, punctuation and digits inside words, since players often omit or add them."""
        is_kept = list(map(str.isalnum, self.text))
        for found in _DIGIT.finditer(self.text):
            is_kept[found.start()] &= not _is_between_syllables(self.text, found.start())
        kept = (compress(column, is_kept) for column in (self.starts, self.ends))
        return View("".join(compress(self.text, is_kept)), *map(tuple, kept))

    def without(self, char: str) -> "View":
        """Return the view without one character."""
        return _view([piece for piece in self._pieces() if piece[0] != char])

    def _pieces(self) -> Iterator[Piece]:
        return zip(self.text, self.starts, self.ends, strict=True)


def view_of(text: str) -> View:
    """Return the view of a text for rules that look for words.

    1. Convert characters to lower case NFKC and remove invisible ones.
    2. Compose syllables from single jamo, also with spaces between them or with look-alikes for jamo.
    3. Remove laughter, tears and punctuation inside words.
    4. Join syllables that are written with a space between each of them.
    5. Collapse repeated letters and drawn-out vowels.
    """
    pieces: list[Piece] = []
    position = 0
    for found in _PLAIN.finditer(text):
        _append(pieces, _normalised(text, position, found.start()))
        _append(pieces, _copied(text, *found.span()))
        position = found.end()
    _append(pieces, _normalised(text, position, len(text)))
    return _view(pieces)


def details_view(text: str) -> View:
    """Return the view of a text for rules that look for numbers and punctuation.

    The text is in lower case NFKC, with ASCII digits also for their look-alikes, ``-`` for each dash, ``.`` for each
    middle dot, and a single space for white space. Only invisible characters are removed.
    """
    pieces: list[Piece] = []
    for char, start, end in _fold(text, 0, len(text)):
        if char == " " and pieces and pieces[-1][0] == " ":
            pieces[-1] = (" ", pieces[-1][1], end)
        else:
            pieces.append((char.translate(_MARKS) if not char.isdecimal() else str(int(char)), start, end))
    view = _view(pieces)
    return View(_DIGITS_MEANT.sub(lambda run: run.group().translate(_AS_DIGITS), view.text), view.starts, view.ends)


def _append(pieces: list[Piece], more: list[Piece]) -> None:
    """Append pieces after a space."""
    if pieces and more:
        end = pieces[-1][2]
        pieces.append((" ", end, end + 1))
    pieces += more


def _copied(text: str, start: int, end: int) -> list[Piece]:
    """Return the pieces of a range that matches ``_PLAIN``; punctuation becomes the space between two words."""
    pieces = list(zip(text[start:end], range(start, end), range(start + 1, end + 1), strict=True))
    marks = {found.start() for found in _END.finditer(text, start, end)}
    if not marks:
        return pieces
    return [(" " if first in marks else char, first, last) for char, first, last in pieces if first - 1 not in marks]


def _normalised(text: str, start: int, end: int) -> list[Piece]:
    letters = _compose_jamo(_join_spaced(_replace_lookalikes(list(_fold(text, start, end)))))
    return _collapse_repeats(_join_spaced(_remove_marks(letters)))


def _is_between_syllables(text: str, index: int) -> bool:
    """Check whether a digit is between two syllables of a word, as in ``죽1고``."""
    return 0 < index < len(text) - 1 and all("가" <= text[near] <= "힣" for near in (index - 1, index + 1))


def _view(pieces: Iterable[Piece]) -> View:
    letters, starts, ends = tuple(zip(*pieces, strict=True)) or ((), (), ())
    return View("".join(letters), starts, ends)


def _fold(text: str, start: int, stop: int) -> Iterator[Piece]:
    """Convert each character of a range, with its combining marks and conjoining jamo, to lower case NFKC."""
    while start < stop:
        char = text[start]
        if "가" <= char <= "힣" or char == " ":
            following = text[start + 1] if start + 1 < stop else " "
            if not ("\u0300" <= following <= "\u036f" or "\u1100" <= following <= "\u11ff"):
                yield char, start, start + 1
                start += 1
                continue
        end = start + 1
        while end < stop and (CONJOINING.match(text, end) or unicodedata.combining(text[end])):
            end += 1
        for folded in _fold_cluster(text[start:end]):
            yield folded, start, end
        start = end


def _fold_cluster(cluster: str) -> Iterator[str]:
    # NFKC would turn compatibility jamo into leading consonants, which cannot close a syllable.
    if len(cluster) == 1 and "ㄱ" <= cluster <= "ㅣ":
        yield cluster
        return
    for char in nfkc(cluster.translate(_APOSTROPHES)).lower():
        if char.isspace():
            yield " "
        elif char not in FILLERS and unicodedata.category(char)[0] not in "CM":
            yield compatibility_jamo(char)


def _replace_lookalikes(pieces: list[Piece]) -> list[Piece]:
    """Replace digits and letters that represent a similar letter, depending on their neighbours."""
    last = len(pieces) - 1
    found = []
    for index, (char, start, end) in enumerate(pieces):
        if "가" <= char <= "힣" or char == " ":
            found.append((char, start, end))
            continue
        before = found[-1][0] if found else " "
        after = pieces[index + 1][0] if index < last else " "
        found.append((_replace_lookalike(before, char, after), start, end))
    return found


def _replace_lookalike(before: str, char: str, after: str) -> str:
    if char in _LEAD_LOOKALIKES and after in VOWEL_BY_JAMO and after not in TEARS:
        return _LEAD_LOOKALIKES[char]
    if char in _VOWEL_LOOKALIKES and before in LEAD_BY_JAMO and before not in LAUGHTER:
        return _VOWEL_LOOKALIKES[char]
    if char in _LATIN_LOOKALIKES and "a" <= before <= "z" and "a" <= after <= "z":
        return _LATIN_LOOKALIKES[char]
    if char in _DIGIT_LOOKALIKES and before.isdigit() and (after.isdigit() or after in "-. "):
        return _DIGIT_LOOKALIKES[char]
    return char


def _compose_jamo(pieces: list[Piece]) -> list[Piece]:
    """Compose syllables from single jamo, like an input method."""
    if not any("ㄱ" <= char <= "ㅣ" for char, _, _ in pieces):
        return pieces
    found: list[Piece] = []
    for index, piece in enumerate(pieces):
        char, _, end = piece
        if not ("ㄱ" <= char <= "ㅣ" and found):
            found.append(piece)
            continue
        after = "".join(char for char, _, _ in pieces[index + 1 : index + 3]) + "  "
        syllable = compose(found[-1][0], char, after)
        if syllable is None:
            found.append(piece)
        else:
            found[-1] = (syllable, found[-1][1], end)
    return found


def _remove_marks(pieces: list[Piece]) -> list[Piece]:
    """Remove laughter, tears and symbols, except symbols between two ASCII characters (numbers, e-mail, English)."""
    found: list[Piece] = []
    for index, piece in enumerate(pieces):
        char = piece[0]
        after = pieces[index + 1][0] if index + 1 < len(pieces) else " "
        if char.isalnum() and not _is_noise(found[-1][0] if found else " ", char, after):
            found.append(piece)
        elif found and found[-1][0] != " ":
            if char == " " or (char in _ENDS and after == " "):
                found.append((" ", piece[1], piece[2]))
            elif found[-1][0].isascii() and after.isascii() and after != " " and char.isascii():
                found.append(piece)
    return found[:-1] if found and found[-1][0] == " " else found


def _is_noise(before: str, char: str, after: str) -> bool:
    """Check whether a letter is laughter or tears; next to another consonant it may abbreviate a word (``ㅎㅇ``)."""
    if char in LAUGHTER:
        return not any(letter in LEAD_BY_JAMO and letter not in LAUGHTER for letter in (before, after))
    return char in TEARS


def _join_spaced(pieces: list[Piece]) -> list[Piece]:
    """Remove the spaces in a run of single syllables or jamo, as in ``자 살 하 고`` and ``ㅈ ㅏ ㅅ ㅏ ㄹ``."""
    groups = [(is_space, list(group)) for is_space, group in groupby(pieces, key=lambda piece: piece[0] == " ")]
    words = [index for index, (is_space, _) in enumerate(groups) if not is_space]
    runs = _run_lengths([_is_single(groups[index][1]) for index in words])
    removed = {
        index + 1
        for index, run, following in zip(words, runs, runs[1:], strict=False)
        if run == following >= _SPACED_RUN
    }
    return [piece for index, (_, group) in enumerate(groups) if index not in removed for piece in group]


def _is_single(word: list[Piece]) -> bool:
    return len(word) == 1 and ("가" <= word[0][0] <= "힣" or "ㄱ" <= word[0][0] <= "ㅣ")


def _run_lengths(flags: list[bool]) -> list[int]:
    """Return for each flag the length of its run of set flags; 0 for flags that are not set."""
    lengths: list[int] = []
    for is_set, run in groupby(flags):
        count = len(list(run))
        lengths += [count if is_set else 0] * count
    return lengths


def _collapse_repeats(pieces: list[Piece]) -> list[Piece]:
    """Collapse three or more equal letters to one, and drop repeated vowels (``죽고오오``). Digits stay."""
    found: list[Piece] = []
    for char, run in groupby(pieces, key=lambda piece: piece[0]):
        same = list(run)
        if len(same) > 1 and found and repeats_vowel(found[-1][0], char):
            found[-1] = (found[-1][0], found[-1][1], same[-1][2])
        elif len(same) >= _SAME_RUN and not char.isdigit():
            found.append((char, same[0][1], same[-1][2]))
        else:
            found += same
    return found
