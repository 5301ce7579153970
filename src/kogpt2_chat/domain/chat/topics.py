"""The topics of the contract: names, partitions and settings."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from kogpt2_chat.domain.chat.bots import BOT_IDS

QUESTION_TOPIC: Final = "bot_question"
TURN_TOPIC: Final = "conversation_log"
FEEDBACK_TOPIC: Final = "feedback"
DEAD_LETTER_TOPIC: Final = "bot_question.dead_letter"
ROLLOUT_TOPIC: Final = "rollout_state"
WORKER_TOPIC: Final = "worker_state"
WORKER_GROUP: Final = "kogpt2-worker"

OFFSETS_KEPT_DAYS: Final = 10 * 365
"""How long the stack's broker remembers where a group has stopped reading once its last member is gone."""
OFFSETS_KEPT_DAYS_AT_LEAST: Final = 28
"""On anybody's broker. A question lives for 7 days, and as long again in a segment that is not full; where the position
is forgotten first, workers that come back begin at the beginning and answer again. Kafka's own default is 7 days."""

_DAY_MS: Final = 24 * 60 * 60 * 1000
_MIB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """A topic as the contract wants it.

    Attributes:
        configs: Kafka's own setting names and values; what is not named keeps the broker's default.
    """

    name: str
    partitions: int
    configs: Mapping[str, str] = field(default_factory=dict)

    @property
    def compacted(self) -> bool:
        """Whether only the last value of each key counts."""
        return self.configs.get("cleanup.policy") == "compact"


def _kept(days: int) -> dict[str, str]:
    return {"retention.ms": str(days * _DAY_MS)}


_COMPACTED: Final = {"cleanup.policy": "compact"}
# A sender's clock must decide neither when a record is dropped nor how old a teaching is.
_BROKER_TIME: Final = {"message.timestamp.type": "LogAppendTime"}
RIGHTED: Final = frozenset(_BROKER_TIME)
"""Settings that are put right in a topic that exists: earlier releases made topics without them."""

TOPICS: Final = (
    # Larger than a valid question, so that an oversized one arrives and becomes a dead letter.
    Topic(name=QUESTION_TOPIC, partitions=12, configs={**_kept(7), **_BROKER_TIME, "max.message.bytes": str(_MIB)}),
    *(Topic(name=bot, partitions=3, configs=_kept(2)) for bot in BOT_IDS),
    Topic(name=TURN_TOPIC, partitions=12, configs={**_kept(14), **_BROKER_TIME}),
    Topic(name=FEEDBACK_TOPIC, partitions=3, configs={**_kept(14), **_BROKER_TIME}),
    Topic(name=DEAD_LETTER_TOPIC, partitions=1, configs={**_kept(30), "max.message.bytes": str(2 * _MIB)}),
    Topic(name=ROLLOUT_TOPIC, partitions=1, configs=_COMPACTED),
    Topic(name=WORKER_TOPIC, partitions=1, configs=_COMPACTED),
)
TOPIC_BY_NAME: Final = {topic.name: topic for topic in TOPICS}
