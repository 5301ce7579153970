"""Who is behind a question or an opinion: the id that is kept, and the key by which players are compared.

Ids that were kept by earlier releases go through the same functions when they are read.
"""

from typing import Final

from kogpt2_chat.domain.characters import nfc, without_invisible

_LEGACY: Final = "legacy:"


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
    name = normal_name(player)
    while name.startswith(_LEGACY):
        name = name.removeprefix(_LEGACY).strip()
    return name


def normal_name(name: str) -> str:
    """NFC, trimmed, without characters that show nothing: two names that look alike are one."""
    return nfc(without_invisible(name)).strip()
