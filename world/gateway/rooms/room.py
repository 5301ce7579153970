"""A room: the players who see and hear each other."""

from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import Final

from world.gateway.protocol.events import Event, Left, write_event
from world.gateway.protocol.frames import write_positions
from world.gateway.protocol.views import RoomView
from world.gateway.rooms.line import Line
from world.gateway.rooms.seat import Seat
from world.gateway.rules.tokens import Guest

KEPT_LINES: Final = 60
KEPT_GUESTS: Final = 40
"""Players who have left and can still be reported."""


class Room:
    """A room.

    Attributes:
        number: its number in the world.
        seats: the players, by seat number.
        lines: the last lines of the chat.
        gone: the last players who have left, by the seat numbers that they had.
    """

    def __init__(self, number: int, capacity: int) -> None:
        self.number, self._capacity = number, capacity
        self.seats: dict[int, Seat] = {}
        self.lines: deque[Line] = deque(maxlen=KEPT_LINES)
        self.gone: OrderedDict[int, Guest] = OrderedDict()

    def __iter__(self) -> Iterator[Seat]:
        return iter(self.seats.values())

    @property
    def is_full(self) -> bool:
        """Whether all seats are taken, including those that are held."""
        return len(self.seats) >= self._capacity

    @property
    def view(self) -> RoomView:
        """The room in the list of rooms."""
        return RoomView(self.number, len(self.seats), self._capacity)

    def broadcast(self, event: Event, *, origin: Seat | None = None) -> None:
        """Send an event to the players in the room.

        Args:
            event: the event.
            origin: the player whom it comes from; players who have blocked that player do not get it.
        """
        body, tag = write_event(event), None if origin is None else origin.guest.tag
        for seat in self:
            if tag not in seat.blocked:
                seat.outbox.put_written(body)

    def remove(self, seat: Seat) -> bool:
        """Remove a player, and tell the others; return False if the player was not here."""
        if self.seats.pop(seat.number, None) is None:
            return False
        self.gone[seat.number] = seat.guest
        if len(self.gone) > KEPT_GUESTS:
            self.gone.popitem(last=False)
        self.broadcast(Left(seat.number, seat.guest.name))
        return True

    def tick(self, number: int) -> None:
        """Send everyone's position to everyone, if anyone has moved."""
        if not any(seat.has_moved for seat in self):
            return
        players = b"".join([seat.position() for seat in self])
        for seat in self:
            seat.has_moved = False
            if seat.is_connected:
                seat.outbox.put_positions(write_positions(number, seat.sequence, players))
