"""Send players' feedback on turns: praise, complaints and better answers."""

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from kogpt2_chat.domain.chat.signing import UNSIGNED, SigningKeys
from kogpt2_chat.domain.chat.topics import FEEDBACK_TOPIC
from kogpt2_chat.domain.chat.turns import Feedback, FeedbackKind
from kogpt2_chat.ports import Outgoing, Topics


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinion:
    """One player's feedback on a turn.

    Attributes:
        turn_id: the turn's id.
        player_id: the player's id.
        kind: the kind of feedback, e.g. ``up`` or ``correction``.
        text: the better answer, for a correction.
        consent_train: whether that text may be trained on; if None, the consent of the player's own turns applies.
        minor: whether the player is a minor, from whom nothing is learned.
    """

    turn_id: str
    player_id: str
    kind: FeedbackKind
    text: str | None = None
    consent_train: bool | None = None
    minor: bool = False


def send_feedback(*, opinions: Sequence[Opinion], topics: Topics, keys: SigningKeys = UNSIGNED) -> int:
    """Send all opinions.

    Args:
        opinions: the opinions to send.
        topics: Kafka.
        keys: the keys of a gateway, which sign the feedback; none for other clients.

    Returns:
        The number of opinions; all are acknowledged.
    """
    topics.send([feedback_record(opinion, keys) for opinion in opinions])
    return len(opinions)


def feedback_record(opinion: Opinion, keys: SigningKeys = UNSIGNED) -> Outgoing:
    """Return the record to send, keyed by turn.

    Args:
        opinion: the feedback.
        keys: the keys that sign it.
    """
    feedback = Feedback(
        feedback_id=uuid.uuid4().hex,
        turn_id=opinion.turn_id,
        player_id=opinion.player_id,
        kind=opinion.kind,
        text=opinion.text,
        consent_train=opinion.consent_train,
        minor=opinion.minor,
        sent_at=datetime.now(UTC).isoformat(),
    )
    value = json.dumps(keys.sign(feedback.to_body()), ensure_ascii=False)
    return Outgoing(topic=FEEDBACK_TOPIC, key=opinion.turn_id.encode(), value=value.encode())
