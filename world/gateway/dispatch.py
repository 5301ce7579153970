"""What happens when a client sends something: its rates are checked, then the command goes to the part it concerns."""

from collections.abc import Callable
from functools import singledispatchmethod
from typing import Final

from kogpt2_chat.domain.chat.turns import FeedbackKind
from world.gateway.ports import Outside, TurnFeedback
from world.gateway.protocol.commands import (
    MAX_QUESTION_CHARS,
    AnyCommand,
    Ask,
    Block,
    Command,
    Consent,
    Dress,
    Emote,
    Go,
    Leave,
    ListRooms,
    Ping,
    Rate,
    ReportPlayer,
    ReportTurn,
    Say,
    Teach,
    Travel,
    Whisper,
    read_command,
)
from world.gateway.protocol.events import Consented, Noted, Pong, Refusal, Reported, RoomList
from world.gateway.protocol.frames import read_move
from world.gateway.refused import Refused
from world.gateway.rooms.asking import Asking
from world.gateway.rooms.chat import Chat
from world.gateway.rooms.rooms import Rooms
from world.gateway.rooms.seat import Seat
from world.gateway.rules.limits import Action
from world.gateway.rules.texts import checked_text

_ACTION_BY_COMMAND: Final[dict[type, Action]] = {
    Say: "chat",
    Whisper: "chat",
    Ask: "ask",
    ReportPlayer: "report",
    ReportTurn: "report",
}


class Dispatch:
    """Carries out what players send.

    Args:
        rooms: the players.
        chat: their talk.
        asking: their questions.
        outside: what leaves the gateway.
        raise_if_muted: raises ``Refused`` if moderators have muted a guest.
    """

    def __init__(
        self, rooms: Rooms, chat: Chat, asking: Asking, outside: Outside, raise_if_muted: Callable[[str], None]
    ) -> None:
        self._rooms, self._chat, self._asking, self._outside = rooms, chat, asking, outside
        self._raise_if_muted = raise_if_muted

    def move(self, seat: Seat, frame: bytes, now_s: float) -> None:
        """Carry out a movement frame; frames above the rate are dropped, since later ones replace them.

        Raises:
            Refused: the frame is malformed.
        """
        move = read_move(frame)
        try:
            seat.limits.check("move", now_s)
        except Refused:
            return
        self._rooms.move(seat, move, now_s)

    def command(self, seat: Seat, text: str, now_s: float) -> None:
        """Carry out a command, or tell the player why not.

        Raises:
            Refused: the command is malformed.
        """
        command = read_command(text)
        try:
            action = _ACTION_BY_COMMAND.get(type(command), "social")
            if not isinstance(command, Leave):  # who has done too much may still leave
                seat.limits.check(action, now_s)
            if action == "chat" or (isinstance(command, Ask) and command.shared):  # what other players would see
                self._raise_if_muted(seat.guest.id)
            self._carry_out(command, seat, now_s)
        except Refused as refused:
            seat.outbox.put(Refusal(_name_of(command), refused.reason, refused.wait_s))

    @singledispatchmethod
    def _carry_out(self, command: Command, seat: Seat, now_s: float) -> None:
        del seat, now_s
        raise Refused("message", f"{type(command).__name__} is not a command of a player who has entered")

    @_carry_out.register
    def _say(self, command: Say, seat: Seat, now_s: float) -> None:
        del now_s
        self._chat.say(seat, command)

    @_carry_out.register
    def _whisper(self, command: Whisper, seat: Seat, now_s: float) -> None:
        del now_s
        self._chat.whisper(seat, command)

    @_carry_out.register
    def _emote(self, command: Emote, seat: Seat, now_s: float) -> None:
        del now_s
        self._chat.emote(seat, command)

    @_carry_out.register
    def _dress(self, command: Dress, seat: Seat, now_s: float) -> None:
        del now_s
        self._chat.dress(seat, command)

    @_carry_out.register
    def _block(self, command: Block, seat: Seat, now_s: float) -> None:
        del now_s
        self._chat.block(seat, command)

    @_carry_out.register
    def _go(self, command: Go, seat: Seat, now_s: float) -> None:
        del now_s
        self._rooms.go(seat, command.room)

    @_carry_out.register
    def _leave(self, command: Leave, seat: Seat, now_s: float) -> None:
        del command, now_s
        self._rooms.leave(seat)

    @_carry_out.register
    def _list_rooms(self, command: ListRooms, seat: Seat, now_s: float) -> None:
        del command, now_s
        seat.outbox.put(RoomList(self._rooms.views()))

    @_carry_out.register
    def _travel(self, command: Travel, seat: Seat, now_s: float) -> None:
        self._rooms.travel(seat, command.portal, now_s)

    @_carry_out.register
    def _ping(self, command: Ping, seat: Seat, now_s: float) -> None:
        del now_s
        seat.outbox.put(Pong(command.at))

    @_carry_out.register
    def _ask(self, command: Ask, seat: Seat, now_s: float) -> None:
        self._asking.ask(seat, command, now_s, self._outside.send_question)

    @_carry_out.register
    def _rate(self, command: Rate, seat: Seat, now_s: float) -> None:
        del now_s
        self._feedback(seat, command.turn, "up" if command.up else "down", None)

    @_carry_out.register
    def _teach(self, command: Teach, seat: Seat, now_s: float) -> None:
        del now_s
        self._feedback(seat, command.turn, "correction", checked_text(command.text, MAX_QUESTION_CHARS))

    @_carry_out.register
    def _report_turn(self, command: ReportTurn, seat: Seat, now_s: float) -> None:
        del now_s
        text = checked_text(command.text, MAX_QUESTION_CHARS) if command.text.strip() else None
        self._feedback(seat, command.turn, "report", text)

    @_carry_out.register
    def _report_player(self, command: ReportPlayer, seat: Seat, now_s: float) -> None:
        del now_s
        found = self._chat.report(seat, command)
        if (known := (found.guest_id, found.line, found.text)) not in seat.reports:
            self._outside.send_report(found)
            seat.reports.append(known)
        seat.outbox.put(Reported(command.seat))

    @_carry_out.register
    def _consent(self, command: Consent, seat: Seat, now_s: float) -> None:
        del now_s
        self._rooms.consent(seat, store=command.store, learn=command.learn)
        seat.outbox.put(Consented(seat.guest.store, seat.guest.learn))

    def _feedback(self, seat: Seat, turn: str, kind: FeedbackKind, text: str | None) -> None:
        if turn not in seat.turns:
            raise Refused("not_yours", "a player rates the last answers to own questions")
        guest = seat.guest
        self._outside.send_feedback(
            TurnFeedback(
                turn_id=turn, guest_id=guest.id, kind=kind, text=text, may_learn=guest.may_learn, minor=guest.minor
            )
        )
        seat.outbox.put(Noted(turn, kind))


def _name_of(command: AnyCommand) -> str:
    """Return the id of a message, or the name of a command without one."""
    return getattr(command, "id", None) or str(command.__struct_config__.tag)
