"""The topics of the contract: names, partitions and settings."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from kogpt2_chat.domain.chat.bots import BOT_IDS

QUESTION_TOPIC: Final = "bot_question"
TURN_TOPIC: Final = "conversation_log"
FEEDBACK_TOPIC: Final = "feedback"
DEAD_LETTER_TOPIC: Final = "bot_question.dead_letter"
REPORT_TOPIC: Final = "report"
MODERATION_TOPIC: Final = "moderation"
WORLD_TOPIC: Final = "world_state"
ROLLOUT_TOPIC: Final = "rollout_state"
WORKER_TOPIC: Final = "worker_state"
WORKER_GROUP: Final = "kogpt2-worker"

OFFSETS_RETENTION_DAYS: Final = 10 * 365
"""How long the broker of the stack keeps the committed offsets of a consumer group without members."""
MIN_OFFSETS_RETENTION_DAYS: Final = 28
"""Minimum offset retention on any broker. A question is kept for 7 days, and for up to 7 more in a segment that is not
full. If the offsets expire first, returning workers start at the beginning and answer questions a second time. Kafka's
default is 7 days."""

_HOUR_MS: Final = 60 * 60 * 1000
_DAY_MS: Final = 24 * _HOUR_MS
_MIB: Final = 1024 * 1024
_DEFAULT_MAX_BYTES: Final = _MIB
"""The limit of a topic that sets none; brokers allow 12 bytes more."""
_HEADROOM_BYTES: Final = 16 * 1024
"""Room for key, headers and the record's overhead, which ``max.message.bytes`` includes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """A topic as the contract defines it.

    Attributes:
        configs: topic settings by their Kafka names; settings that are not listed keep the broker's default.
    """

    name: str
    partitions: int
    configs: Mapping[str, str] = field(default_factory=dict)

    @property
    def compacted(self) -> bool:
        """Whether the topic is compacted, so that only the last value per key counts."""
        return self.configs.get("cleanup.policy") == "compact"

    @property
    def max_message_bytes(self) -> int:
        """Largest record that the topic accepts."""
        return int(self.configs.get("max.message.bytes", _DEFAULT_MAX_BYTES))

    @property
    def max_value_bytes(self) -> int:
        """Largest value that leaves room for the rest of its record."""
        return self.max_message_bytes - _HEADROOM_BYTES


def _kept(days: int) -> dict[str, str]:
    return {"retention.ms": str(days * _DAY_MS)}


_COMPACTED: Final = {"cleanup.policy": "compact"}
# The clock of a client must not affect retention or the age of feedback.
_BROKER_TIME: Final = {"message.timestamp.type": "LogAppendTime"}
CORRECTED_CONFIGS: Final = frozenset(_BROKER_TIME)
"""Settings that are also corrected on existing topics, since earlier releases created topics without them."""

TOPICS: Final = (
    # The limit is larger than a valid question, so that an oversized one still arrives and becomes a dead letter.
    Topic(name=QUESTION_TOPIC, partitions=12, configs={**_kept(7), **_BROKER_TIME, "max.message.bytes": str(_MIB)}),
    *(Topic(name=bot, partitions=3, configs=_kept(2)) for bot in BOT_IDS),
    Topic(name=TURN_TOPIC, partitions=12, configs={**_kept(14), **_BROKER_TIME}),
    Topic(name=FEEDBACK_TOPIC, partitions=3, configs={**_kept(14), **_BROKER_TIME}),
    Topic(name=DEAD_LETTER_TOPIC, partitions=1, configs={**_kept(30), "max.message.bytes": str(2 * _MIB)}),
    Topic(name=REPORT_TOPIC, partitions=1, configs={**_kept(30), **_BROKER_TIME}),
    Topic(name=MODERATION_TOPIC, partitions=1, configs=_COMPACTED),
    # Gateways read only the last seconds of it.
    Topic(name=WORLD_TOPIC, partitions=1, configs={"retention.ms": str(_HOUR_MS), **_BROKER_TIME}),
    Topic(name=ROLLOUT_TOPIC, partitions=1, configs=_COMPACTED),
    Topic(name=WORKER_TOPIC, partitions=1, configs=_COMPACTED),
)
TOPIC_BY_NAME: Final = {topic.name: topic for topic in TOPICS}
