"""Sending after a failure: against a scripted producer, since the real one breaks only once in many outages."""

from typing import Any

import pytest
from kafka.errors import KafkaTimeoutError

from kogpt2_chat.adapters.kafka import topics as adapter
from kogpt2_chat.errors import Unavailable
from kogpt2_chat.ports import Outgoing
from kogpt2_chat.settings import Settings


class Producer:
    """The client's, which sends nothing any more after its records have expired once."""

    made: "list[Producer]"

    def __init__(self, **_: Any) -> None:
        self.sent: list[str] = []
        self.is_closed = self.is_broken = False
        self.made.append(self)

    def send(self, topic: str, value: bytes, key: bytes, headers: Any) -> "Producer":
        assert not self.is_closed
        self.sent.append(topic)
        return self

    def get(self, timeout: float) -> None:
        if self.is_broken:
            raise KafkaTimeoutError(f"Timeout after waiting for {timeout} secs.")

    def close(self, timeout: float) -> None:
        assert timeout == 0, "what it holds would still be sent"
        self.is_closed = True


def test_a_producer_that_failed_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next call sends through a new one, and nothing of the failed call is sent later; a good one is kept."""
    monkeypatch.setattr(Producer, "made", [], raising=False)
    monkeypatch.setattr(adapter, "KafkaProducer", Producer)
    topics = adapter.KafkaTopics(Settings())
    record = Outgoing(topic="bot_question", key=b"a", value=b"b")
    topics.send([record])
    (first,) = Producer.made
    first.is_broken = True
    with pytest.raises(Unavailable, match="KafkaTimeoutError"):
        topics.send([record])
    assert first.is_closed
    topics.send([record])
    topics.send([record])
    assert [producer.sent for producer in Producer.made] == [["bot_question"] * 2, ["bot_question"] * 2]
