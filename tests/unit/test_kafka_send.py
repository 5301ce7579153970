"""Sending after a failure, with a scripted producer, since the real one rarely fails in this way."""

from typing import Any

import pytest
from kafka.errors import KafkaTimeoutError

from kogpt2_chat.adapters.kafka import topics as adapter
from kogpt2_chat.errors import Unavailable
from kogpt2_chat.ports import Outgoing
from kogpt2_chat.settings import Settings


class Producer:
    """A producer that fails while ``is_broken``, as the client's does after its records have expired."""

    instances: "list[Producer]"

    def __init__(self, **_: Any) -> None:
        self.sent: list[str] = []
        self.is_closed = self.is_broken = False
        self.instances.append(self)

    def send(self, topic: str, value: bytes, key: bytes, headers: Any) -> "Producer":
        assert not self.is_closed
        self.sent.append(topic)
        return self

    def get(self, timeout: float) -> None:
        if self.is_broken:
            raise KafkaTimeoutError(f"Timeout after waiting for {timeout} secs.")

    def close(self, timeout: float) -> None:
        assert timeout == 0, "buffered records would still be sent"
        self.is_closed = True


def test_a_producer_that_failed_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next call uses a new producer, and records of the failed call are not sent later. A working one is reused."""
    monkeypatch.setattr(Producer, "instances", [], raising=False)
    monkeypatch.setattr(adapter, "KafkaProducer", Producer)
    topics = adapter.KafkaTopics(Settings())
    record = Outgoing(topic="bot_question", key=b"a", value=b"b")
    topics.send([record])
    (first,) = Producer.instances
    first.is_broken = True
    with pytest.raises(Unavailable, match="KafkaTimeoutError"):
        topics.send([record])
    assert first.is_closed
    topics.send([record])
    topics.send([record])
    assert [producer.sent for producer in Producer.instances] == [["bot_question"] * 2, ["bot_question"] * 2]
