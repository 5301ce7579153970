"""A seat: one player in one room, connected or about to come back."""

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from world.gateway.protocol.frames import Move, write_player
from world.gateway.protocol.views import Look, PlayerView
from world.gateway.rooms.line import Line
from world.gateway.rooms.outbox import Outbox
from world.gateway.rules.limits import ClientLimits
from world.gateway.rules.movement import Walker
from world.gateway.rules.tokens import Guest

HELD_S: Final = 30.0
"""How long a seat is held for a player who has lost the connection."""
KEPT_TURNS: Final = 200
KEPT_WHISPERS: Final = 20
KEPT_REPORTS: Final = 20


@dataclass(slots=True, eq=False)
class Seat:
    """One player in one room.

    Attributes:
        number: unique in the gateway at any time; what other players know the player by.
        guest: who the player is.
        room: number of the room.
        look: the avatar.
        walker: the position.
        limits: how often the player may do what.
        outbox: what waits to be sent.
        hang_up: closes the player's connection; None while there is none.
        dropped_at_s: when the connection was lost, in monotonic seconds; None while there is one.
        blocked: tags of guests from whom the player gets nothing.
        whispers: the last whispers that the player got.
        reports: guest id, line and text of the player's last reports.
        turns: the bot of each turn that the player may rate, the oldest first.
        sequence: the last sequence number of the player's moves.
    """

    number: int
    guest: Guest
    room: int
    look: Look
    walker: Walker
    limits: ClientLimits
    outbox: Outbox = field(default_factory=Outbox)
    hang_up: Callable[[int, str], None] | None = None
    dropped_at_s: float | None = None
    blocked: set[str] = field(default_factory=set)
    whispers: deque[Line] = field(default_factory=lambda: deque(maxlen=KEPT_WHISPERS))
    reports: deque[tuple[str, str | None, str]] = field(default_factory=lambda: deque(maxlen=KEPT_REPORTS))
    turns: OrderedDict[str, str] = field(default_factory=OrderedDict)
    sequence: int = 0
    has_moved: bool = True
    _height: int = 0
    _yaw: int = 128
    """To the north: whoever enters sees the fountain."""
    _gait: int = 0

    @property
    def is_connected(self) -> bool:
        """Whether the player has a connection."""
        return self.dropped_at_s is None

    @property
    def view(self) -> PlayerView:
        """The player as others see it."""
        guest, walker = self.guest, self.walker
        return PlayerView(self.number, guest.name, self.look, walker.x, walker.z, self._yaw, guest.tag)

    def hears(self, other: "Seat") -> bool:
        """Return whether the player gets what another one says and does."""
        return other.guest.tag not in self.blocked

    def hang_up_with(self, code: int, reason: str) -> None:
        """Close the player's connection, if there is one."""
        if self.hang_up is not None:
            self.hang_up(code, reason)

    def move(self, move: Move, now_s: float) -> bool:
        """Move; return False if the client must be corrected."""
        self.sequence, self._height, self._yaw, self._gait = move.sequence, move.height, move.yaw, move.gait
        self.has_moved = True
        return self.walker.move(move.x, move.z, now_s)

    def stand_still(self) -> None:
        """Stop, as a player does whose connection is lost."""
        self._height = self._gait = 0
        self.has_moved = True

    def position(self) -> bytes:
        """Return the player's part of a positions frame."""
        return write_player(self.number, self.walker.x, self.walker.z, self._height, self._yaw, self._gait)

    def may_rate(self, turn_id: str, bot: str) -> None:
        """Remember a turn that the player may rate."""
        self.turns[turn_id] = bot
        while len(self.turns) > KEPT_TURNS:
            self.turns.popitem(last=False)
