"""The facts about the bots, from workers' heartbeats on Kafka's double and an MLflow that is away."""

import itertools
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pytest

from kogpt2_chat.domain.chat.topics import WORKER_TOPIC
from kogpt2_chat.domain.rollout.states import SlotReport, WorkerState
from kogpt2_chat.errors import Unavailable
from kogpt2_chat.ports import Follower, Outgoing, Record
from kogpt2_chat.server_sections import Mlflow
from kogpt2_chat.settings import Settings
from kogpt2_chat.testing.kafka import Broker, InMemoryTopics
from world.gateway.facts import FactsReader
from world.gateway.stages import BotFacts


class HeartbeatTopics(InMemoryTopics):
    """Kafka's double; a test decides what a poll does before it returns records.

    Attributes:
        opened: how many followers were opened.
        polls: how many polls there were.
        before_poll: called before each poll.
    """

    def __init__(self) -> None:
        super().__init__(Broker())
        self.ensure()
        self.opened = self.polls = 0
        self.before_poll: Callable[[], None] = lambda: None

    def follow(self, topics: Iterable[str], *, from_end: bool = True) -> Follower:
        self.opened += 1
        inner = super().follow(topics, from_end=from_end)
        poll = inner.poll

        def watched(timeout_s: float) -> Sequence[Record]:
            self.polls += 1
            self.before_poll()
            return poll(min(timeout_s, 0.01))

        inner.poll = watched  # type: ignore[method-assign]
        return inner


@pytest.fixture
def topics() -> HeartbeatTopics:
    return HeartbeatTopics()


@pytest.fixture
def reader(topics: HeartbeatTopics, tmp_path: Path) -> FactsReader:
    settings = Settings(home=tmp_path, mlflow=Mlflow(tracking_uri="http://127.0.0.1:1"))
    return FactsReader(settings, topics)


def heartbeat(version: int, at: int) -> Outgoing:
    slot = SlotReport(bot="ChatbotA", version=version, state="ready")
    state = WorkerState(worker="worker-1", epoch_by_bot={}, slots=(slot,), at=f"2026-11-27T00:00:{at:02}+00:00")
    return Outgoing(topic=WORKER_TOPIC, key=b"worker-1", value=state.to_json().encode())


def test_a_worker_counts_while_its_heartbeat_changes(reader: FactsReader, topics: HeartbeatTopics) -> None:
    """Without MLflow too. One that has shut down is gone at once; a record of something else is ignored."""
    topics.send([heartbeat(3, 0)])
    assert reader.read()["ChatbotA"] == BotFacts()
    topics.send([heartbeat(3, 1), Outgoing(topic=WORKER_TOPIC, key=b"x", value=b"{")])
    facts = reader.read()
    assert facts["ChatbotA"] == BotFacts(alive=True, ready=3)
    assert facts["ChatbotB"] == BotFacts()
    topics.send([Outgoing(topic=WORKER_TOPIC, key=b"worker-1", value=None)])
    assert reader.read()["ChatbotA"] == BotFacts()


def test_heartbeats_without_end_do_not_hold_it_up(reader: FactsReader, topics: HeartbeatTopics) -> None:
    """A dozen workers write all the time, so there may always be one more record."""
    seconds = itertools.cycle(range(60))

    def beat() -> None:
        assert topics.polls < 1000
        topics.send([heartbeat(4, next(seconds))])

    topics.before_poll = beat
    reader.read()
    assert reader.read()["ChatbotA"] == BotFacts(alive=True, ready=4)


@pytest.mark.parametrize(("error", "opened"), [(Unavailable("no broker"), 1), (RuntimeError("a bug"), 2)])
def test_after_an_error_the_heartbeats_are_read_on(
    reader: FactsReader, topics: HeartbeatTopics, error: Exception, opened: int
) -> None:
    """An error that the client library did not expect may come again with each poll, so the topic is opened again."""
    topics.send([heartbeat(3, 0)])
    reader.read()

    def fail() -> None:
        raise error

    topics.before_poll = fail
    with pytest.raises(type(error)):
        reader.read()
    topics.before_poll = lambda: None
    topics.send([heartbeat(3, 1)])
    assert reader.read()["ChatbotA"] == BotFacts(alive=True, ready=3)
    assert topics.opened == opened
