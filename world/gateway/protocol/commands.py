"""What a client sends: JSON with the command's name in the field ``t``.

Unknown fields of a command are ignored; an unknown command is refused.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from world.gateway.protocol.views import BotId, EmoteKind, Epoch, Id, Look, Seat, Tag
from world.gateway.refused import Refused

MAX_FRAME_BYTES = 6 * 1024
"""The largest command is `enter` with a full list of blocked players."""
MAX_BLOCKED = 200
MAX_CHAT_CHARS = 300
MAX_QUESTION_CHARS = 300

Text = Annotated[str, Meta(min_length=1, max_length=1200)]
"""Bounded before it is cleaned; the limits in code points are checked afterwards."""
TurnId = Annotated[str, Meta(min_length=1, max_length=80, pattern="^[A-Za-z0-9_.-]+$")]


class Command(Struct, frozen=True, tag_field="t", tag=str.lower):
    """What a client sends."""


class Enter(Command, frozen=True):
    """Enter the world; the first command of a connection.

    Attributes:
        v: version of the protocol.
        look: the avatar; None for the one of the seat that is held, or the first one.
        room: the wanted room; None for the first one with players and a free seat.
        last: the number of the last event that this client has seen, if it was connected before.
        seat: the seat that it had then. A seat that has been given away in between has other events.
        epoch: the epoch of the welcome that it got then. Only events of the same epoch are sent again.
        waiting: ids of questions whose answer the client still waits for.
        blocked: tags of all players from whom this one wants to get nothing.
    """

    v: Literal[1]
    look: Look | None = None
    room: Annotated[int, Meta(ge=1, le=9999)] | None = None
    last: Annotated[int, Meta(ge=0)] | None = None
    seat: Seat | None = None
    epoch: Epoch | None = None
    waiting: Annotated[list[Id], Meta(max_length=8)] = []
    blocked: Annotated[list[Tag], Meta(max_length=MAX_BLOCKED)] = []


class Leave(Command, frozen=True):
    """Leave the world: the seat is free at once, and the gateway closes the connection."""


class Say(Command, frozen=True):
    """Say something to everyone in the room."""

    id: Id
    text: Text


class Whisper(Command, frozen=True):
    """Say something to one player."""

    id: Id
    to: Seat
    text: Text


class Emote(Command, frozen=True):
    """Move the body, for all to see."""

    kind: EmoteKind


class Dress(Command, frozen=True):
    """Change the avatar's look."""

    look: Look


class Ask(Command, frozen=True):
    """Ask a bot.

    Attributes:
        shared: whether players near the bot may see the question and the answer.
    """

    id: Id
    bot: BotId
    text: Text
    shared: bool = False


class Rate(Command, frozen=True):
    """Put a thumb on an answer."""

    turn: TurnId
    up: bool


class Teach(Command, frozen=True):
    """Say what the bot should have answered."""

    turn: TurnId
    text: Text


class ReportTurn(Command, frozen=True, tag="report_turn"):
    """Report an answer of a bot."""

    turn: TurnId
    text: Annotated[str, Meta(max_length=1200)] = ""


class ReportPlayer(Command, frozen=True, tag="report_player"):
    """Report a player, a line of the chat, or a whisper that this player got; the lines before it go with it."""

    seat: Seat
    line: Id | None = None
    text: Annotated[str, Meta(max_length=1200)] = ""


class Block(Command, frozen=True):
    """Get nothing from a player any more, or get it again. The player need not be there."""

    tag: Tag
    blocked: bool = True


class Consent(Command, frozen=True):
    """Change what may be stored and learned."""

    store: bool
    learn: bool


class Travel(Command, frozen=True):
    """Step through a portal.

    Attributes:
        portal: its number in the list of portals.
    """

    portal: Annotated[int, Meta(ge=0, le=255)]


class Go(Command, frozen=True):
    """Go to another room."""

    room: Annotated[int, Meta(ge=1, le=9999)]


class ListRooms(Command, frozen=True, tag="rooms"):
    """List the rooms; answered with ``rooms``."""


class Ping(Command, frozen=True):
    """Say that the client lives; answered with ``pong``."""

    at: float = 0.0


AnyCommand = (
    Enter | Leave | Say | Whisper | Emote | Dress | Ask | Rate | Teach | ReportTurn | ReportPlayer | Block | Consent
    | Travel | Go | ListRooms | Ping
)  # fmt: skip
_DECODER: msgspec.json.Decoder[AnyCommand] = msgspec.json.Decoder(AnyCommand)


def read_command(text: str | bytes) -> AnyCommand:
    """Read a command.

    Raises:
        Refused: it is too large, not JSON, unknown, or a field is missing or has a wrong type.
    """
    size = len(text)
    if size > MAX_FRAME_BYTES:
        raise Refused("message", f"a message has at most {MAX_FRAME_BYTES} bytes, found {size}")
    try:
        return _DECODER.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise Refused("message", f"unreadable command: {type(error).__name__}") from None
