"""One view of a text for every rule that looks for words, with a way back to where they stand.

Players write one word in many ways: full width, loose jamo, spaced out, drawn out, with digits for letters. The
view undoes that, so that a rule is written once. Each character of it knows the range of the original that it
came from; whoever masks or cuts does so by those positions. Linear in the text; knows no rule.
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
    compatible,
    draws_out,
    joined,
)

# What looks like a letter, where it stands beside a loose jamo (``싶0ㅓ``) or between Latin letters (``k1ll``).
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
# Nothing is done to words of syllables without a doubled one. Where three or more single ones stand in a row they may
# be one word, so that a stretch begins and ends with a word of two and has two between at the most.
_PLAIN: Final = re.compile(
    r"(?<!\S)(?:([가-힣])(?!\1)){2,}+"
    r"(?:[.?!]? (?:[가-힣][.?!]? ){0,2}(?:([가-힣])(?!\2)){2,}+(?=[.?!]?(?:\s|$)))*+"
    r"(?=[.?!]?(?:\s|$))"
)

Piece = tuple[str, int, int]
"""A character of the view, and the range of the original that it came from."""


@dataclass(frozen=True, slots=True)
class View:
    """A text as rules read it.

    Attributes:
        text: lower case NFKC; syllables put together, one space between words, repeats and marks inside words gone.
        starts: for each character of ``text``, where in the original it begins.
        ends: likewise, where it ends.
    """

    text: str
    starts: tuple[int, ...]
    ends: tuple[int, ...]

    def span(self, start: int, end: int) -> tuple[int, int]:
        """The range of the original that a non-empty range of ``text`` came from."""
        return self.starts[start], self.ends[end - 1]

    def begins_word(self, place: int) -> bool:
        """Whether something stood before this character that is not in the view, or nothing at all."""
        return place == 0 or self.starts[place] > self.ends[place - 1] or self.text[place - 1] == " "

    @property
    def has_gaps(self) -> bool:
        """Whether anything of the original was left out between two characters."""
        return any(start > end for start, end in zip(self.starts[1:], self.ends, strict=False))

    def without_spaces(self) -> "View":
        """The same without any space or mark, or digit inside a word: Korean is written with and without them."""
        is_kept = list(map(str.isalnum, self.text))
        for found in _DIGIT.finditer(self.text):
            is_kept[found.start()] &= not _is_wedged(self.text, found.start())
        kept = (compress(column, is_kept) for column in (self.starts, self.ends))
        return View("".join(compress(self.text, is_kept)), *map(tuple, kept))

    def without(self, char: str) -> "View":
        """The same without one character."""
        return _view([piece for piece in self._pieces() if piece[0] != char])

    def _pieces(self) -> Iterator[Piece]:
        return zip(self.text, self.starts, self.ends, strict=True)


def view_of(text: str) -> View:
    """The view of any text.

    1. Characters to NFKC and lower case, what shows nothing removed.
    2. Loose jamo, spaced out or not, and what stands in for one, to syllables.
    3. Laughter and tears removed, marks inside words too.
    4. Syllables that were spaced out one by one brought together.
    5. What was drawn out cut back.
    """
    pieces: list[Piece] = []
    place = 0
    for found in _PLAIN.finditer(text):
        _append(pieces, _worked_out(text, place, found.start()))
        _append(pieces, _taken_over(text, *found.span()))
        place = found.end()
    _append(pieces, _worked_out(text, place, len(text)))
    return _view(pieces)


def details_view(text: str) -> View:
    """The view for rules that read numbers and marks; nothing is left out but what shows nothing.

    Lower case NFKC, digits and their look-alikes as ASCII, each dash as ``-``, middle dots as ``.``, one space a gap.
    """
    pieces: list[Piece] = []
    for char, start, end in _folded(text, 0, len(text)):
        if char == " " and pieces and pieces[-1][0] == " ":
            pieces[-1] = (" ", pieces[-1][1], end)
        else:
            pieces.append((char.translate(_MARKS) if not char.isdecimal() else str(int(char)), start, end))
    view = _view(pieces)
    return View(_DIGITS_MEANT.sub(lambda run: run.group().translate(_AS_DIGITS), view.text), view.starts, view.ends)


def _append(pieces: list[Piece], more: list[Piece]) -> None:
    """Adds what stands behind a space."""
    if pieces and more:
        end = pieces[-1][2]
        pieces.append((" ", end, end + 1))
    pieces += more


def _taken_over(text: str, start: int, end: int) -> list[Piece]:
    """What is written as the rules are: words of syllables, a mark at the most between two of them."""
    pieces = list(zip(text[start:end], range(start, end), range(start + 1, end + 1), strict=True))
    marks = {found.start() for found in _END.finditer(text, start, end)}
    if not marks:
        return pieces
    return [(" " if place in marks else char, place, last) for char, place, last in pieces if place - 1 not in marks]


def _worked_out(text: str, start: int, end: int) -> list[Piece]:
    letters = _assembled(_bring_together(_lookalikes(list(_folded(text, start, end)))))
    return _cut_back(_bring_together(_without_marks(letters)))


def _is_wedged(text: str, place: int) -> bool:
    """Whether a digit stands alone between two letters of one word, as in ``죽1고``."""
    return 0 < place < len(text) - 1 and all("가" <= text[beside] <= "힣" for beside in (place - 1, place + 1))


def _view(pieces: Iterable[Piece]) -> View:
    letters, starts, ends = tuple(zip(*pieces, strict=True)) or ((), (), ())
    return View("".join(letters), starts, ends)


def _folded(text: str, place: int, length: int) -> Iterator[Piece]:
    """Each character of a range with what belongs to it (marks, conjoining jamo) as lower case NFKC."""
    while place < length:
        char = text[place]
        if "가" <= char <= "힣" or char == " ":
            following = text[place + 1] if place + 1 < length else " "
            if not ("\u0300" <= following <= "\u036f" or "\u1100" <= following <= "\u11ff"):
                yield char, place, place + 1
                place += 1
                continue
        end = place + 1
        while end < length and (CONJOINING.match(text, end) or unicodedata.combining(text[end])):
            end += 1
        for folded in _plain(text[place:end]):
            yield folded, place, end
        place = end


def _plain(cluster: str) -> Iterator[str]:
    # Compatibility jamo stay what they are: NFKC would make leads of them that never close a syllable.
    if len(cluster) == 1 and "ㄱ" <= cluster <= "ㅣ":
        yield cluster
        return
    for char in nfkc(cluster.translate(_APOSTROPHES)).lower():
        if char.isspace():
            yield " "
        elif char not in FILLERS and unicodedata.category(char)[0] not in "CM":
            yield compatible(char)


def _lookalikes(pieces: list[Piece]) -> list[Piece]:
    """Digits and letters that stand in for others, by what stands beside them."""
    last = len(pieces) - 1
    found = []
    for place, (char, start, end) in enumerate(pieces):
        if "가" <= char <= "힣" or char == " ":
            found.append((char, start, end))
            continue
        before = found[-1][0] if found else " "
        after = pieces[place + 1][0] if place < last else " "
        found.append((_meant(before, char, after), start, end))
    return found


def _meant(before: str, char: str, after: str) -> str:
    if char in _LEAD_LOOKALIKES and after in VOWEL_BY_JAMO and after not in TEARS:
        return _LEAD_LOOKALIKES[char]
    if char in _VOWEL_LOOKALIKES and before in LEAD_BY_JAMO and before not in LAUGHTER:
        return _VOWEL_LOOKALIKES[char]
    if char in _LATIN_LOOKALIKES and "a" <= before <= "z" and "a" <= after <= "z":
        return _LATIN_LOOKALIKES[char]
    if char in _DIGIT_LOOKALIKES and before.isdigit() and (after.isdigit() or after in "-. "):
        return _DIGIT_LOOKALIKES[char]
    return char


def _assembled(pieces: list[Piece]) -> list[Piece]:
    """Syllables out of loose jamo, as an input method makes them."""
    if not any("ㄱ" <= char <= "ㅣ" for char, _, _ in pieces):
        return pieces
    found: list[Piece] = []
    for place, piece in enumerate(pieces):
        char, _, end = piece
        if not ("ㄱ" <= char <= "ㅣ" and found):
            found.append(piece)
            continue
        after = "".join(char for char, _, _ in pieces[place + 1 : place + 3]) + "  "
        whole = joined(found[-1][0], char, after)
        if whole is None:
            found.append(piece)
        else:
            found[-1] = (whole, found[-1][1], end)
    return found


def _without_marks(pieces: list[Piece]) -> list[Piece]:
    """Laughter, tears and symbols gone, but for what stands between two ASCII characters: numbers, mail, English."""
    found: list[Piece] = []
    for place, piece in enumerate(pieces):
        char = piece[0]
        after = pieces[place + 1][0] if place + 1 < len(pieces) else " "
        if char.isalnum() and not _is_noise(found[-1][0] if found else " ", char, after):
            found.append(piece)
        elif found and found[-1][0] != " ":
            if char == " " or (char in _ENDS and after == " "):
                found.append((" ", piece[1], piece[2]))
            elif found[-1][0].isascii() and after.isascii() and after != " " and char.isascii():
                found.append(piece)
    return found[:-1] if found and found[-1][0] == " " else found


def _is_noise(before: str, char: str, after: str) -> bool:
    """Whether a letter is laughter or tears; beside another consonant it may stand for a word, as in ``ㅎㅇ``."""
    if char in LAUGHTER:
        return not any(letter in LEAD_BY_JAMO and letter not in LAUGHTER for letter in (before, after))
    return char in TEARS


def _bring_together(pieces: list[Piece]) -> list[Piece]:
    """``자 살 하 고`` is one word, and so is ``ㅈ ㅏ ㅅ ㅏ ㄹ``: of single letters in a row, the spaces go."""
    groups = [(is_space, list(group)) for is_space, group in groupby(pieces, key=lambda piece: piece[0] == " ")]
    words = [place for place, (is_space, _) in enumerate(groups) if not is_space]
    runs = _run_lengths([_is_single(groups[place][1]) for place in words])
    glued = {
        place + 1
        for place, run, following in zip(words, runs, runs[1:], strict=False)
        if run == following >= _SPACED_RUN
    }
    return [piece for place, (_, group) in enumerate(groups) if place not in glued for piece in group]


def _is_single(word: list[Piece]) -> bool:
    return len(word) == 1 and ("가" <= word[0][0] <= "힣" or "ㄱ" <= word[0][0] <= "ㅣ")


def _run_lengths(flags: list[bool]) -> list[int]:
    """For each flag, how many equal ones stand around it in a row; 0 for those that are not set."""
    lengths: list[int] = []
    for is_set, run in groupby(flags):
        count = len(list(run))
        lengths += [count if is_set else 0] * count
    return lengths


def _cut_back(pieces: list[Piece]) -> list[Piece]:
    """Three and more of one letter are one; so is a vowel that is drawn out (``죽고오오``). Digits stay."""
    found: list[Piece] = []
    for char, run in groupby(pieces, key=lambda piece: piece[0]):
        same = list(run)
        whole = (char, same[0][1], same[-1][2])
        if len(same) > 1 and found and draws_out(found[-1][0], char):
            found[-1] = (found[-1][0], found[-1][1], same[-1][2])
        elif len(same) >= _SAME_RUN and not char.isdigit():
            found.append(whole)
        else:
            found += same
    return found
