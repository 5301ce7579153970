"""The rooms of one gateway: who is in which, from entering to leaving."""

import itertools
import math
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from world.gateway.places import Places
from world.gateway.protocol.close_codes import NORMAL, REPLACED
from world.gateway.protocol.commands import Enter
from world.gateway.protocol.events import Dressed, Event, Joined, Moved, Welcome, write_event
from world.gateway.protocol.frames import TICK_HZ, Move
from world.gateway.protocol.views import VERSION, BotView, Look, RoomView
from world.gateway.refused import Refused
from world.gateway.rooms.outbox import Outbox
from world.gateway.rooms.room import Room
from world.gateway.rooms.seat import HELD_S, Seat
from world.gateway.rooms.turns import LeftTurns
from world.gateway.rules.consents import LastConsents
from world.gateway.rules.limits import GuestLimits
from world.gateway.rules.movement import Walker
from world.gateway.rules.names import name_key
from world.gateway.rules.tokens import Guest, consenting

NEAR_M: Final = 15.0
"""Players within this distance of a bot see what it does."""
PORTAL_REACH_M: Final = 4.0
_MAX_SEATS: Final = 0x10000


@dataclass(frozen=True, slots=True)
class Entry:
    """How a player has entered.

    Attributes:
        seat: the seat.
        is_resumed: whether the client gets all the events that it has missed, instead of a welcome.
    """

    seat: Seat
    is_resumed: bool


