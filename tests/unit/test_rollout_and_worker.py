"""The rollout job and the worker's own control thread agree on `rollout_state`."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from kogpt2_chat.errors import Unavailable
from kogpt2_chat.fleet.fleet import Clock
from kogpt2_chat.fleet.rollout_plan import RolloutResult
from kogpt2_chat.jobs.rollback import rollback
from kogpt2_chat.jobs.rollout import rollout
from kogpt2_chat.settings import Rollout, Settings
from kogpt2_chat.testing.registry import InMemoryRegistry
from tests.one_worker import OneWorker

BOT = "ChatbotC"
SETTINGS = Settings(rollout=Rollout(ready_timeout_s=20, poll_s=0.01))


class Machine(OneWorker):
    """One worker that acts each time the job waits, and a registry with versions to serve."""

    def rollout(self, version: int) -> RolloutResult:
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
        return str(self.slots.route(BOT).loaded.model.version)  # type: ignore[attr-defined]

    def champion(self) -> int:
        found = self.registry.by_alias(BOT, "champion")
        assert found is not None
        return found.version


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path)
    yield made
    made.control.stop()


def test_a_version_answers_before_it_is_champion(machine: Machine) -> None:
    """When the alias moves, the engine already has the model, for the first version and for later ones."""
    for version in (machine.train(BOT), machine.train(BOT)):
        result = machine.rollout(version)

        assert result.workers == ("worker-1",)
        assert (machine.serves(), machine.champion()) == (str(version), version)


def test_a_corrupt_version_never_answers(machine: Machine) -> None:
    """The error quotes the worker, the old version continues, and an intact copy can be rolled out later."""
    machine.rollout(machine.train(BOT))
    second = machine.train(BOT)
    machine.corrupt.add(str(second))

    with pytest.raises(Unavailable, match="해시가 다름"):
        machine.rollout(second)

    machine.pause(0)
    assert (machine.serves(), machine.champion()) == ("1", 1)
    assert next(report for report in machine.slots.reports() if report.bot == BOT).state == "ready"
    machine.corrupt.clear()
    machine.rollout(second)
    assert (machine.serves(), machine.champion()) == ("2", 2)


def test_a_corrupt_first_version_leaves_the_bot_without_a_version(machine: Machine) -> None:
    """No version can be restored; the next good version answers."""
    first, second = machine.train(BOT), machine.train(BOT)
    machine.corrupt.add(str(first))
    with pytest.raises(Unavailable, match="no version that could answer"):
        machine.rollout(first)

    machine.rollout(second)

    assert (machine.serves(), machine.champion()) == ("2", 2)


def test_an_equal_number_from_another_registry_is_another_version(machine: Machine) -> None:
    """The registry was lost and starts at 1 again: the cached old version 1 is not served for the new one."""
    machine.rollout(machine.train(BOT))
    old = machine.slots.route(BOT).loaded
    machine.registry = InMemoryRegistry()
    version = machine.train(BOT)
    machine.registry.runs[machine.registry.get(BOT, version).run_id].files["version/model.json"] = b'{"dataset": "new"}'

    machine.rollout(version)

    new = machine.slots.route(BOT).loaded
    assert old is not None
    assert new is not None
    assert (old.version, new.version) == (1, 1)
    assert (machine.folder / BOT / "1" / "model.json").read_bytes() == b'{"dataset": "new"}'
    assert machine.slots.route(BOT).loaded.model is new.model
    assert new.digest != old.digest
    assert machine.champion() == 1
    repeated = machine.rollout(version)
    assert repeated.changed is False


def test_a_version_of_a_lost_registry_never_becomes_previous(machine: Machine) -> None:
    """It could not be downloaded; the rollout itself succeeds."""
    for _ in range(3):
        machine.rollout(machine.train(BOT))
    machine.registry = InMemoryRegistry()

    machine.rollout(machine.train(BOT))

    assert (machine.serves(), machine.champion()) == ("1", 1)
    assert machine.registry.by_alias(BOT, "previous") is None


def test_the_serving_version_stays_on_disk_until_its_namesake_loads(machine: Machine) -> None:
    """The lost registry's version 1 must survive a restart if the new version 1 does not load."""
    machine.rollout(machine.train(BOT))
    old = (machine.folder / BOT / "1" / "model.json").read_bytes()
    machine.registry = InMemoryRegistry()
    version = machine.train(BOT)
    machine.registry.runs[machine.registry.get(BOT, version).run_id].files["version/model.json"] = b'{"dataset": "new"}'
    machine.corrupt.add(str(version))

    with pytest.raises(Unavailable, match="version 1 continues to answer"):
        machine.rollout(version)

    assert (machine.folder / BOT / "1" / "model.json").read_bytes() == old
    assert [path.name for path in (machine.folder / BOT).glob(".*.before")] == []


def test_rollback_reaches_the_worker(machine: Machine) -> None:
    """The previous version, still warm, answers again."""
    for version in (machine.train(BOT), machine.train(BOT)):
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
