"""Create the contract's topics on a broker, correct their settings and identify them by topic id."""

import time
import uuid
from collections.abc import Sequence
from typing import Any, Final

from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import TopicAlreadyExistsError

from kogpt2_chat.domain.chat.topics import CORRECTED_CONFIGS, TOPICS, Topic
from kogpt2_chat.errors import InvalidInput

_POLL_S: Final = 0.05


def ensure_topics(admin: Any, replication_factor: int, timeout_s: float) -> list[str]:
    """Create missing topics, and correct those settings of existing topics that may change on a running system.

    Args:
        admin: the client library's admin client.
        replication_factor: the replication factor of new topics.
        timeout_s: how long to wait until the new topics exist and the corrected settings are in effect.

    Returns:
        The names of the topics created.

    Raises:
        InvalidInput: topics exist whose partitions or settings differ from the contract; the message lists them all.
    """
    existing = set(admin.list_topics())
    missing = [topic for topic in TOPICS if topic.name not in existing]
    for topic in missing:
        _create(admin, topic, replication_factor)
    admin.wait_for_topics([topic.name for topic in missing], timeout_ms=int(timeout_s * 1000))
    known = [topic for topic in TOPICS if topic.name in existing]
    refusal = _correct_configs(admin, known, timeout_s)
    differing = _differences(admin, known)
    if differing:
        raise InvalidInput(
            "topics exist whose settings differ from the contract; alter or delete them, then try again"
            f"{refusal}:\n  " + "\n  ".join(differing)
        )
    return [topic.name for topic in missing]


def topic_id(admin: Any, topic: str) -> str | None:
    """Return the id of a topic.

    Args:
        admin: the client library's admin client.
        topic: the topic's name.

    Returns:
        The id as text; empty if the broker assigns no topic ids; None if the topic does not exist.
    """
    if topic not in admin.list_topics():
        return None
    (found,) = admin.describe_topics([topic])
    found_id = found.get("topic_id")
    return str(found_id) if found_id and uuid.UUID(str(found_id)).int else ""


def _create(admin: Any, topic: Topic, replication_factor: int) -> None:
    wanted = {
        "num_partitions": topic.partitions,
        "replication_factor": replication_factor,
        "configs": dict(topic.configs),
    }
    try:
        admin.create_topics({topic.name: wanted})
    except TopicAlreadyExistsError:  # another process created it first
        return


def _correct_configs(admin: Any, topics: Sequence[Topic], timeout_s: float) -> str:
    """Alter the settings named in ``CORRECTED_CONFIGS`` and wait until they are in effect.

    Returns the part of an error message that lists the topics that the broker refused to alter; empty if none.
    """
    to_correct = _correctable(admin, topics)
    if not to_correct:
        return ""
    resources = [ConfigResource(ConfigResourceType.TOPIC, name, configs) for name, configs in to_correct.items()]
    # The client does not raise if individual topics fail: each reply is "OK" or the broker's error text.
    replies = admin.alter_configs(resources)["topic"]
    refusals = [f"{name}: {reply}" for name, reply in sorted(replies.items()) if reply != "OK"]
    if refusals:
        return f" (the broker refused to alter {'; '.join(refusals)})"
    deadline = time.monotonic() + timeout_s
    # Brokers receive the change a moment after the controller.
    while _correctable(admin, topics) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    return ""


def _correctable(admin: Any, topics: Sequence[Topic]) -> dict[str, dict[str, str]]:
    """Return the settings to correct, by topic."""
    found = _configs(admin, topics)
    wanted = {
        topic.name: {name: topic.configs[name] for name in CORRECTED_CONFIGS & topic.configs.keys()} for topic in topics
    }
    return {
        topic: configs
        for topic, configs in wanted.items()
        if any(found[topic].get(name) != value for name, value in configs.items())
    }


def _differences(admin: Any, topics: Sequence[Topic]) -> list[str]:
    """Return what an operator has to change, one line per difference."""
    if not topics:
        return []
    described = {topic["name"]: topic for topic in admin.describe_topics([topic.name for topic in topics])}
    configs = _configs(admin, topics)
    lines = []
    for topic in topics:
        partitions = len(described[topic.name]["partitions"])
        if partitions != topic.partitions:
            lines.append(f"{topic.name}: {partitions} partitions, expected {topic.partitions}")
        for name, wanted in topic.configs.items():
            found = configs[topic.name].get(name)
            if found != wanted:
                lines.append(f"{topic.name}: {name}={found}, expected {wanted}")
    return lines


def _configs(admin: Any, topics: Sequence[Topic]) -> dict[str, dict[str, str]]:
    """Return the current settings, by topic and name."""
    if not topics:
        return {}
    resources = [ConfigResource(ConfigResourceType.TOPIC, topic.name) for topic in topics]
    found = admin.describe_configs(resources, config_filter="all")["topic"]
    return {topic.name: {name: str(entry["value"]) for name, entry in found[topic.name].items()} for topic in topics}
