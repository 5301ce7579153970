"""How long a broker remembers where workers stopped reading: too short, and old questions are answered again."""

from contextlib import closing
from typing import Final

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import KafkaError

from kogpt2_chat.adapters.kafka.topics import connection
from kogpt2_chat.domain.chat.topics import OFFSETS_KEPT_DAYS_AT_LEAST
from kogpt2_chat.settings import Settings

_NAME: Final = "offsets.retention.minutes"
_MINUTES_A_DAY: Final = 24 * 60


def offsets_warning(settings: Settings) -> str | None:
    """What an operator has to change on the brokers.

    Args:
        settings: which brokers.

    Returns:
        A sentence; None where all is well, or where the brokers do not say.
    """
    try:
        found = _minutes(settings)
    except (KafkaError, OSError):  # away, or it is not ours to ask; whether it is away is told elsewhere
        return None
    needed = OFFSETS_KEPT_DAYS_AT_LEAST * _MINUTES_A_DAY
    if found is None or found >= needed:
        return None
    return (
        f"Kafka at {settings.kafka_bootstrap} forgets after {found / _MINUTES_A_DAY:g} days without workers where they "
        f"stopped reading ({_NAME}={found}), and questions can live longer: workers that come back later answer them "
        f"again. Set {_NAME} on the brokers to {needed} or more ({OFFSETS_KEPT_DAYS_AT_LEAST} days)"
    )


def _minutes(settings: Settings) -> int | None:
    """The shortest of all brokers: any of them may coordinate the group."""
    with closing(KafkaAdminClient(**connection(settings))) as admin:
        found = admin.describe_cluster()["brokers"]
        brokers = [str(broker["broker_id"]) for broker in found if not broker.get("is_fenced")]
        resources = [ConfigResource(ConfigResourceType.BROKER, broker) for broker in brokers]
        configs = admin.describe_configs(resources, config_filter="all").get("broker", {})
    values = [configs[broker][_NAME]["value"] for broker in brokers if _NAME in configs.get(broker, {})]
    return min((int(value) for value in values), default=None)
