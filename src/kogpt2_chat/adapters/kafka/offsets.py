"""Check the brokers' offset retention: if committed offsets expire too early, old questions are answered again."""

from contextlib import closing
from typing import Final

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import KafkaError

from kogpt2_chat.adapters.kafka.topics import connection
from kogpt2_chat.domain.chat.topics import MIN_OFFSETS_RETENTION_DAYS
from kogpt2_chat.settings import Settings

_NAME: Final = "offsets.retention.minutes"
_MINUTES_PER_DAY: Final = 24 * 60


def offsets_warning(settings: Settings) -> str | None:
    """Return a warning if the brokers keep committed offsets for too short a time.

    Args:
        settings: the brokers' address.

    Returns:
        What an operator has to change; None if nothing, or if the brokers do not report the setting.
    """
    try:
        found = _minutes(settings)
    except (KafkaError, OSError):  # unreachable (reported elsewhere), or this user may not read broker settings
        return None
    needed = MIN_OFFSETS_RETENTION_DAYS * _MINUTES_PER_DAY
    if found is None or found >= needed:
        return None
    return (
        f"Kafka at {settings.kafka_bootstrap} drops committed offsets after {found / _MINUTES_PER_DAY:g} days without "
        f"workers ({_NAME}={found}), but questions can be kept longer: workers that start later answer them again. "
        f"Set {_NAME} on the brokers to {needed} or more ({MIN_OFFSETS_RETENTION_DAYS} days)"
    )


def _minutes(settings: Settings) -> int | None:
    """Return the shortest retention of all brokers, since any of them may coordinate the group."""
    with closing(KafkaAdminClient(**connection(settings))) as admin:
        found = admin.describe_cluster()["brokers"]
        brokers = [str(broker["broker_id"]) for broker in found if not broker.get("is_fenced")]
        resources = [ConfigResource(ConfigResourceType.BROKER, broker) for broker in brokers]
        configs = admin.describe_configs(resources, config_filter="all").get("broker", {})
    values = [configs[broker][_NAME]["value"] for broker in brokers if _NAME in configs.get(broker, {})]
    return min((int(value) for value in values), default=None)
