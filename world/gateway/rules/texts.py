"""The texts that players send: cleaned, and with a limit in code points."""

from kogpt2_chat.domain.text.characters import one_line, shows_nothing, without_hidden
from world.gateway.refused import Refused


def checked_text(text: str, most: int) -> str:
    """Return a text as others see it: NFC, on one line, without control and invisible characters.

    Args:
        text: as the player typed it.
        most: the most code points.

    Returns:
        The text.

    Raises:
        Refused: nothing of it is visible, or it is too long.
    """
    if shows_nothing(text):
        raise Refused("text_empty", "expected a visible character")
    cleaned = one_line(without_hidden(text))
    if len(cleaned) > most:
        raise Refused("text_length", f"expected at most {most} characters, found {len(cleaned)}")
    return cleaned
