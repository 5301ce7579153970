"""Who is behind a question or an opinion: the id that is kept, and the key by which players are compared.

Ids that were kept by earlier releases go through the same functions when they are read.
"""

import re
from hashlib import sha256
from typing import Final

from kogpt2_chat.domain.characters import nfc, without_invisible
from kogpt2_chat.domain.masking import mask_pii

_LEGACY: Final = "legacy:"
_DIGEST_CHARS: Final = 8
_LEGACIES: Final = re.compile(rf"(?:{_LEGACY}\s*+)*+")


def player_id(sender_id: str | None, sender: str) -> str:
    """The id of a question's player: the sender's id where there is one, else ``legacy:SENDER``.

    Args:
        sender_id: as the client sent it.
        sender: likewise.

    Returns:
        The id in normal form (see :func:`normal_name`).
    """
    return normal_name(sender_id or "") or _LEGACY + normal_name(sender)


def player_key(player: str) -> str:
    """By what two players are found to be one; ``민수`` and ``legacy:민수`` are.

    Args:
        player: a player id, of a turn, a feedback or a row, of any release.

    Returns:
        The key. It is its own key.
    """
    return _bare(kept_player(player))


def kept_player(player: str) -> str:
    """The id as it is kept: where it is a phone number or the like, that is masked, and a digest tells players apart.

    Args:
        player: a player id.

    Returns:
        The id, in normal form. Kept again, it stays what it is.
    """
    name = normal_name(player)
    bare = _bare(name)
    masked, hits = mask_pii(bare)
    if not hits:
        return name
    digest = sha256(bare.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST_CHARS]
    return f"{name.removesuffix(bare)}{masked}#{digest}"


def _bare(name: str) -> str:
    prefix = _LEGACIES.match(name)
    return name[prefix.end() :] if prefix else name


def normal_name(name: str) -> str:
    """NFC, trimmed, without characters that show nothing: two names that look alike are one."""
    return nfc(without_invisible(name)).strip()
