"""The facts about the bots, as a gateway reads them that starts beside workers, dead ones among them."""

import itertools
from pathlib import Path

import pytest

from kogpt2_chat.domain.chat.topics import WORKER_TOPIC
from kogpt2_chat.domain.rollout.states import SlotReport, WorkerState
from kogpt2_chat.ports import Outgoing
from kogpt2_chat.settings import Settings
from kogpt2_chat.testing.kafka import InMemoryTopics
from tests.world.served import in_memory_topics
from world.gateway.facts import FactsReader
from world.gateway.stages import BotFacts

HEARTBEATS_OF_A_DAY = 28_800
_TIMES = itertools.count()


@pytest.fixture
def topics() -> InMemoryTopics:
    return in_memory_topics()


@pytest.fixture
def reader(topics: InMemoryTopics, tmp_path: Path) -> FactsReader:
    """It finds no MLflow."""
    return FactsReader(Settings(home=tmp_path, ports={"mlflow": 1}), topics)


def heartbeat(worker: str, version: int) -> Outgoing:
    slots = (SlotReport(bot="ChatbotA", version=version, state="ready"),)
    state = WorkerState(worker=worker, epoch_by_bot={}, slots=slots, at=f"{next(_TIMES)}")
    return Outgoing(topic=WORKER_TOPIC, key=worker.encode(), value=state.to_json().encode())


def test_old_heartbeats_do_not_count(topics: InMemoryTopics, reader: FactsReader) -> None:
    """A worker that died long ago is not shown, and its past versions are not shown one after the other."""
    topics.send(heartbeat("worker-9", 1 + number // 20_000) for number in range(HEARTBEATS_OF_A_DAY))
    topics.send([heartbeat("worker-1", 3)])
    assert reader.read()["ChatbotA"] == BotFacts()
    assert reader.read()["ChatbotA"] == BotFacts()
    topics.send([heartbeat("worker-1", 3)])
    assert reader.read()["ChatbotA"] == BotFacts(alive=True, ready=3)


def test_a_worker_that_signs_off_is_gone_at_once(topics: InMemoryTopics, reader: FactsReader) -> None:
    """Nobody waits until its heartbeats are missed."""
    reader.read()
    topics.send([heartbeat("worker-1", 3)])
    assert reader.read()["ChatbotA"].alive
    topics.send([Outgoing(topic=WORKER_TOPIC, key=b"worker-1", value=None)])
    assert reader.read()["ChatbotA"] == BotFacts()
