"""What messages are made of: ids, looks, and what players see of players, bots and rooms."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from kogpt2_chat.domain.chat.bots import BOT_IDS

VERSION = 1
"""The protocol's version."""

Id = Annotated[str, Meta(min_length=1, max_length=40, pattern="^[A-Za-z0-9_-]+$")]
"""An id that the client chooses, so that a message sent twice counts once."""
Seat = Annotated[int, Meta(ge=0, le=0xFFFF)]
Tag = Annotated[str, Meta(pattern="^[a-z2-7]{16}$")]
"""A guest as other players know it: the same after reconnects, in new seats and at other gateways."""
Epoch = Annotated[str, Meta(pattern="^[0-9a-f]{16}$")]
"""Which count the numbers of a player's events belong to. Random: a new seat begins a new count."""
BotId = Annotated[str, Meta(pattern=f"^({'|'.join(BOT_IDS)})$")]
LookPart = Annotated[int, Meta(ge=0, le=15)]
EmoteKind = Literal["wave", "pick_up", "jump", "cheer", "sit"]
Stage = Literal["asleep", "ready", "training", "candidate", "new_version", "muted", "degraded"]
"""``asleep``: no worker is alive. The others are what a bot's model does; see :mod:`world.gateway.stages`."""


class Look(Struct, frozen=True):
    """How an avatar looks: numbers of a body, a hair style and colours, whose meaning only clients know."""

    body: LookPart = 0
    hair: LookPart = 0
    hair_color: LookPart = 0
    top: LookPart = 0
    bottom: LookPart = 0
    hat: LookPart = 0


class PlayerView(Struct, frozen=True):
    """A player as others see it.

    Attributes:
        x: metres to the east.
        z: metres to the south.
        yaw: direction, 256 steps per turn.
        tag: says who the player is, also in another seat or under another name; a client blocks by it.
    """

    seat: int
    name: str
    look: Look
    x: float
    z: float
    yaw: int
    tag: str


class BotView(Struct, frozen=True):
    """A bot as players see it.

    Attributes:
        stage: what its model does.
        version: the version that answers; 0 if there is none.
        learned: number of pairs that the version learned from players.
    """

    bot: str
    stage: Stage
    version: int = 0
    learned: int = 0


class RoomView(Struct, frozen=True):
    """A room in the list of rooms.

    Attributes:
        url: address of the gateway that has the room; empty for the gateway that the player is connected to.
    """

    room: int
    players: int
    seats: int
    url: str = ""
