"""Hangul by its letters: what makes a syllable, what a syllable ends with, what one draws out.

Letters are compatibility jamo, as they are typed. Knows no text.
"""

import re
from typing import Final

LEADS: Final = "ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ"
VOWELS: Final = "ㅏㅐㅑㅒㅓㅔㅕㅖㅗㅘㅙㅚㅛㅜㅝㅞㅟㅠㅡㅢㅣ"
_TAILS: Final[tuple[str, ...]] = ("", *"ㄱㄲㄳㄴㄵㄶㄷㄹㄺㄻㄼㄽㄾㄿㅀㅁㅂㅄㅅㅆㅇㅈㅊㅋㅌㅍㅎ")
LEAD_BY_JAMO: Final = {jamo: number for number, jamo in enumerate(LEADS)}
VOWEL_BY_JAMO: Final = {jamo: number for number, jamo in enumerate(VOWELS)}
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
LAUGHTER: Final = frozenset("ㅋㅎ")
TEARS: Final = frozenset("ㅠㅜ")
CONJOINING: Final = re.compile("[\u1100-\u11ff\ua960-\ua97f\ud7b0-\ud7ff]")
_FIRST, _LAST = 0xAC00, 0xD7A3
_SILENT_LEAD: Final = 11


def compatible(char: str) -> str:
    """A conjoining jamo that stands alone, as the jamo that is typed."""
    if not CONJOINING.match(char):
        return char
    code = ord(char)
    if 0x1100 <= code <= 0x1112:  # noqa: PLR2004 - Unicode's blocks
        return LEADS[code - 0x1100]
    if 0x1161 <= code <= 0x1175:  # noqa: PLR2004
        return VOWELS[code - 0x1161]
    if 0x11A8 <= code <= 0x11C2:  # noqa: PLR2004
        return _TAILS[code - 0x11A7]
    return char


def joined(before: str, jamo: str, after: str) -> str | None:
    """The syllable that a jamo makes with what stands before it; None where it makes none."""
    if jamo in VOWEL_BY_JAMO:
        if before in LEAD_BY_JAMO and not (before in LAUGHTER and jamo in TEARS):
            return chr(_FIRST + (LEAD_BY_JAMO[before] * len(VOWELS) + VOWEL_BY_JAMO[jamo]) * len(_TAILS))
        if _is_open(before):
            pair = _VOWEL_BY_PAIR.get(_vowel(before) + jamo)
            wider = 0 if pair is None else VOWEL_BY_JAMO[pair] - _vowel_number(before)
            return chr(ord(before) + wider * len(_TAILS)) if wider else None
        return None
    tail = _tail(before, jamo)
    # ``주ㄱ고``: a consonant closes the syllable before it where another syllable, or the end of the word, follows.
    is_syllable = "가" <= after[0] <= "힣" or (after[0] in LEAD_BY_JAMO and after[1] in VOWEL_BY_JAMO)
    comes_more = after[0] in LEAD_BY_JAMO and tail + after[0] in _TAIL_BY_PAIR
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
    return jamo if jamo in _TAIL_BY_JAMO and jamo not in LAUGHTER else ""


def _is_open(char: str) -> bool:
    return _FIRST <= ord(char) <= _LAST and (ord(char) - _FIRST) % 28 == 0


def _vowel_number(syllable: str) -> int:
    return (ord(syllable) - _FIRST) // 28 % 21


def _vowel(syllable: str) -> str:
    return VOWELS[_vowel_number(syllable)]


def draws_out(before: str, char: str) -> bool:
    """Whether a syllable is nothing but the vowel of the one before it, as in ``죽고오오``."""
    return (
        _is_open(before)
        and _is_open(char)
        and (ord(char) - _FIRST) // 588 == _SILENT_LEAD
        and _vowel_number(before) == _vowel_number(char)
    )
