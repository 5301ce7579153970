"""Players of a world without sockets: each has a guest, a seat, and reads its own events."""

import itertools
from dataclasses import dataclass, field
from typing import Any

import msgspec

from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.ports import Record
from world.gateway.dispatch import Dispatch
from world.gateway.places import load_places
from world.gateway.ports import TurnFeedback
from world.gateway.protocol.commands import Enter
from world.gateway.protocol.frames import Move, write_move
from world.gateway.protocol.views import BotView, Look
from world.gateway.refused import Refused
from world.gateway.rooms.asking import AskedQuestion, Asking
from world.gateway.rooms.chat import Chat, ChatReport
from world.gateway.rooms.rooms import Rooms
from world.gateway.rooms.seat import Seat
from world.gateway.rules.consents import LastConsents
from world.gateway.rules.tokens import Guest, new_guest

PLACES = load_places()
BEGAN_S = 1_800_000_000
_IDS = itertools.count(1)


@dataclass
class RecordingOutside:
    """Keeps what leaves the gateway.

    Attributes:
        down: refuse everything, as without Kafka.
        muted: ids of guests whom moderators have muted.
    """

    questions: list[AskedQuestion] = field(default_factory=list)
    feedback: list[TurnFeedback] = field(default_factory=list)
    reports: list[ChatReport] = field(default_factory=list)
    down: bool = False
    muted: set[str] = field(default_factory=set)

    def send_question(self, question: AskedQuestion) -> None:
        self._check()
        self.questions.append(question)

    def send_feedback(self, feedback: TurnFeedback) -> None:
        self._check()
        self.feedback.append(feedback)

    def send_report(self, found: ChatReport) -> None:
        self._check()
        self.reports.append(found)

    def raise_if_muted(self, guest_id: str) -> None:
        if guest_id in self.muted:
            raise Refused("muted", "by a moderator")

    def _check(self) -> None:
        if self.down:
            raise Refused("unavailable", "no broker")


class Town:
    """A world with its parts, and a clock that a test moves."""

    def __init__(self, rooms: int = 3, capacity: int = 4) -> None:
        self.now_s = 0.0
        self.outside = RecordingOutside()
        self.rooms = Rooms(
            places=PLACES,
            rooms=rooms,
            capacity=capacity,
            bots=lambda: [BotView(bot, "ready", 1) for bot in BOT_IDS],
            consents=LastConsents(clock=lambda: BEGAN_S + self.now_s),
        )
        self.asking = Asking(self.rooms)
        self.dispatch = Dispatch(self.rooms, Chat(self.rooms), self.asking, self.outside, self.outside.raise_if_muted)

    def guest(self, name: str, *, store: bool = True, learn: bool = True, minor: bool = False) -> Guest:
        return new_guest(name, BEGAN_S, store=store, learn=learn, minor=minor)

    def enter(self, name: str, room: int | None = None, **consent: bool) -> "Person":
        return Person(self, self.guest(name, **consent), room)

    def pass_time(self, seconds: float) -> None:
        self.now_s += seconds


class Person:
    """A player.

    Attributes:
        hung_up: close codes of connections that the gateway has closed.
    """

    def __init__(self, town: Town, guest: Guest, room: int | None = None, **fields: Any) -> None:
        self.town, self.guest = town, guest
        self.hung_up: list[int] = []
        command = Enter(v=1, room=room, **({"look": Look(body=1)} | fields))
        self.seat: Seat = town.rooms.enter(guest, command, town.now_s, lambda code, _: self.hung_up.append(code)).seat

    def events(self, *kinds: str) -> list[dict[str, Any]]:
        """Take the events, and return those of the given kinds; without kinds, all."""
        taken = [msgspec.json.decode(body) for body in self.seat.outbox.take()[0]]
        return [event for event in taken if not kinds or event["t"] in kinds]

    def send(self, command: str, /, **fields: object) -> str:
        """Send a command with an id of its own; return that id."""
        message_id = str(fields.pop("id", f"m{next(_IDS)}"))
        body = msgspec.json.encode({"t": command, "id": message_id, **fields})
        self.town.dispatch.command(self.seat, body.decode(), self.town.now_s)
        return message_id

    def walk_to(self, x: float, z: float) -> None:
        """Be somewhere, without walking all the way."""
        self.seat.walker.jump_to(x, z, self.town.now_s)
        self.seat.has_moved = True

    def move(self, x: float, z: float, sequence: int = 1) -> None:
        self.town.dispatch.move(self.seat, write_move(Move(sequence, x, z, 0, 64, 2)), self.town.now_s)

    def drop(self) -> None:
        self.town.rooms.drop(self.seat, self.town.now_s)

    def come_back(self, last: int | None = None, **fields: Any) -> "Person":
        known = {"last": last, "seat": self.seat.number, "epoch": self.seat.outbox.epoch}
        return Person(self.town, self.guest, **(known | fields))


def answer_to(question: AskedQuestion, text: str = "네!", *, offset: int = 1, **headers: str) -> Record:
    """Return the record with which a worker answers."""
    turn = f"bot_question-0-{offset}"
    return Record(
        topic=question.bot,
        partition=0,
        offset=offset,
        key=question.sender.encode(),
        value=text.encode(),
        headers={"turn_id": turn, "question_id": question.id, "model_version": "3", "epoch": "1", **headers},
        timestamp_ms=0,
    )
