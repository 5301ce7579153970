"""What players do with each other: talk, whisper, move their bodies, dress, block and report."""

import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from world.gateway.protocol.commands import MAX_CHAT_CHARS, Block, Dress, Emote, ReportPlayer, Say, Whisper
from world.gateway.protocol.events import Dressed, Emoted, Said, Whispered
from world.gateway.refused import Refused
from world.gateway.rooms.room import Line, Room
from world.gateway.rooms.rooms import Rooms
from world.gateway.rooms.seat import Seat
from world.gateway.rules.texts import checked_text

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
        line = self._new_id()
        event = Whispered(command.id, line, seat.number, other.number, seat.guest.name, other.guest.name, text)
        if seat.guest.id not in other.blocked:
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
        """Stop or resume the delivery of what another player says.

        Raises:
            Refused: the player is not there.
        """
        other = self._other(seat, command.seat)
        (seat.blocked.add if command.blocked else seat.blocked.discard)(other.guest.id)

    def report(self, seat: Seat, command: ReportPlayer) -> ChatReport:
        """Report a player.

        Raises:
            Refused: the player is not there, or the line is not one of the last lines of the room.
        """
        room = self._rooms.room_of(seat)
        lines = _lines_up_to(room, command.line)
        if command.line is None:
            reported = self._other(seat, command.seat).guest
            guest_id, name = reported.id, reported.name
        elif lines and lines[-1].guest_id != seat.guest.id:  # its author may have left
            guest_id, name = lines[-1].guest_id, lines[-1].name
        else:
            raise Refused("not_here", "the line is not one of the last lines of other players in this room")
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

    def _is_new(self, seat: Seat, message_id: str) -> bool:
        key = seat.guest.id, message_id
        if key in self._seen:
            return False
        self._seen[key] = None
        while len(self._seen) > _KEPT_IDS * max(1, len(self._rooms)):
            self._seen.popitem(last=False)
        return True


def _lines_up_to(room: Room, line: str | None) -> tuple[Line, ...]:
    """Return the last lines up to the given one, and that one; without it, the last lines; empty if it is gone."""
    lines = list(room.lines)
    if line is not None:
        places = [index for index, found in enumerate(lines) if found.id == line]
        if not places:
            return ()
        lines = lines[: places[-1] + 1]
    return tuple(lines[-REPORTED_LINES - 1 :])
