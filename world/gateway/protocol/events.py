"""What the gateway sends: JSON with the event's name in the field ``t``.

Every event has a number ``n``, which counts the events of one player. A client that connects again says the last one
that it has seen, and gets the later ones again.
"""

from typing import Literal

import msgspec
from msgspec import Struct

from world.gateway.protocol.views import BotView, EmoteKind, Look, PlayerView, RoomView
from world.gateway.refused import Reason


class Event(Struct, frozen=True, tag_field="t", tag=str.lower, omit_defaults=True):
    """What the gateway sends."""


class Welcome(Event, frozen=True):
    """The first event: where the player is, and who else is there.

    Attributes:
        v: version of the protocol.
        name: the player's name, as others see it.
        room: number of the room.
        seats: how many players the room takes.
        x: where the player stands, in metres to the east.
        z: in metres to the south.
        tick_hz: how often positions are sent at most.
        you: the player's seat; its entry in ``players`` has the player's tag.
        epoch: which count the events' numbers belong to; a client that comes back sends it in ``enter``.
    """

    v: int
    epoch: str
    you: int
    name: str
    room: int
    seats: int
    x: float
    z: float
    tick_hz: int
    store: bool
    learn: bool
    minor: bool
    players: list[PlayerView]
    bots: list[BotView]
    rooms: list[RoomView]


class Joined(Event, frozen=True):
    """A player has entered the room."""

    player: PlayerView


class Left(Event, frozen=True):
    """A player has left the room."""

    seat: int
    name: str


class Dressed(Event, frozen=True):
    """A player looks different now."""

    seat: int
    look: Look


class Said(Event, frozen=True):
    """A line of the chat.

    Attributes:
        id: the id that its sender chose.
        line: the id of the line in the world, for reports.
    """

    id: str
    line: str
    seat: int
    name: str
    text: str


class Whispered(Event, frozen=True):
    """A whisper: to this player, or the echo of the player's own.

    Attributes:
        id: the id that its sender chose.
        line: the id of the whisper in the world, for reports.
    """

    id: str
    line: str
    seat: int
    to: int
    name: str
    to_name: str
    text: str


class Emoted(Event, frozen=True):
    """A player moves its body."""

    seat: int
    kind: EmoteKind


class Thinking(Event, frozen=True):
    """A bot thinks about a player's question.

    Attributes:
        id: the question's id; empty for other players than the asker.
        text: the question; empty for other players than the asker, since it may turn out not to be for their eyes.
    """

    bot: str
    seat: int
    name: str
    id: str = ""
    text: str = ""


class Answered(Event, frozen=True):
    """A bot has answered.

    Others than the asker see that it answered whom, and the texts only if the question was shared.

    Attributes:
        seat: the asker.
        id: the question's id; empty for other players than the asker.
        turn: id of the turn, for a thumb; empty where none may be put.
        version: the version that answered; 0 if the text does not come from a model.
        source: ``model``, or why the text comes from elsewhere (the fallbacks of the contract).
    """

    bot: str
    seat: int
    name: str
    id: str = ""
    question: str = ""
    text: str = ""
    turn: str = ""
    version: int = 0
    source: str = "model"


class Unanswered(Event, frozen=True):
    """A question ends without an answer.

    Attributes:
        reason: ``timeout``, ``unknown`` (it never reached the bots) or ``refused`` (the bots cannot answer it).
    """

    bot: str
    id: str
    reason: Literal["timeout", "unknown", "refused"]


class Noted(Event, frozen=True):
    """A thumb, a correction or a report has arrived."""

    turn: str
    kind: Literal["up", "down", "correction", "report"]


class Reported(Event, frozen=True):
    """The report of a player has arrived."""

    seat: int


class Consented(Event, frozen=True):
    """What may be stored and learned from now on."""

    store: bool
    learn: bool


class Staged(Event, frozen=True):
    """A bot's stage has changed."""

    bot: BotView


class Moved(Event, frozen=True):
    """The player is somewhere else than its client believes: after a correction or a portal."""

    x: float
    z: float


class Hidden(Event, frozen=True):
    """A line that moderators have hidden."""

    line: str


class RoomList(Event, frozen=True, tag="rooms"):
    """The rooms of the world that have players, and an empty one of each gateway: the answer to ``rooms``."""

    rooms: list[RoomView]


class Refusal(Event, frozen=True):
    """A command was refused.

    Attributes:
        of: id of the refused message, or the name of the command.
        wait_s: seconds to wait before the next try; 0 if waiting does not help.
    """

    of: str
    reason: Reason
    wait_s: float = 0


class Pong(Event, frozen=True):
    """The answer to a ping."""

    at: float


AnyEvent = (
    Welcome | Joined | Left | Dressed | Said | Whispered | Emoted | Thinking | Answered | Unanswered | Noted | Reported
    | Consented | Staged | Moved | Hidden | RoomList | Refusal | Pong
)  # fmt: skip
_ENCODER = msgspec.json.Encoder()


def write_event(event: Event) -> bytes:
    """Return an event as one line of JSON, without its number: it is the same for all players that get it."""
    return _ENCODER.encode(event)


def numbered(body: bytes, number: int) -> bytes:
    """Return a written event with its number, which is that of one player."""
    return b'{"n":%d,%s' % (number, body[1:])
