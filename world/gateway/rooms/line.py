"""What somebody said, kept in memory for a short while so that it can be reported."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of the public chat, or a whisper.

    Attributes:
        id: unique in the world.
        guest_id: who said it.
        name: the name that this player had then.
    """

    id: str
    guest_id: str
    name: str
    text: str
