"""Questions, feedback and reports as records of the contract."""

import json
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from kogpt2_chat.domain.chat.topics import FEEDBACK_TOPIC, QUESTION_TOPIC
from kogpt2_chat.domain.chat.turns import Feedback
from kogpt2_chat.domain.chat.wire import read_question, v1_text
from kogpt2_chat.errors import InvalidMessage
from kogpt2_chat.ports import Outgoing, Record
from world.gateway.bots_link import BotsLink
from world.gateway.dispatch import TurnFeedback
from world.gateway.rooms.asking import ANSWER_S, AskedQuestion
from world.gateway.rooms.chat import PlayerReport

_GUEST: Final = "w-"
"""Guest ids begin with this, so that a gateway recognises the questions of the world's players."""


class KafkaOutside:
    """Writes what leaves the gateway as Kafka records.

    Args:
        link: sends them.
        keys: secrets that sign, the newest first.
        now: returns the time.
    """

    def __init__(
        self, link: BotsLink, keys: Sequence[str], now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._link, self._keys, self._now = link, keys, now

    def send_question(self, question: AskedQuestion) -> None:
        """Send a question to the bots, keyed by the asker so that one player's questions stay in order."""
        now = self._now()
        value = v1_text(
            question_id=question.id,
            bot=question.bot,
            sender=question.sender,
            text=question.text,
            sender_id=question.guest_id,
            sent_at=now.isoformat(),
            reply_by=(now + timedelta(seconds=ANSWER_S)).isoformat(),
            consent={"store": question.store, "train": question.learn},
            minor=question.minor or None,
        )
        self._link.send(Outgoing(topic=QUESTION_TOPIC, key=question.guest_id.encode(), value=value.encode()))

    def send_feedback(self, feedback: TurnFeedback) -> None:
        """Send what a player says about an answer."""
        record = Feedback(
            feedback_id=uuid.uuid4().hex,
            turn_id=feedback.turn_id,
            player_id=feedback.guest_id,
            kind=feedback.kind,
            text=feedback.text,
            consent_train=feedback.may_learn,
            sent_at=self._now().isoformat(),
        )
        self._link.send(Outgoing(topic=FEEDBACK_TOPIC, key=feedback.turn_id.encode(), value=record.to_json().encode()))

    def send_report(self, report: PlayerReport, room: int) -> None:
        """Send the report of a player."""
        raise NotImplementedError(json.dumps([report.name, room]))

    def raise_if_muted(self, guest_id: str) -> None:
        """Raise ``Refused`` if moderators have muted the guest."""

    def is_banned(self, guest_id: str) -> bool:
        """Return whether moderators have banned the guest."""
        return not guest_id


def question_of(record: Record) -> AskedQuestion | None:
    """Return the question of one of the world's players, as it was asked; None for other clients' questions.

    Whether it was shared is not in the record, so that after a restart only the asker sees the answer.
    """
    try:
        found = read_question(record.value, record.partition, record.offset)
    except InvalidMessage:
        return None
    guest_id, dot, client_id = found.question_id.rpartition(".")
    if not (dot and guest_id == found.player_id and guest_id.startswith(_GUEST)):
        return None
    return AskedQuestion(
        id=found.question_id,
        client_id=client_id,
        guest_id=guest_id,
        sender=found.sender,
        bot=found.bot,
        text=found.text,
        shared=False,
        store=found.consent_store,
        learn=found.consent_train,
        minor=bool(found.extra.get("minor")),
    )