class Rooms:
    """All rooms of a gateway. It owns the seats; other modules change a seat only through the objects in it.

    Args:
        places: where things are.
        elsewhere: returns the rooms of other gateways.
        released: called with the key of a name that is free again, and the guest who had it.
        rooms: number of the gateway's rooms.
        capacity: players per room.
        first_room: number of the gateway's first room.
        bots: returns what players see of the bots.
        consents: what guests said last about storing and learning.
        draw: draws where a player enters.
    """

    def __init__(
        self,
        *,
        places: Places,
        elsewhere: Callable[[], Sequence[RoomView]] = tuple,
        released: Callable[[str, str], None] = lambda _name, _guest: None,
        rooms: int,
        capacity: int,
        first_room: int = 1,
        bots: Callable[[], list[BotView]] = list,
        consents: LastConsents | None = None,
        draw: random.Random | None = None,
    ) -> None:
        self.places, self._elsewhere, self._released, self._bots = places, elsewhere, released, bots
        self._ground = places.ground
        self.consents, self.limits = consents or LastConsents(), GuestLimits()
        self._by_number = {number: Room(number, capacity) for number in range(first_room, first_room + rooms)}
        self._capacity = capacity
        self._seat_by_guest: dict[str, Seat] = {}
        self._guest_by_name: dict[str, str] = {}
        self._numbers = itertools.cycle(range(1, _MAX_SEATS))
        self._used: set[int] = set()
        self._ticks, self._now_s = itertools.count(1), 0.0
        self._left_turns = LeftTurns()
        self._draw = draw or random.Random()  # noqa: S311 - where a player enters is not a secret

    def __len__(self) -> int:
        """Return the number of players, with those whose seats are held."""
        return len(self._seat_by_guest)

    def __iter__(self) -> Iterator[Seat]:
        return iter(self._seat_by_guest.values())

    def seat_of(self, guest_id: str) -> Seat | None:
        """Return a guest's seat."""
        return self._seat_by_guest.get(guest_id)

    def room_of(self, seat: Seat) -> Room:
        """Return the room of a player."""
        return self._by_number[seat.room]

    def rooms(self) -> Iterable[Room]:
        """Return the rooms of this gateway."""
        return self._by_number.values()

    def views(self) -> list[RoomView]:
        """Return the rooms of the whole world that have players, and an empty one of each gateway."""
        return sorted([*self.own_views(), *self._elsewhere()], key=lambda view: view.room)

    def own_views(self) -> list[RoomView]:
        """Return this gateway's rooms that have players, and the first empty one."""
        own = [room.view for room in self._by_number.values()]
        return [*(view for view in own if view.players), *[view for view in own if not view.players][:1]]

    def enter(self, guest: Guest, command: Enter, now_s: float, hang_up: Callable[[int, str], None]) -> Entry:
        """Seat a guest, or give the seat back to one who has lost the connection or comes from another tab.

        Args:
            guest: who enters.
            command: how.
            now_s: the time in monotonic seconds.
            hang_up: closes the guest's connection, with a close code and a reason.

        Returns:
            The seat, whose outbox begins with the welcome, or with the missed events.

        Raises:
            Refused: the name is taken, or there is no free seat.
        """
        guest = self.consents.applied(guest)
        held = self._seat_by_guest.get(guest.id)
        if held is not None and held.guest.name == guest.name:
            return Entry(held, is_resumed=self._come_back(held, guest, command, hang_up))
        room = self._take_name(guest, held, command.room)
        seat = self._new_seat(guest, room, command, now_s, hang_up)
        room.broadcast(Joined(seat.view))
        room.seats[seat.number] = seat
        self._seat_by_guest[guest.id] = seat
        self._welcome(seat)
        return Entry(seat, is_resumed=False)

    def drop(self, seat: Seat, now_s: float) -> None:
        """Hold the seat of a player whose connection is lost."""
        seat.hang_up, seat.dropped_at_s = None, now_s
        seat.outbox.wake = lambda: None
        seat.stand_still()

    def leave(self, seat: Seat) -> None:
        """Free a seat."""
        if not self.room_of(seat).remove(seat):
            return
        self._used.discard(seat.number)
        self._seat_by_guest.pop(seat.guest.id, None)
        self._release(seat.guest)
        self._left_turns.keep(seat.guest.id, seat.turns, self._now_s)
        seat.hang_up_with(NORMAL, "left")

    def go(self, seat: Seat, number: int) -> None:
        """Take a player to another room of this gateway.

        Raises:
            Refused: the room is full or unknown.
        """
        if number == seat.room:
            return
        room = self._room_for(number)
        self.room_of(seat).remove(seat)
        seat.room, seat.has_moved = number, True
        room.broadcast(Joined(seat.view))
        room.seats[seat.number] = seat
        self._welcome(seat)

    def consent(self, seat: Seat, *, store: bool, learn: bool) -> None:
        """Change what may be stored and learned of a player."""
        guest = seat.guest
        seat.guest = consenting(guest, guest.consented, store=store, learn=learn, minor=guest.minor)
        self.consents.say(seat.guest)

    def signed_in(self, guest: Guest) -> None:
        """Take the consent of a guest who has signed in again. A new name counts from the next entry on."""
        self.consents.forget(guest.id)
        if (seat := self.seat_of(guest.id)) is not None:
            seat.guest = replace(guest, name=seat.guest.name)

    def move(self, seat: Seat, move: Move, now_s: float) -> None:
        """Move a player; correct the client if it went where it could not."""
        if not seat.move(move, now_s):
            seat.outbox.put(Moved(seat.walker.x, seat.walker.z))

    def travel(self, seat: Seat, number: int, now_s: float) -> None:
        """Take a player through a portal.

        Raises:
            Refused: the portal is unknown or too far away.
        """
        portals = self.places.portals
        if number >= len(portals):
            raise Refused("not_here", f"there are {len(portals)} portals")
        portal = portals[number]
        if math.hypot(portal.x - seat.walker.x, portal.z - seat.walker.z) > PORTAL_REACH_M:
            raise Refused("not_here", f"a portal can be used from {PORTAL_REACH_M:g} m")
        seat.walker.jump_to(portal.arrive_x, portal.arrive_z, now_s)
        seat.has_moved = True
        seat.outbox.put(Moved(seat.walker.x, seat.walker.z))

    def is_near(self, seat: Seat, bot: str) -> bool:
        """Return whether a player is near enough to a bot to see what it does."""
        stand = next((stand for stand in self.places.bots if stand.bot == bot), None)
        return stand is not None and math.hypot(stand.x - seat.walker.x, stand.z - seat.walker.z) <= NEAR_M

    def tick(self, now_s: float) -> None:
        """Send the positions of all rooms; once per second, first free seats held for too long."""
        number, self._now_s = next(self._ticks), now_s
        if number % TICK_HZ == 0:
            gone = [seat for seat in self if seat.dropped_at_s is not None and now_s - seat.dropped_at_s > HELD_S]
            for seat in gone:
                self.leave(seat)
            self._left_turns.expire(now_s)
        for room in self._by_number.values():
            if room.seats:
                room.tick(number)

    def tell_all(self, event: Event) -> None:
        """Send an event to every player of the gateway."""
        body = write_event(event)
        for seat in self:
            seat.outbox.put_written(body)

    def _take_name(self, guest: Guest, held: Seat | None, wanted: int | None) -> Room:
        """Give a name to a guest, who gives up the seat under another name only if there is nothing to refuse.

        Returns:
            The room: of the seat under the other name, if no other one is wanted.
        """
        key = name_key(guest.name)
        has_key = held is not None and name_key(held.guest.name) == key
        if self._guest_by_name.get(key, guest.id) != guest.id:
            raise Refused("name_taken", "another player has this name")
        try:
            room = self.room_of(held) if held is not None and wanted in (None, held.room) else self._room_for(wanted)
        except Refused:
            if not has_key:
                self._released(key, guest.id)
            raise
        if has_key:
            del self._guest_by_name[key]  # so that it is not released in between
        if held is not None:
            self.leave(held)
        self._guest_by_name[key] = guest.id
        return room

    def _release(self, guest: Guest) -> None:
        key = name_key(guest.name)
        if self._guest_by_name.get(key) == guest.id:
            del self._guest_by_name[key]
            self._released(key, guest.id)

    def _room_for(self, wanted: int | None) -> Room:
        if wanted is not None:
            room = self._by_number.get(wanted)
            if room is None:
                raise Refused(
                    "room_unknown", f"this gateway has the rooms {min(self._by_number)} to {max(self._by_number)}"
                )
            if room.is_full:
                raise Refused("room_full", f"a room has {self._capacity} seats")
            return room
        free = [room for room in self._by_number.values() if not room.is_full]
        if not free:
            raise Refused("room_full", "all rooms are full")
        return next((room for room in free if room.seats), free[0])

    def _new_seat(
        self, guest: Guest, room: Room, command: Enter, now_s: float, hang_up: Callable[[int, str], None]
    ) -> Seat:
        number = next(number for number in self._numbers if number not in self._used)
        self._used.add(number)
        angle, distance = self._draw.uniform(0, math.tau), self._draw.uniform(0, self.places.spawn.spread_m)
        x = self.places.spawn.x + distance * math.sin(angle)
        z = self.places.spawn.z + distance * math.cos(angle)
        return Seat(
            number=number,
            guest=guest,
            room=room.number,
            look=command.look or Look(),
            walker=Walker(self._ground, x, z, now_s),
            limits=self.limits.of(guest.id, now_s),
            outbox=Outbox(),
            hang_up=hang_up,
            blocked={*command.blocked} - {guest.tag},
            turns=self._left_turns.take(guest.id),
        )

    def _come_back(self, seat: Seat, guest: Guest, command: Enter, hang_up: Callable[[int, str], None]) -> bool:
        seat.hang_up_with(REPLACED, "connected again")
        seat.guest, seat.hang_up, seat.dropped_at_s = guest, hang_up, None
        seat.blocked = {*command.blocked} - {guest.tag}
        seat.has_moved = True
        if command.look is not None and command.look != seat.look:
            seat.look = command.look
            self.room_of(seat).broadcast(Dressed(seat.number, seat.look))
        is_known = (command.seat, command.epoch) == (seat.number, seat.outbox.epoch)
        if is_known and command.last is not None and seat.outbox.go_back(command.last):
            return True
        seat.outbox.skip()
        self._welcome(seat)
        return False

    def _welcome(self, seat: Seat) -> None:
        guest, room = seat.guest, self._by_number[seat.room]
        seat.outbox.put(
            Welcome(
                v=VERSION,
                epoch=seat.outbox.epoch,
                you=seat.number,
                name=guest.name,
                room=room.number,
                seats=self._capacity,
                x=seat.walker.x,
                z=seat.walker.z,
                tick_hz=TICK_HZ,
                store=guest.store,
                learn=guest.learn,
                minor=guest.minor,
                players=[other.view for other in room],
                bots=self._bots(),
                rooms=self.views(),
            )
        )
