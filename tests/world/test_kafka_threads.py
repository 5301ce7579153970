"""The threads that use Kafka: they survive whatever goes wrong, and send nothing that came too late."""

import asyncio
from collections.abc import Iterable, Sequence

import pytest

from kogpt2_chat.errors import Unavailable
from kogpt2_chat.ports import Follower, Outgoing, Record
from kogpt2_chat.testing.kafka import Broker, InMemoryTopics
from tests.world.waiting import wait_until
from world.gateway.follow import TopicThread
from world.gateway.refused import Refused
from world.gateway.send import SendThread

TOPIC = "feedback"


class FailingTopics(InMemoryTopics):
    """Kafka's double; the next calls fail with the given errors."""

    def __init__(self) -> None:
        super().__init__(Broker())
        self.ensure()
        self.errors: list[Exception] = []

    def send(self, records: Iterable[Outgoing]) -> None:
        if self.errors:
            raise self.errors.pop(0)
        super().send(records)

    def follow(self, topics: Iterable[str], *, from_end: bool = True) -> Follower:
        if self.errors:
            raise self.errors.pop(0)
        return super().follow(topics, from_end=from_end)


def record(text: str) -> Outgoing:
    return Outgoing(topic=TOPIC, key=b"k", value=text.encode())


def sent(topics: InMemoryTopics) -> list[bytes | None]:
    return [found.value for found in topics._broker.all(TOPIC)]


@pytest.mark.parametrize("error", [Unavailable("no broker"), RuntimeError("a bug")])
def test_a_failure_to_send_is_not_repeated_and_ends_nothing(error: Exception) -> None:
    """The outcome is unknown, so the record is not sent again; later ones are, after a pause."""
    topics, clock = FailingTopics(), [0.0]
    sending = SendThread(topics, lambda: clock[0])
    topics.errors.append(error)
    sending.start()
    sending.send(record("하나"))
    wait_until(lambda: not sending.is_up)
    with pytest.raises(Refused, match="unavailable"):
        sending.send(record("둘"))
    clock[0] = 6.0
    sending.send(record("셋"))
    wait_until(lambda: sent(topics) == ["셋".encode()])
    sending.stop(5)


def test_what_waited_too_long_is_not_sent() -> None:
    """Its player has been told that there is no answer, and may have asked again."""
    topics, clock = FailingTopics(), [0.0]
    sending = SendThread(topics, lambda: clock[0])
    sending.send(record("늦음"))
    clock[0] = 11.0
    sending.send(record("제때"))
    sending.start()
    wait_until(lambda: bool(sent(topics)))
    sending.stop(5)
    assert sent(topics) == ["제때".encode()]


def test_a_follower_that_fails_is_opened_again() -> None:
    """Whatever the error was."""
    topics = FailingTopics()
    topics.errors += [Unavailable("no broker"), RuntimeError("a bug")]
    received: list[Record] = []

    async def run() -> None:
        arrived = asyncio.Event()

        def take(records: Sequence[Record]) -> None:
            received.extend(records)
            arrived.set()

        following = TopicThread(topics, [TOPIC], take)
        following.start(asyncio.get_running_loop())
        await following.following(20)
        topics.send([record("왔다")])
        await asyncio.wait_for(arrived.wait(), 20)
        following.stop(5)

    asyncio.run(run())
    assert [found.value for found in received] == ["왔다".encode()]
