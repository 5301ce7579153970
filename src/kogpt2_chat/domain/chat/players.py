"""Who is behind a question or an opinion: the id that is kept, and the key by which players are compared.

Ids that were kept by earlier releases go through the same functions when they are read.
"""

import re
from hashlib import sha256
from typing import Final

from kogpt2_chat.domain.text.characters import nfc, without_invisible
from kogpt2_chat.domain.text.masking import mask_pii

_LEGACY: Final = "legacy:"
_BLANK: Final = "[보이지 않는 이름]"
_DIGEST_CHARS: Final = 8
_LEGACIES: Final = re.compile(rf"(?:{_LEGACY}\s*+)*+")


def player_id(sender_id: str | None, sender: str) -> str:
    """The id of a question's player: the sender's id where there is one that can be seen, else ``legacy:SENDER``.

    Args:
        sender_id: as the client sent it.
        sender: likewise.

    Returns:
        The id in normal form (see :func:`normal_name`); a name of which nothing can be seen as :func:`kept_player`
        keeps it.
    """
    return normal_name(sender_id or "") or _LEGACY + _readable(sender)


def player_key(player: str) -> str:
    """By what two players are found to be one; ``민수`` and ``legacy:민수`` are.

    Args:
        player: a player id, of a turn, a feedback or a row, of any release.

    Returns:
        The key. It is its own key. Empty where there is no name at all: that is nobody, and equal to nobody.
    """
    return _bare(kept_player(player))


def kept_player(player: str) -> str:
    """The id as it is kept: something that can be read, and a digest that tells players apart where that is a mask.

    A phone number or the like is masked; a name of which nothing can be seen is called so.

    Args:
        player: a player id.

    Returns:
        The id, in normal form. Kept again, it stays what it is.
    """
    name = _readable(player)
    bare = _bare(name)
    masked, hits = mask_pii(bare)
    return f"{name.removesuffix(bare)}{masked}#{_digest(bare)}" if hits else name


def _readable(name: str) -> str:
    """In normal form; where nothing of it can be seen, a digest of what there is stands for it."""
    normal = normal_name(name)
    if _bare(normal):
        return normal
    unseen = "".join(char for char in name if not ((char.isascii() and char.isspace()) or normal_name(char)))
    return f"{normal}{_BLANK}#{_digest(unseen)}" if unseen else normal


def _digest(name: str) -> str:
    return sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST_CHARS]


def _bare(name: str) -> str:
    prefix = _LEGACIES.match(name)
    return name[prefix.end() :] if prefix else name


def normal_name(name: str) -> str:
    """NFC, trimmed, without characters that show nothing: two names that look alike are one."""
    return nfc(without_invisible(name)).strip()
