"""The rollout job and the worker's own control, together: both sides of `rollout_state` mean the same."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from kogpt2_chat.errors import CheckpointCorrupt, Unavailable
from kogpt2_chat.jobs.rollout import rollback, rollout
from kogpt2_chat.jobs.switch import Clock
from kogpt2_chat.model.engine import BotModel
from kogpt2_chat.settings import Rollout, Settings
from kogpt2_chat.testing.engine import ScriptedEngine, ScriptedModel
from kogpt2_chat.testing.kafka import Broker, MemoryTopics
from kogpt2_chat.testing.registry import MemoryRegistry
from serving.control import Control
from serving.shelf import Shelf
from serving.slot import Slots

BOT = "ChatbotC"
SETTINGS = Settings(rollout=Rollout(ready_timeout_s=20, poll_s=0.01))


class Machine:
    """One worker that acts each time the job waits, and a registry with versions to serve."""

    def __init__(self, folder: Path) -> None:
        self.topics = MemoryTopics(Broker())
        self.topics.ensure()
        self.registry = MemoryRegistry()
        self.slots = Slots()
        self.engine = ScriptedEngine()
        self.rotten: set[str] = set()
        shelf = Shelf(folder=folder, registry=lambda: self.registry, load=self.load, make_engine=ScriptedEngine)
        self.control = Control(topics=self.topics, slots=self.slots, shelf=shelf, worker="worker-1", every_s=0.01)
        self._pausing = threading.Event()

    def load(self, folder: Path) -> BotModel:
        if folder.name in self.rotten:
            raise CheckpointCorrupt(f"{folder.name}: model.safetensors: 해시가 다름")
        return ScriptedModel(folder.name)

    def pause(self, seconds: float) -> None:
        self.control.tick()
        self.slots.swap(self.engine)
        self.control.tick()
        self._pausing.wait(seconds)

    def train(self) -> int:
        run_id = self.registry.start_run("학습", {}, {})
        self.registry.runs[run_id].files["version/model.json"] = b"{}"
        return self.registry.add_version(BOT, run_id, "version", {"gate": "pass"})

    def rollout(self, version: int) -> dict[str, object]:
        return rollout(
            bot=BOT,
            topics=self.topics,
            registry=self.registry,
            settings=SETTINGS,
            progress=lambda _line: None,
            version=version,
            clock=Clock(pause=self.pause),
        )

    def serves(self) -> str:
        return str(self.engine.models[BOT].version)  # type: ignore[attr-defined]

    def champion(self) -> int:
        found = self.registry.by_alias(BOT, "champion")
        assert found is not None
        return found.version


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path)
    yield made
    made.control.stop()


def test_a_version_speaks_before_it_is_champion(machine: Machine) -> None:
    """When the alias has moved, the engine has the model, for the first version and for the next."""
    for version in (machine.train(), machine.train()):
        result = machine.rollout(version)

        assert result["workers"] == ["worker-1"]
        assert (machine.serves(), machine.champion()) == (str(version), version)


def test_a_rotten_version_never_speaks(machine: Machine) -> None:
    """The worker's words reach the error, the old version serves on, and a sound copy can be rolled out later."""
    machine.rollout(machine.train())
    second = machine.train()
    machine.rotten.add(str(second))

    with pytest.raises(Unavailable, match="해시가 다름"):
        machine.rollout(second)

    machine.pause(0)
    assert (machine.serves(), machine.champion()) == ("1", 1)
    assert next(report for report in machine.slots.reports() if report.bot == BOT).state == "ready"
    machine.rotten.clear()
    machine.rollout(second)
    assert (machine.serves(), machine.champion()) == ("2", 2)


def test_a_rotten_first_version_leaves_the_bot_silent_and_can_be_replaced(machine: Machine) -> None:
    """There is nothing to put back; the next good version speaks."""
    first, second = machine.train(), machine.train()
    machine.rotten.add(str(first))
    with pytest.raises(Unavailable, match="no version to speak with"):
        machine.rollout(first)

    machine.rollout(second)

    assert (machine.serves(), machine.champion()) == ("2", 2)


def test_rollback_reaches_the_worker(machine: Machine) -> None:
    """The previous version, still warm, answers again."""
    for version in (machine.train(), machine.train()):
        machine.rollout(version)

    rollback(
        bot=BOT,
        topics=machine.topics,
        registry=machine.registry,
        settings=SETTINGS,
        progress=lambda _line: None,
        clock=Clock(pause=machine.pause),
    )

    assert (machine.serves(), machine.champion()) == ("1", 1)
