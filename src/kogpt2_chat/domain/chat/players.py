"""Identity of players: the id that is stored, and the key that decides whether two ids are the same player.

Ids that earlier releases stored go through the same functions when they are read.
"""

import re
from hashlib import sha256
from typing import Final

from kogpt2_chat.domain.text.characters import nfc, without_invisible
from kogpt2_chat.domain.text.masking import mask_pii

_LEGACY: Final = "legacy:"
_BLANK: Final = "[보이지 않는 이름]"
_DIGEST_CHARS: Final = 8
_PREFIXES: Final = re.compile(rf"(?:{_LEGACY}\s*+)*+")


def player_id(sender_id: str | None, sender: str) -> str:
    """Return the player id of a question: ``sender_id`` if it has a visible character, else ``legacy:SENDER``.

    Args:
        sender_id: as the client sent it.
        sender: as the client sent it.

    Returns:
        The id in normal form (see :func:`normal_name`). An invisible sender is replaced as in :func:`masked_player`.
    """
    return normal_name(sender_id or "") or _LEGACY + _readable(sender)


def player_key(player: str) -> str:
    """Return the key that identifies a player; ``민수`` and ``legacy:민수`` have the same key.

    Args:
        player: a player id from a turn, a feedback or a row, of any release.

    Returns:
        The key. The key of a key is that key. It is empty if there is no name; an empty key does not identify a player
        and must not match another empty key.
    """
    return _bare(masked_player(player))


def masked_player(player: str) -> str:
    """Return a player id as it is stored: without personal data, and with a visible name.

    Personal data such as a phone number is masked, and an invisible name is replaced by a placeholder. Both are
    followed by a digest, so that different players keep different ids.

    Args:
        player: a player id.

    Returns:
        The id in normal form. Applying the function again does not change it.
    """
    name = _readable(player)
    bare = _bare(name)
    masked, hits = mask_pii(bare)
    return f"{name.removesuffix(bare)}{masked}#{_digest(bare)}" if hits else name


def _readable(name: str) -> str:
    """Return a name in normal form, or a placeholder with a digest if no character is visible."""
    normal = normal_name(name)
    if _bare(normal):
        return normal
    invisible = "".join(char for char in name if not ((char.isascii() and char.isspace()) or normal_name(char)))
    return f"{normal}{_BLANK}#{_digest(invisible)}" if invisible else normal


def _digest(name: str) -> str:
    return sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST_CHARS]


def _bare(name: str) -> str:
    prefix = _PREFIXES.match(name)
    return name[prefix.end() :] if prefix else name


def says_minor(value: object) -> bool:
    """Return what the field ``minor`` of a question or a feedback says about the player.

    Only false, null and a missing field mean an adult. Any other value counts as a minor: a client that writes ``1`` or
    ``"yes"`` means a minor, and the mistake of not learning from an adult is harmless.
    """
    return value is not None and value is not False


def normal_name(name: str) -> str:
    """Return a name in NFC, trimmed and without invisible characters, so that names that look alike are equal."""
    return nfc(without_invisible(name)).strip()
