"""What players do with each other: talk, whisper, move their bodies, dress, block and report."""

import secrets
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from world.gateway.protocol.commands import MAX_BLOCKED, MAX_CHAT_CHARS, Block, Dress, Emote, ReportPlayer, Say, Whisper
from world.gateway.protocol.events import Dressed, Emoted, Said, Whispered
from world.gateway.refused import Refused
from world.gateway.rooms.line import Line
from world.gateway.rooms.room import Room
from world.gateway.rooms.rooms import Rooms
from world.gateway.rooms.seat import Seat
from world.gateway.rules.texts import checked_text
from world.gateway.rules.tokens import Guest

REPORTED_LINES: Final = 10
_KEPT_IDS: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatReport:
    """A report of a player or of one line of the chat.

    Attributes:
        by: id of the guest who reports.
        guest_id: id of the reported guest.
        name: the reported guest's name.
        room: number of the room.
        line: id of the reported line; None for the player as a whole.
        text: what the reporter says about it.
        lines: the last lines of the room's chat, up to the reported one.
    """

    by: str
    guest_id: str
    name: str
    room: int
    line: str | None
    text: str
    lines: tuple[Line, ...]


class Chat:
    """The talk of the players of a world. A message with an id that its sender has used is not delivered again.

    Args:
        rooms: the players.
        new_id: returns an id for a line of the chat, unique in the world.
    """

    def __init__(self, rooms: Rooms, new_id: Callable[[], str] = lambda: secrets.token_hex(8)) -> None:
        self._rooms, self._new_id = rooms, new_id
        self._seen: OrderedDict[tuple[str, str], None] = OrderedDict()

    def say(self, seat: Seat, command: Say) -> None:
        """Say something to everyone in the room.

        Raises:
            Refused: the text is empty or too long.
        """
        text = checked_text(command.text, MAX_CHAT_CHARS)
        if not self._is_new(seat, command.id):
            return
        room = self._rooms.room_of(seat)
        line = Line(id=self._new_id(), guest_id=seat.guest.id, name=seat.guest.name, text=text)
        room.lines.append(line)
        room.broadcast(Said(command.id, line.id, seat.number, line.name, text), origin=seat)

    def whisper(self, seat: Seat, command: Whisper) -> None:
        """Say something to one player in the room. A player who has blocked the sender does not get it.

        Raises:
            Refused: the text is empty or too long, or the player is not there.
        """
        text = checked_text(command.text, MAX_CHAT_CHARS)
        other = self._other(seat, command.to)
        if not self._is_new(seat, command.id):
            return
        line = Line(id=self._new_id(), guest_id=seat.guest.id, name=seat.guest.name, text=text)
        event = Whispered(command.id, line.id, seat.number, other.number, line.name, other.guest.name, text)
        if other.hears(seat):
            other.whispers.append(line)
            other.outbox.put(event)
        seat.outbox.put(event)

    def emote(self, seat: Seat, command: Emote) -> None:
        """Show an emote to everyone in the room."""
        self._rooms.room_of(seat).broadcast(Emoted(seat.number, command.kind), origin=seat)

    def dress(self, seat: Seat, command: Dress) -> None:
        """Change the avatar's look for everyone in the room."""
        seat.look = command.look
        self._rooms.room_of(seat).broadcast(Dressed(seat.number, command.look))

    def block(self, seat: Seat, command: Block) -> None:
        """Stop or resume the delivery of what another player says, wherever that player is.

        Raises:
            Refused: it is the player's own tag, or too many players are blocked.
        """
        if not command.blocked:
            seat.blocked.discard(command.tag)
        elif command.tag == seat.guest.tag:
            raise Refused("not_here", "a player cannot block itself")
        elif command.tag not in seat.blocked and len(seat.blocked) >= MAX_BLOCKED:
            raise Refused("busy", f"a player can block {MAX_BLOCKED} others")
        else:
            seat.blocked.add(command.tag)

    def report(self, seat: Seat, command: ReportPlayer) -> ChatReport:
        """Report a player or a line, also if the player, or the author of the line, has left.

        Raises:
            Refused: the player is not there, or the line is not one of the last lines that the reporter got.
        """
        room = self._rooms.room_of(seat)
        if command.line is None:
            reported = self._guest(seat, command.seat)
            guest_id, name, lines = reported.id, reported.name, (*room.lines,)[-REPORTED_LINES - 1 :]
        else:
            room, lines = self._lines_up_to(seat, command.line)
            guest_id, name = lines[-1].guest_id, lines[-1].name
        return ChatReport(
            by=seat.guest.id,
            guest_id=guest_id,
            name=name,
            room=room.number,
            line=command.line,
            text=checked_text(command.text, MAX_CHAT_CHARS) if command.text.strip() else "",
            lines=lines,
        )

    def _other(self, seat: Seat, number: int) -> Seat:
        other = self._rooms.room_of(seat).seats.get(number)
        if other is None or other is seat:
            raise Refused("not_here", "no other player with this seat is in the room")
        return other

    def _guest(self, seat: Seat, number: int) -> Guest:
        room = self._rooms.room_of(seat)
        gone = None if number in room.seats else room.gone.get(number)
        return self._other(seat, number).guest if gone is None or gone.id == seat.guest.id else gone

    def _lines_up_to(self, seat: Seat, line_id: str) -> tuple[Room, tuple[Line, ...]]:
        """Return a line, the lines before it, and where it was said."""
        if lines := _up_to(line_id, seat.whispers):
            own = [line for line in lines if line.guest_id == lines[-1].guest_id]
            return self._rooms.room_of(seat), tuple(own[-REPORTED_LINES - 1 :])
        for room in self._rooms.rooms():  # whoever knows a line's id has got it, maybe before going to another room
            lines = _up_to(line_id, room.lines)
            if lines and lines[-1].guest_id != seat.guest.id:
                return room, lines[-REPORTED_LINES - 1 :]
        raise Refused("not_here", "the line is not one of the last lines of other players")

    def _is_new(self, seat: Seat, message_id: str) -> bool:
        key = seat.guest.id, message_id
        if key in self._seen:
            return False
        self._seen[key] = None
        while len(self._seen) > _KEPT_IDS * max(1, len(self._rooms)):
            self._seen.popitem(last=False)
        return True


def _up_to(line_id: str, lines: Iterable[Line]) -> tuple[Line, ...]:
    """Return the lines up to the one with this id; empty if it is not among them."""
    found: list[Line] = []
    for line in lines:
        found.append(line)
        if line.id == line_id:
            return tuple(found)
    return ()
