"""JSON messages, each with its name in the field ``t``. What a client sends is a command, what the gateway sends an event.

Every event has a number ``n``, which counts the events of one player. A client that connects again says the last one
that it has seen, and gets the later ones again. Unknown fields of a command are ignored; an unknown command is refused.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from kogpt2_chat.domain.chat.bots import BOT_IDS
from world.gateway.refused import Reason, Refused

VERSION = 1
MAX_FRAME_BYTES = 4096
MAX_CHAT_CHARS = 300
MAX_QUESTION_CHARS = 300

Id = Annotated[str, Meta(min_length=1, max_length=40, pattern="^[A-Za-z0-9_-]+$")]
"""An id that the client chooses, so that a message sent twice counts once."""
Seat = Annotated[int, Meta(ge=0, le=0xFFFF)]
Text = Annotated[str, Meta(min_length=1, max_length=1200)]
"""Bounded before it is cleaned; the limits in code points are checked afterwards."""
BotId = Annotated[str, Meta(pattern=f"^({'|'.join(BOT_IDS)})$")]
TurnId = Annotated[str, Meta(min_length=1, max_length=80, pattern="^[A-Za-z0-9_.-]+$")]
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


class Command(Struct, frozen=True, tag_field="t", tag=str.lower):
    """What a client sends."""


class Enter(Command):
    """Enter the world; the first command of a connection.

    Attributes:
        v: version of the protocol.
        look: the avatar.
        room: the wanted room; None for one with friends in it and a free seat.
        last: the number of the last event that this client has seen, if it was connected before.
        waiting: ids of questions whose answer the client still waits for.
    """

    v: Literal[1]
    look: Look = Look()
    room: Annotated[int, Meta(ge=1, le=9999)] | None = None
    last: Annotated[int, Meta(ge=0)] | None = None
    waiting: Annotated[list[Id], Meta(max_length=8)] = []


class Say(Command):
    """Say something to everyone in the room."""

    id: Id
    text: Text


class Whisper(Command):
    """Say something to one player."""

    id: Id
    to: Seat
    text: Text


class Emote(Command):
    """Move the body, for all to see."""

    kind: EmoteKind


class Dress(Command):
    """Change the avatar's look."""

    look: Look


class Ask(Command):
    """Ask a bot.

    Attributes:
        shared: whether players near the bot may see the question and the answer.
    """

    id: Id
    bot: BotId
    text: Text
    shared: bool = False


class Rate(Command):
    """Put a thumb on an answer."""

    turn: TurnId
    up: bool


class Teach(Command):
    """Say what the bot should have answered."""

    turn: TurnId
    text: Text


class ReportTurn(Command, tag="report_turn"):
    """Report an answer of a bot."""

    turn: TurnId
    text: Annotated[str, Meta(max_length=1200)] = ""


class ReportPlayer(Command, tag="report_player"):
    """Report a player, or one line of the chat; the last lines of the chat go with it."""

    seat: Seat
    line: Id | None = None
    text: Annotated[str, Meta(max_length=1200)] = ""


class Block(Command):
    """Get nothing from a player any more, or get it again."""

    seat: Seat
    blocked: bool = True


class Consent(Command):
    """Change what may be stored and learned."""

    store: bool
    learn: bool


class Travel(Command):
    """Step through a portal.

    Attributes:
        portal: its number in the list of portals.
    """

    portal: Annotated[int, Meta(ge=0, le=255)]


class Go(Command):
    """Go to another room."""

    room: Annotated[int, Meta(ge=1, le=9999)]


class Ping(Command):
    """Say that the client lives; answered with ``pong``."""

    at: float = 0.0


AnyCommand = (
    Enter | Say | Whisper | Emote | Dress | Ask | Rate | Teach | ReportTurn | ReportPlayer | Block | Consent | Travel
    | Go | Ping
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


class Event(Struct, frozen=True, tag_field="t", tag=str.lower, omit_defaults=True):
    """What the gateway sends."""


class PlayerView(Struct, frozen=True):
    """A player as others see it."""

    seat: int
    name: str
    look: Look
    x: float
    z: float
    yaw: int


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
    """A room in the list of rooms."""

    room: int
    players: int
    seats: int


class Welcome(Event):
    """The first event: where the player is, and who else is there."""

    v: int
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


class Joined(Event):
    """A player has entered the room."""

    player: PlayerView


class Left(Event):
    """A player has left the room."""

    seat: int
    name: str


class Dressed(Event):
    """A player looks different now."""

    seat: int
    look: Look


class Said(Event):
    """A line of the chat."""

    id: str
    seat: int
    name: str
    text: str


class Whispered(Event):
    """A whisper: to this player, or the echo of the player's own."""

    id: str
    seat: int
    to: int
    name: str
    to_name: str
    text: str


class Emoted(Event):
    """A player moves its body."""

    seat: int
    kind: EmoteKind


class Thinking(Event):
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


class Answered(Event):
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


class Unanswered(Event):
    """A question ends without an answer.

    Attributes:
        reason: ``timeout``, ``unknown`` (it never reached the bots) or ``refused`` (the bots cannot answer it).
    """

    bot: str
    id: str
    reason: Literal["timeout", "unknown", "refused"]


class Noted(Event):
    """A thumb, a correction or a report has arrived."""

    turn: str
    kind: Literal["up", "down", "correction", "report"]


class Reported(Event):
    """The report of a player has arrived."""

    seat: int


class Consented(Event):
    """What may be stored and learned from now on."""

    store: bool
    learn: bool


class Staged(Event):
    """A bot's stage has changed."""

    bot: BotView


class Moved(Event):
    """The player is somewhere else than its client believes: after a correction or a portal."""

    x: float
    z: float


class Hidden(Event):
    """A line that moderators have hidden."""

    id: str


class RoomList(Event, tag="rooms"):
    """All rooms."""

    rooms: list[RoomView]


class Refusal(Event):
    """A command was refused.

    Attributes:
        of: id of the refused message, or the name of the command.
        wait_s: seconds to wait before the next try; 0 if waiting does not help.
    """

    of: str
    reason: Reason
    wait_s: float = 0


class Pong(Event):
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
