"""Topics on a broker that earlier releases used, against a scripted admin client."""

import uuid
from typing import Any

import pytest

from kogpt2_chat.adapters.kafka.admin import ensure_topics, topic_id
from kogpt2_chat.domain.chat.topics import TOPICS
from kogpt2_chat.errors import InvalidInput


class Admin:
    """A broker with every topic of the contract, as a release made them that did not name whose clock dates records."""

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
        self.refuses, self.late = False, 0
        self.given = uuid.uuid4()

    def list_topics(self) -> list[str]:
        return list(self.configs)

    def wait_for_topics(self, names: list[str], timeout_ms: int) -> None:
        assert names == []

    def describe_topics(self, names: list[str]) -> list[dict[str, Any]]:
        partitions = {topic.name: topic.partitions for topic in TOPICS}
        return [{"name": n, "topic_id": self.given, "partitions": [None] * partitions[n]} for n in names]

    def describe_configs(self, resources: list[Any], config_filter: str) -> dict[str, Any]:
        assert config_filter == "all"
        found = {r.name: {n: {"value": v} for n, v in self.configs[r.name].items()} for r in resources}
        self.late -= 1
        if self.late <= 0:
            for name, configs in self.altered.items():
                self.configs[name] |= configs
        return {"topic": found}

    def alter_configs(self, resources: list[Any]) -> dict[str, dict[str, str]]:
        """In force a moment later, as brokers have it; a refusal is an answer and no error."""
        if self.refuses:
            return {"topic": {r.name: "[Error 29] TopicAuthorizationFailedError" for r in resources}}
        self.altered, self.late = {r.name: dict(r.configs) for r in resources}, 3
        return {"topic": dict.fromkeys(self.altered, "OK")}


def test_topics_of_an_earlier_release_get_the_brokers_clock() -> None:
    """Those whose times count, once; a second start finds nothing to do."""
    admin = Admin()
    assert ensure_topics(admin, 1, 30.0) == []
    wanted = {"message.timestamp.type": "LogAppendTime"}
    assert admin.altered == {"bot_question": wanted, "conversation_log": wanted, "feedback": wanted}
    admin.altered.clear()
    ensure_topics(admin, 1, 30.0)
    assert admin.altered == {}


def test_a_broker_that_refuses_says_what_an_operator_has_to_alter() -> None:
    """Not as a broker that is away."""
    admin = Admin()
    admin.refuses = True
    with pytest.raises(InvalidInput, match=r"refused to alter.*TopicAuthorizationFailed[\s\S]*expected LogAppendTime"):
        ensure_topics(admin, 1, 30.0)


def test_what_somebody_chose_is_not_altered() -> None:
    """A retention of their own is named and left."""
    admin = Admin(**{"retention.ms": "1"})
    with pytest.raises(InvalidInput, match=r"feedback: retention\.ms=1"):
        ensure_topics(admin, 1, 30.0)
    assert admin.configs["feedback"]["retention.ms"] == "1"


def test_a_topic_has_the_brokers_id() -> None:
    """None where there is no such topic; empty where the broker gives no ids."""
    admin = Admin()
    assert topic_id(admin, "feedback") == str(admin.given)
    assert topic_id(admin, "nope") is None
    admin.given = uuid.UUID(int=0)
    assert topic_id(admin, "feedback") == ""
