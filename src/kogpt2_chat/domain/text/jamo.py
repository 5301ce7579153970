"""Composition of Hangul syllables from single letters (jamo).

Letters are compatibility jamo, which is what keyboards produce. The functions work on single characters.
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


def compatibility_jamo(char: str) -> str:
    """Return the compatibility jamo for a conjoining jamo; other characters are returned unchanged."""
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


def compose(before: str, jamo: str, after: str) -> str | None:
    """Return the syllable that a jamo forms with the character before it, or None.

    ``after`` is the text after the jamo, padded with spaces to two characters or more.
    """
    if jamo in VOWEL_BY_JAMO:
        if before in LEAD_BY_JAMO and not (before in LAUGHTER and jamo in TEARS):
            return chr(_FIRST + (LEAD_BY_JAMO[before] * len(VOWELS) + VOWEL_BY_JAMO[jamo]) * len(_TAILS))
        if _is_open(before):
            pair = _VOWEL_BY_PAIR.get(_vowel(before) + jamo)
            shift = 0 if pair is None else VOWEL_BY_JAMO[pair] - _vowel_number(before)
            return chr(ord(before) + shift * len(_TAILS)) if shift else None
        return None
    tail = _tail(before, jamo)
    # A consonant closes the syllable before it if another syllable or the end of the word follows: ``주ㄱ고``.
    is_syllable = "가" <= after[0] <= "힣" or (after[0] in LEAD_BY_JAMO and after[1] in VOWEL_BY_JAMO)
    is_double_tail = after[0] in LEAD_BY_JAMO and tail + after[0] in _TAIL_BY_PAIR
    if tail and (after[0] == " " or is_syllable or is_double_tail):
        return chr(ord(before) - (ord(before) - _FIRST) % len(_TAILS) + _TAIL_BY_JAMO[tail])
    return None


def _tail(before: str, jamo: str) -> str:
    """Return the tail that a consonant forms with the end of a syllable; empty if it cannot belong to it."""
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


def repeats_vowel(before: str, char: str) -> bool:
    """Check whether a syllable only repeats the vowel of the one before it, as in ``죽고오오``."""
    return (
        _is_open(before)
        and _is_open(char)
        and (ord(char) - _FIRST) // 588 == _SILENT_LEAD
        and _vowel_number(before) == _vowel_number(char)
    )
