"""Topics on a broker that earlier releases used, with a scripted admin client."""

import uuid
from typing import Any

import pytest

from kogpt2_chat.adapters.kafka.admin import ensure_topics, topic_id
from kogpt2_chat.domain.chat.topics import TOPICS
from kogpt2_chat.errors import InvalidInput


class Admin:
    """An admin client of a broker whose topics were created by a release that did not set the timestamp type."""

    def __init__(self, **other: str) -> None:
        self.configs = {
            topic.name: {
                "message.timestamp.type": "CreateTime",
                **{n: v for n, v in topic.configs.items() if "type" not in n},
            }
            for topic in TOPICS
        }
        self.configs["feedback"] |= other
        self.altered: dict[str, dict[str, str]] = {}
        self.refuses, self.delay_calls = False, 0
        self.assigned_id = uuid.uuid4()

    def list_topics(self) -> list[str]:
        return list(self.configs)

    def wait_for_topics(self, names: list[str], timeout_ms: int) -> None:
        assert names == []

    def describe_topics(self, names: list[str]) -> list[dict[str, Any]]:
        partitions = {topic.name: topic.partitions for topic in TOPICS}
        return [{"name": n, "topic_id": self.assigned_id, "partitions": [None] * partitions[n]} for n in names]

    def describe_configs(self, resources: list[Any], config_filter: str) -> dict[str, Any]:
        assert config_filter == "all"
        found = {r.name: {n: {"value": v} for n, v in self.configs[r.name].items()} for r in resources}
        self.delay_calls -= 1
        if self.delay_calls <= 0:
            for name, configs in self.altered.items():
                self.configs[name] |= configs
        return {"topic": found}

    def alter_configs(self, resources: list[Any]) -> dict[str, dict[str, str]]:
        """Apply the change a moment later, as brokers do; a refusal is a reply, not an exception."""
        if self.refuses:
            return {"topic": {r.name: "[Error 29] TopicAuthorizationFailedError" for r in resources}}
        self.altered, self.delay_calls = {r.name: dict(r.configs) for r in resources}, 3
        return {"topic": dict.fromkeys(self.altered, "OK")}


def test_topics_of_an_earlier_release_get_broker_timestamps() -> None:
    """Only topics whose timestamps matter are altered; a second start alters nothing."""
    admin = Admin()
    assert ensure_topics(admin, 1, 30.0) == []
    expected = {"message.timestamp.type": "LogAppendTime"}
    assert admin.altered == {
        "bot_question": expected,
        "conversation_log": expected,
        "feedback": expected,
        "report": expected,
        "world_state": expected,
    }
    admin.altered.clear()
    ensure_topics(admin, 1, 30.0)
    assert admin.altered == {}


def test_a_refused_change_is_reported_with_what_an_operator_has_to_change() -> None:
    """The error is InvalidInput, not Unavailable."""
    admin = Admin()
    admin.refuses = True
    with pytest.raises(InvalidInput, match=r"refused to alter.*TopicAuthorizationFailed[\s\S]*expected LogAppendTime"):
        ensure_topics(admin, 1, 30.0)


def test_other_settings_are_not_altered() -> None:
    """A retention that an operator changed is reported and left unchanged."""
    admin = Admin(**{"retention.ms": "1"})
    with pytest.raises(InvalidInput, match=r"feedback: retention\.ms=1"):
        ensure_topics(admin, 1, 30.0)
    assert admin.configs["feedback"]["retention.ms"] == "1"


def test_topic_id_returns_the_brokers_id() -> None:
    """It is None if the topic does not exist, and empty if the broker assigns no ids."""
    admin = Admin()
    assert topic_id(admin, "feedback") == str(admin.assigned_id)
    assert topic_id(admin, "nope") is None
    admin.assigned_id = uuid.UUID(int=0)
    assert topic_id(admin, "feedback") == ""
