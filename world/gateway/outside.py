"""Questions, feedback and reports as signed records of the contract."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from kogpt2_chat.client.ask import Utterance, question_record
from kogpt2_chat.client.feedback import Opinion, feedback_record
from kogpt2_chat.domain.chat.moderation import PlayerReport, ReportedLine
from kogpt2_chat.domain.chat.signing import SigningKeys
from kogpt2_chat.domain.chat.topics import REPORT_TOPIC
from kogpt2_chat.ports import Outgoing
from world.gateway.ports import TurnFeedback
from world.gateway.rooms.asking import ANSWER_S, AskedQuestion
from world.gateway.rooms.chat import ChatReport


class KafkaOutside:
    """Writes what leaves the gateway as Kafka records.

    Args:
        send: sends a record, or raises ``Refused``.
        keys: the keys that sign.
        gateway: the gateway's name.
        now: returns the time.
    """

    def __init__(
        self,
        send: Callable[[Outgoing], None],
        keys: SigningKeys,
        gateway: str = "gateway",
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._send, self._keys, self._gateway, self._now = send, keys, gateway, now

    def send_question(self, question: AskedQuestion) -> None:
        """Send a question to the bots."""
        utterance = Utterance(
            bot=question.bot,
            sender=question.sender,
            text=question.text,
            train=question.learn,
            store=question.store,
            player_id=question.guest_id,
            reply_by=self._now() + timedelta(seconds=ANSWER_S),
            minor=question.minor,
        )
        self._send(question_record(question.id, utterance, self._keys))

    def send_feedback(self, feedback: TurnFeedback) -> None:
        """Send what a player says about an answer."""
        opinion = Opinion(
            turn_id=feedback.turn_id,
            player_id=feedback.guest_id,
            kind=feedback.kind,
            text=feedback.text,
            consent_train=feedback.may_learn,
            minor=feedback.minor,
        )
        self._send(feedback_record(opinion, self._keys))

    def send_report(self, found: ChatReport) -> None:
        """Send the report of a player."""
        lines = [ReportedLine(player_id=line.guest_id, name=line.name, text=line.text) for line in found.lines]
        report = PlayerReport(
            report_id=uuid.uuid4().hex,
            kind="person" if found.line is None else "line",
            by=found.by,
            player_id=found.guest_id,
            name=found.name,
            room=found.room,
            at=self._now().isoformat(),
            text=found.text,
            line_id=found.line,
            lines=tuple(lines),
            gateway=self._gateway,
        )
        self._send(Outgoing(topic=REPORT_TOPIC, key=found.guest_id.encode(), value=report.to_json().encode()))
