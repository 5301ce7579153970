"""The contract's topics on a broker: made, put right, told apart from others of the same name."""

import time
import uuid
from collections.abc import Sequence
from typing import Any, Final

from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import TopicAlreadyExistsError

from kogpt2_chat.domain.chat.topics import RIGHTED, TOPICS, Topic
from kogpt2_chat.errors import InvalidInput

_LOOK_EVERY_S: Final = 0.05


def ensure_topics(admin: Any, replication_factor: int, timeout_s: float) -> list[str]:
    """Create the topics that are missing, and put right in the others what may be changed under a running system.

    Args:
        admin: the client library's admin client.
        replication_factor: of the topics created.
        timeout_s: how long to wait until they are there.

    Returns:
        The names of those created.

    Raises:
        InvalidInput: topics exist whose partitions or settings are not the contract's, all named.
    """
    existing = set(admin.list_topics())
    missing = [topic for topic in TOPICS if topic.name not in existing]
    for topic in missing:
        _create(admin, topic, replication_factor)
    admin.wait_for_topics([topic.name for topic in missing], timeout_ms=int(timeout_s * 1000))
    known = [topic for topic in TOPICS if topic.name in existing]
    refusal = _put_right(admin, known, timeout_s)
    differing = _differences(admin, known)
    if differing:
        raise InvalidInput(
            "topics exist with other settings than the contract's; alter or delete them, then try again"
            f"{refusal}:\n  " + "\n  ".join(differing)
        )
    return [topic.name for topic in missing]


def topic_id(admin: Any, topic: str) -> str | None:
    """The id of a topic.

    Args:
        admin: the client library's admin client.
        topic: its name.

    Returns:
        The id as text; empty where the broker gives none; None where there is no such topic.
    """
    if topic not in admin.list_topics():
        return None
    (found,) = admin.describe_topics([topic])
    given = found.get("topic_id")
    return str(given) if given and uuid.UUID(str(given)).int else ""


def _create(admin: Any, topic: Topic, replication_factor: int) -> None:
    wanted = {
        "num_partitions": topic.partitions,
        "replication_factor": replication_factor,
        "configs": dict(topic.configs),
    }
    try:
        admin.create_topics({topic.name: wanted})
    except TopicAlreadyExistsError:  # somebody else was faster
        return


def _put_right(admin: Any, topics: Sequence[Topic], timeout_s: float) -> str:
    """Alter what is in ``RIGHTED`` and wait until it is in force; where that is not allowed, the words that say so."""
    wrong = _wrong(admin, topics)
    if not wrong:
        return ""
    resources = [ConfigResource(ConfigResourceType.TOPIC, name, configs) for name, configs in wrong.items()]
    # The client raises for no single topic: each reply is "OK" or the broker's words.
    replies = admin.alter_configs(resources)["topic"]
    refusals = [f"{name}: {reply}" for name, reply in sorted(replies.items()) if reply != "OK"]
    if refusals:
        return f" (the broker refused to alter {'; '.join(refusals)})"
    deadline = time.monotonic() + timeout_s
    while _wrong(admin, topics) and time.monotonic() < deadline:  # brokers hear of it a moment after the controller
        time.sleep(_LOOK_EVERY_S)
    return ""


def _wrong(admin: Any, topics: Sequence[Topic]) -> dict[str, dict[str, str]]:
    """Settings that are to be put right, by topic."""
    found = _configs(admin, topics)
    wanted = {topic.name: {name: topic.configs[name] for name in RIGHTED & topic.configs.keys()} for topic in topics}
    return {
        topic: configs
        for topic, configs in wanted.items()
        if any(found[topic].get(name) != value for name, value in configs.items())
    }


def _differences(admin: Any, topics: Sequence[Topic]) -> list[str]:
    """What an operator has to change, one line a fault."""
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
    """Settings in force, by topic and name."""
    if not topics:
        return {}
    resources = [ConfigResource(ConfigResourceType.TOPIC, topic.name) for topic in topics]
    found = admin.describe_configs(resources, config_filter="all")["topic"]
    return {topic.name: {name: str(entry["value"]) for name, entry in found[topic.name].items()} for topic in topics}
