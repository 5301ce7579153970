"""Players' names: which are allowed, and which count as the same name."""

import re
import unicodedata
from typing import Final

from kogpt2_chat.domain.chat.bots import BOTS
from kogpt2_chat.domain.text.characters import nfc, nfkc, shows_nothing, without_invisible
from kogpt2_chat.domain.text.view import view_of
from world.gateway.refused import Refused

MIN_CHARS: Final = 2
MAX_CHARS: Final = 16
_STAFF: Final = (
    *("운영자", "관리자", "별마루", "시스템", "공지", "도우미"),
    *("admin", "administrator", "moderator", "operator", "system", "support", "gm", "npc"),
)
_AFFIX: Final = re.compile(
    r"^(?:공식|진짜|찐|real|the|npc|bot)+|(?:님|씨|봇|챗봇|엔피시|공식|진짜|bot|npc|official|real|\d)+$"
)
"""What may stand around a reserved name without making it another one: ``진짜 마루``, ``마루봇``, ``마루2``."""
_LATIN_BY_LOOKALIKE: Final = {
    # Cyrillic and Greek letters that look like Latin ones in common fonts: a part of the confusables of UTS #39.
    **dict(zip("аеосурхіјѕԁһӏԛԝькмнтв", "aeocypxijsdhlqwbkmhtb", strict=True)),
    **dict(zip("αοικνρτυχγε", "aoikvptuxye", strict=True)),
    **dict(zip("ıɑɡℓ|0135", "iaglloles", strict=True)),
}
_LATIN: Final = str.maketrans(_LATIN_BY_LOOKALIKE)
_SYMBOLS: Final = frozenset(" _-.'~!?{}[]()·♥♡★☆^*+=&#")
_MAX_MARKS: Final = 2


def checked_name(name: str) -> str:
    """Return a player's name as others see it: NFC, with single spaces.

    Args:
        name: as the player typed it.

    Returns:
        The name.

    Raises:
        Refused: the name is too short, too long, has characters that are not allowed, or belongs to a bot or the staff.
    """
    shown = nfc(" ".join(without_invisible(name[: MAX_CHARS * 8]).split()))
    if not MIN_CHARS <= len(shown) <= MAX_CHARS:
        raise Refused("name_length", f"a name has {MIN_CHARS} to {MAX_CHARS} characters, found {len(shown)}")
    if shows_nothing(shown) or not all(map(_is_allowed, shown)) or _has_many_marks(shown) or not _has_letter(shown):
        raise Refused("name_characters", "a name has letters, digits and simple punctuation")
    if is_reserved(shown):
        raise Refused("name_reserved", "the name belongs to a bot or to the staff")
    return shown


def name_key(name: str) -> str:
    """Return the key of a name: names with the same key look alike and cannot be in the world at the same time.

    Upper case, full width, spaces, punctuation and look-alike letters of other scripts make no difference.
    """
    folded = nfkc(without_invisible(name)).casefold()
    if re.search("[a-zа-яα-ω]", folded):
        folded = folded.translate(_LATIN)
    letters = "".join(char for char in nfkc(folded) if char.isalnum())
    return letters or "".join(folded.split())


def is_reserved(name: str) -> bool:
    """Return whether a name is that of a bot or of the staff, in any spelling."""
    spellings = {name_key(name), name_key(view_of(name).without_spaces().text)}
    return any(_without_affixes(spelling) in _RESERVED or spelling in _RESERVED for spelling in spellings)


def _without_affixes(key: str) -> str:
    return _AFFIX.sub("", key)


def _is_allowed(char: str) -> bool:
    return char in _SYMBOLS or unicodedata.category(char)[0] in "LN" or unicodedata.category(char) in {"Mn", "Mc"}


def _has_letter(name: str) -> bool:
    return any(unicodedata.category(char)[0] in "LN" for char in name)


def _has_many_marks(name: str) -> bool:
    """Return whether marks are stacked so high that the name would cover other lines."""
    marks = 0
    for char in unicodedata.normalize("NFD", name):
        marks = marks + 1 if unicodedata.combining(char) else 0
        if marks > _MAX_MARKS:
            return True
    return False


_RESERVED: Final = frozenset(
    name_key(name) for name in (*(bot.name for bot in BOTS), *(bot.id for bot in BOTS), "chatbot", *_STAFF)
)
