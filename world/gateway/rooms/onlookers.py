"""Who sees that a bot thinks about another player's question, and that it has answered."""

from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace

from world.gateway.protocol.events import Answered, Thinking
from world.gateway.rooms.rooms import Rooms
from world.gateway.rooms.seat import Seat

QUIET_S: Final = 3.0
"""Onlookers see the end of a question this long after its beginning, or at its end if that is later. An answer about a
crisis comes at once, and must not be told from others by its speed."""


@dataclass(frozen=True, slots=True)
class _Watched:
    asker: Seat
    number: int
    told: tuple[Seat, ...]
    shown: Answered
    since_s: float


class Onlookers:
    """The players near a bot while it thinks. Whoever was told that it thinks is told the end, and nobody else.

    Args:
        rooms: the players.
    """

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._watched: dict[str, _Watched] = {}
        self._ended: list[_Watched] = []

    def begin(self, question_id: str, bot: str, asker: Seat, now_s: float) -> None:
        """Tell the players near a bot that it thinks about a question."""
        name, number = asker.guest.name, asker.number
        told = tuple(
            other
            for other in self._rooms.room_of(asker)
            if other is not asker and other.hears(asker) and self._rooms.is_near(other, bot)
        )
        for other in told:
            other.outbox.put(Thinking(bot=bot, seat=number, name=name))
        self._watched[question_id] = _Watched(asker, number, told, Answered(bot=bot, seat=number, name=name), now_s)

    def end(self, question_id: str, question: str = "", text: str = "") -> None:
        """Take the end of a question, to be shown when it is due.

        Args:
            question_id: the question's id.
            question: its text; empty if others may not see it.
            text: the answer; empty if others may not see it, or there is none.
        """
        if (watched := self._watched.pop(question_id, None)) is not None:
            shown = replace(watched.shown, question=question, text=text)
            self._ended.append(_Watched(watched.asker, watched.number, watched.told, shown, watched.since_s))

    def show(self, now_s: float) -> None:
        """Show the ends that are due."""
        due = [watched for watched in self._ended if now_s - watched.since_s >= QUIET_S]
        self._ended = [watched for watched in self._ended if now_s - watched.since_s < QUIET_S]
        for watched in due:
            bare = replace(watched.shown, question="", text="")
            is_here = self._rooms.seat_of(watched.asker.guest.id) is watched.asker
            for other in watched.told:  # nobody reads the outbox of a seat that was left
                other.outbox.put(watched.shown if is_here and other.hears(watched.asker) else bare)
