"""What happens when a client sends something: the rates are checked, then the command goes to the part that it concerns."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Protocol

from kogpt2_chat.domain.chat.turns import FeedbackKind
from world.gateway.protocol.frames import read_move
from world.gateway.protocol.messages import (
    MAX_QUESTION_CHARS,
    AnyCommand,
    Ask,
    Block,
    Consent,
    Consented,
    Dress,
    Emote,
    Enter,
    Go,
    Noted,
    Ping,
    Pong,
    Rate,
    Refusal,
    ReportPlayer,
    ReportTurn,
    Say,
    Teach,
    Travel,
    Whisper,
    read_command,
)
from world.gateway.refused import Refused
from world.gateway.rooms.asking import AskedQuestion, Asking
from world.gateway.rooms.chat import Chat, PlayerReport
from world.gateway.rooms.seat import Seat
from world.gateway.rooms.world import World
from world.gateway.rules.limits import Action
from world.gateway.rules.texts import checked_text

_ACTION_BY_COMMAND: Final[dict[type, Action]] = {Say: "chat", Whisper: "chat", Ask: "ask"}


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnFeedback:
    """What a player says about an answer."""

    turn_id: str
    guest_id: str
    kind: FeedbackKind
    text: str | None
    may_learn: bool
    minor: bool


class Outside(Protocol):
    """What leaves the gateway."""

    def send_question(self, question: AskedQuestion) -> None:
        """Send a question to the bots."""
        ...

    def send_feedback(self, feedback: TurnFeedback) -> None:
        """Send what a player says about an answer."""
        ...

    def send_report(self, report: PlayerReport, room: int) -> None:
        """Send the report of a player."""
        ...

    def raise_if_muted(self, guest_id: str) -> None:
        """Raise ``Refused`` if moderators have muted the guest."""
        ...


class Dispatch:
    """Carries out what players send.

    Args:
        world: the players.
        chat: their talk.
        asking: their questions.
        outside: what leaves the gateway.
    """

    def __init__(self, world: World, chat: Chat, asking: Asking, outside: Outside) -> None:
        self._world, self._chat, self._asking, self._outside = world, chat, asking, outside
        self._handlers: dict[type, Callable[[Seat, AnyCommand, float], None]] = {
            Say: lambda seat, command, _: chat.say(seat, command),
            Whisper: lambda seat, command, _: chat.whisper(seat, command),
            Emote: lambda seat, command, _: chat.emote(seat, command),
            Dress: lambda seat, command, _: chat.dress(seat, command),
            Block: lambda seat, command, _: chat.block(seat, command),
            Go: lambda seat, command, _: world.go(seat, command.room),
            Travel: lambda seat, command, now_s: world.travel(seat, command.portal, now_s),
            Ping: lambda seat, command, _: seat.outbox.put(Pong(command.at)),
            Ask: self._ask,
            Rate: self._rate,
            Teach: self._teach,
            ReportTurn: self._report_turn,
            ReportPlayer: self._report_player,
            Consent: self._consent,
        }  # type: ignore[dict-item]

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
        self._world.move(seat, move, now_s)

    def command(self, seat: Seat, text: str, now_s: float) -> None:
        """Carry out a command, or tell the player why not.

        Raises:
            Refused: the command is malformed.
        """
        command = read_command(text)
        try:
            if isinstance(command, Enter):
                raise Refused("message", "a connection enters once")
            action = _ACTION_BY_COMMAND.get(type(command), "social")
            seat.limits.check(action, now_s)
            if action in ("chat", "ask"):
                self._outside.raise_if_muted(seat.guest.id)
            self._handlers[type(command)](seat, command, now_s)
        except Refused as refused:
            seat.outbox.put(Refusal(_name_of(command), refused.reason, refused.wait_s))

    def _ask(self, seat: Seat, command: Ask, now_s: float) -> None:
        if (question := self._asking.ask(seat, command, now_s)) is None:
            return
        try:
            self._outside.send_question(question)
        except Refused:
            self._asking.fail(question)
            raise

    def _rate(self, seat: Seat, command: Rate, now_s: float) -> None:
        del now_s
        self._feedback(seat, command.turn, "up" if command.up else "down", None)

    def _teach(self, seat: Seat, command: Teach, now_s: float) -> None:
        del now_s
        self._feedback(seat, command.turn, "correction", checked_text(command.text, MAX_QUESTION_CHARS))

    def _report_turn(self, seat: Seat, command: ReportTurn, now_s: float) -> None:
        del now_s
        text = checked_text(command.text, MAX_QUESTION_CHARS) if command.text.strip() else None
        self._feedback(seat, command.turn, "report", text)

    def _feedback(self, seat: Seat, turn: str, kind: FeedbackKind, text: str | None) -> None:
        if turn not in seat.turns:
            raise Refused("not_yours", "a player rates the answers to own questions")
        guest = seat.guest
        self._outside.send_feedback(
            TurnFeedback(
                turn_id=turn, guest_id=guest.id, kind=kind, text=text, may_learn=guest.may_learn, minor=guest.minor
            )
        )
        seat.outbox.put(Noted(turn, kind))

    def _report_player(self, seat: Seat, command: ReportPlayer, now_s: float) -> None:
        del now_s
        self._outside.send_report(self._chat.report(seat, command), seat.room)

    def _consent(self, seat: Seat, command: Consent, now_s: float) -> None:
        del now_s
        learn = command.learn and command.store and not seat.guest.minor
        seat.guest = replace(seat.guest, store=command.store, learn=learn)
        seat.outbox.put(Consented(seat.guest.store, seat.guest.learn))


def _name_of(command: AnyCommand) -> str:
    """Return the id of a message, or the name of a command without one."""
    return getattr(command, "id", None) or str(command.__struct_config__.tag)
