"""What leaves the gateway, as a protocol; :mod:`world.gateway.outside` writes it to Kafka."""

from dataclasses import dataclass
from typing import Protocol

from kogpt2_chat.domain.chat.turns import FeedbackKind
from world.gateway.rooms.asking import AskedQuestion
from world.gateway.rooms.chat import ChatReport


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
    """The way out of the gateway."""

    def send_question(self, question: AskedQuestion) -> None:
        """Send a question to the bots."""
        ...

    def send_feedback(self, feedback: TurnFeedback) -> None:
        """Send what a player says about an answer."""
        ...

    def send_report(self, found: ChatReport) -> None:
        """Send the report of a player."""
        ...
