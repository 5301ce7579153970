"""One view of a text for every rule that looks for words, with a way back to where they stand.

Players write one word in many ways: full width, loose jamo, spaced out, drawn out, with digits for letters. The
view undoes that, so that a rule is written once. Each character of it knows the range of the original that it
came from; whoever masks or cuts does so by those positions. Linear in the text; knows no rule.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Final

_LEADS: Final = "ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ"
_VOWELS: Final = "ㅏㅐㅑㅒㅓㅔㅕㅖㅗㅘㅙㅚㅛㅜㅝㅞㅟㅠㅡㅢㅣ"
_TAILS: Final[tuple[str, ...]] = ("", *"ㄱㄲㄳㄴㄵㄶㄷㄹㄺㄻㄼㄽㄾㄿㅀㅁㅂㅄㅅㅆㅇㅈㅊㅋㅌㅍㅎ")
_LEAD_BY_JAMO: Final = {jamo: number for number, jamo in enumerate(_LEADS)}
_VOWEL_BY_JAMO: Final = {jamo: number for number, jamo in enumerate(_VOWELS)}
_TAIL_BY_JAMO: Final = {jamo: number for number, jamo in enumerate(_TAILS) if jamo}
_VOWEL_BY_PAIR: Final = {
    "ㅗㅏ": "ㅘ",
    "ㅗㅐ": "ㅙ",
    "ㅗㅣ": "ㅚ",
    "ㅜㅓ": "ㅝ",
    "ㅜㅔ": "ㅞ",
    "ㅜㅣ": "ㅟ",
    "ㅡㅣ": "ㅢ",
}
_TAIL_BY_PAIR: Final = dict(
    zip(
        ("ㄱㅅ", "ㄴㅈ", "ㄴㅎ", "ㄹㄱ", "ㄹㅁ", "ㄹㅂ", "ㄹㅅ", "ㄹㅌ", "ㄹㅍ", "ㄹㅎ", "ㅂㅅ"),
        "ㄳㄵㄶㄺㄻㄼㄽㄾㄿㅀㅄ",
        strict=True,
    )
)
_LAUGHTER: Final = frozenset("ㅋㅎ")
_TEARS: Final = frozenset("ㅠㅜ")
_FIRST, _LAST = 0xAC00, 0xD7A3
_SILENT_LEAD: Final = 11
# What looks like a letter, where it stands beside a loose jamo (``싶0ㅓ``) or between Latin letters (``k1ll``).
_LEAD_LOOKALIKES: Final = {"0": "ㅇ", "o": "ㅇ", "7": "ㄱ"}
_VOWEL_LOOKALIKES: Final = {"1": "ㅣ", "l": "ㅣ", "i": "ㅣ", "!": "ㅣ", "r": "ㅏ", "h": "ㅐ", "-": "ㅡ", "_": "ㅡ"}
_LATIN_LOOKALIKES: Final = {"0": "o", "1": "i", "3": "e", "4": "a", "5": "s", "7": "t", "$": "s", "!": "i"}
_DIGIT_LOOKALIKES: Final = {"o": "0", "l": "1", "i": "1"}
_JAMO_FORMS: Final = re.compile("[\u1100-\u11ff\ua960-\ua97f\ud7b0-\ud7ff]")
_SAME_RUN: Final = 3
_SPACED_RUN: Final = 3
_ENDS: Final = ".?!"
_APOSTROPHES: Final = str.maketrans("\u2019\u2018\u00b4`", "''''")
_BLANK: Final = "\u115f\u1160\u3164\uffa0\u2800"

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
        pieces = list(self._pieces())
        kept = [piece for place, piece in enumerate(pieces) if piece[0].isalnum() and not _is_wedged(pieces, place)]
        return _view(kept)

    def without(self, char: str) -> "View":
        """The same without one character."""
        return _view([piece for piece in self._pieces() if piece[0] != char])

    def _pieces(self) -> Iterator[Piece]:
        return zip(self.text, self.starts, self.ends, strict=True)


def view_of(text: str) -> View:
    """The view of any text.

    1. Characters to NFKC and lower case, what shows nothing removed.
    2. Loose jamo, and what stands in for one, to syllables.
    3. Laughter and tears removed, marks inside words too.
    4. Letters that were spaced out one by one brought together.
    5. What was drawn out cut back.
    """
    return _view(_cut_back(_bring_together(_without_marks(_assembled(_lookalikes(list(_folded(text))))))))


def _is_wedged(pieces: list[Piece], place: int) -> bool:
    """Whether a digit stands alone between two letters of one word, as in ``죽1고``."""
    if not pieces[place][0].isdigit() or not 0 < place < len(pieces) - 1:
        return False
    return all("가" <= pieces[beside][0] <= "힣" for beside in (place - 1, place + 1))


def _view(pieces: Iterable[Piece]) -> View:
    listed = list(pieces)
    return View(
        "".join(char for char, _, _ in listed),
        tuple(start for _, start, _ in listed),
        tuple(end for _, _, end in listed),
    )


def _folded(text: str) -> Iterator[Piece]:
    """Each character with what belongs to it (marks, conjoining jamo) as lower case NFKC."""
    place, length = 0, len(text)
    while place < length:
        char = text[place]
        if "가" <= char <= "힣" or char == " ":
            following = text[place + 1] if place + 1 < length else " "
            if not ("\u0300" <= following <= "\u036f" or "\u1100" <= following <= "\u11ff"):
                yield char, place, place + 1
                place += 1
                continue
        end = place + 1
        while end < length and (_JAMO_FORMS.match(text, end) or unicodedata.combining(text[end])):
            end += 1
        for folded in _plain(text[place:end]):
            yield folded, place, end
        place = end


def _plain(cluster: str) -> Iterator[str]:
    # Compatibility jamo stay what they are: NFKC would make leads of them that never close a syllable.
    if len(cluster) == 1 and "ㄱ" <= cluster <= "ㅣ":
        yield cluster
        return
    for char in unicodedata.normalize("NFKC", cluster.translate(_APOSTROPHES)).lower():
        if char.isspace():
            yield " "
        elif char not in _BLANK and unicodedata.category(char)[0] not in "CM":
            yield _compatible(char)


def _compatible(char: str) -> str:
    """A conjoining jamo that stands alone, as the jamo that is typed."""
    if not _JAMO_FORMS.match(char):
        return char
    code = ord(char)
    if 0x1100 <= code <= 0x1112:  # noqa: PLR2004 - Unicode's blocks
        return _LEADS[code - 0x1100]
    if 0x1161 <= code <= 0x1175:  # noqa: PLR2004
        return _VOWELS[code - 0x1161]
    if 0x11A8 <= code <= 0x11C2:  # noqa: PLR2004
        return _TAILS[code - 0x11A7]
    return char


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
    if char in _LEAD_LOOKALIKES and after in _VOWEL_BY_JAMO and after not in _TEARS:
        return _LEAD_LOOKALIKES[char]
    if char in _VOWEL_LOOKALIKES and before in _LEAD_BY_JAMO and before not in _LAUGHTER:
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
        joined = _joined(found[-1][0], char, after)
        if joined is None:
            found.append(piece)
        else:
            found[-1] = (joined, found[-1][1], end)
    return found


def _joined(before: str, jamo: str, after: str) -> str | None:
    """The syllable that a jamo makes with what stands before it; None where it makes none."""
    if jamo in _VOWEL_BY_JAMO:
        if before in _LEAD_BY_JAMO and not (before in _LAUGHTER and jamo in _TEARS):
            return chr(_FIRST + (_LEAD_BY_JAMO[before] * len(_VOWELS) + _VOWEL_BY_JAMO[jamo]) * len(_TAILS))
        if _is_open(before):
            pair = _VOWEL_BY_PAIR.get(_vowel(before) + jamo)
            wider = 0 if pair is None else _VOWEL_BY_JAMO[pair] - _vowel_number(before)
            return chr(ord(before) + wider * len(_TAILS)) if wider else None
        return None
    tail = _tail(before, jamo)
    # ``주ㄱ고``: a consonant closes the syllable before it where another syllable, or the end of the word, follows.
    is_syllable = "가" <= after[0] <= "힣" or (after[0] in _LEAD_BY_JAMO and after[1] in _VOWEL_BY_JAMO)
    comes_more = after[0] in _LEAD_BY_JAMO and tail + after[0] in _TAIL_BY_PAIR
    if tail and (after[0] == " " or is_syllable or comes_more):
        return chr(ord(before) - (ord(before) - _FIRST) % len(_TAILS) + _TAIL_BY_JAMO[tail])
    return None


def _tail(before: str, jamo: str) -> str:
    """What a consonant makes of the end of a syllable; nothing where it cannot belong to it."""
    if not _FIRST <= ord(before) <= _LAST:
        return ""
    present = _TAILS[(ord(before) - _FIRST) % len(_TAILS)]
    if present:
        return _TAIL_BY_PAIR.get(present + jamo, "")
    return jamo if jamo in _TAIL_BY_JAMO and jamo not in _LAUGHTER else ""


def _is_open(char: str) -> bool:
    return _FIRST <= ord(char) <= _LAST and (ord(char) - _FIRST) % 28 == 0


def _vowel_number(syllable: str) -> int:
    return (ord(syllable) - _FIRST) // 28 % 21


def _vowel(syllable: str) -> str:
    return _VOWELS[_vowel_number(syllable)]


def _without_marks(pieces: list[Piece]) -> list[Piece]:
    """Laughter, tears and symbols gone, but for what stands between two ASCII characters: numbers, mail, English."""
    found: list[Piece] = []
    for place, piece in enumerate(pieces):
        char = piece[0]
        if char.isalnum() and char not in _LAUGHTER and char not in _TEARS:
            found.append(piece)
        elif found and found[-1][0] != " ":
            after = pieces[place + 1][0] if place + 1 < len(pieces) else " "
            if char == " " or (char in _ENDS and after == " "):
                found.append((" ", piece[1], piece[2]))
            elif found[-1][0].isascii() and after.isascii() and after != " " and char.isascii():
                found.append(piece)
    return found


def _bring_together(pieces: list[Piece]) -> list[Piece]:
    """``자 살 하 고`` is one word: of single syllables in a row, the spaces go."""
    words = [list(word) for is_space, word in groupby(pieces, key=lambda piece: piece[0] == " ") if not is_space]
    spaces = [piece for piece in pieces if piece[0] == " "]
    singles = [len(word) == 1 and "가" <= word[0][0] <= "힣" for word in words]
    found: list[Piece] = []
    run = _run_lengths(singles)
    for place, word in enumerate(words):
        if place and not (run[place] >= _SPACED_RUN and run[place - 1] == run[place] and singles[place]):
            found.append(spaces[place - 1])
        found += word
    return found


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
        if len(same) > 1 and found and _draws_out(found[-1][0], char):
            found[-1] = (found[-1][0], found[-1][1], same[-1][2])
        elif len(same) >= _SAME_RUN and not char.isdigit():
            found.append(whole)
        else:
            found += same
    return found


def _draws_out(before: str, char: str) -> bool:
    return (
        _is_open(before)
        and _is_open(char)
        and (ord(char) - _FIRST) // 588 == _SILENT_LEAD
        and _vowel_number(before) == _vowel_number(char)
    )
