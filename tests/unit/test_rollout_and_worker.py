"""The rollout job and a real rollout follower work together through `rollout_state`."""

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


class RolledOutWorker(OneWorker):
    """A real worker that acts each time the job waits, and a registry with its versions."""

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

    def serving(self) -> str:
        return str(self.slots.route(BOT).loaded.model.label)  # type: ignore[attr-defined]

    def champion(self) -> int:
        found = self.registry.by_alias(BOT, "champion")
        assert found is not None
        return found.version


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[RolledOutWorker]:
    made = RolledOutWorker(tmp_path)
    yield made
    made.follower.stop()


def test_a_version_answers_before_it_is_champion(worker: RolledOutWorker) -> None:
    """When the alias moves, the worker already serves the model. This holds for the first version and for later ones."""
    for version in (worker.train(BOT), worker.train(BOT)):
        result = worker.rollout(version)

        assert result.workers == ("worker-1",)
        assert (worker.serving(), worker.champion()) == (str(version), version)


def test_a_corrupt_version_never_answers(worker: RolledOutWorker) -> None:
    """The error quotes the worker, the old version continues to answer, and an intact copy can be rolled out later."""
    worker.rollout(worker.train(BOT))
    second = worker.train(BOT)
    worker.corrupt.add(str(second))

    with pytest.raises(Unavailable, match="해시가 다름"):
        worker.rollout(second)

    worker.pause(0)
    assert (worker.serving(), worker.champion()) == ("1", 1)
    assert next(report for report in worker.slots.reports() if report.bot == BOT).state == "ready"
    worker.corrupt.clear()
    worker.rollout(second)
    assert (worker.serving(), worker.champion()) == ("2", 2)


def test_a_corrupt_first_version_leaves_the_bot_without_a_version(worker: RolledOutWorker) -> None:
    """There is no earlier version to restore. The next good version answers."""
    first, second = worker.train(BOT), worker.train(BOT)
    worker.corrupt.add(str(first))
    with pytest.raises(Unavailable, match="no version that could answer"):
        worker.rollout(first)

    worker.rollout(second)

    assert (worker.serving(), worker.champion()) == ("2", 2)


def test_an_equal_number_from_another_registry_is_another_version(worker: RolledOutWorker) -> None:
    """The registry was lost and starts at 1 again. The cached old version 1 is not served instead of the new one."""
    worker.rollout(worker.train(BOT))
    old = worker.slots.route(BOT).loaded
    worker.registry = InMemoryRegistry()
    version = worker.train(BOT)
    worker.registry.runs[worker.registry.get(BOT, version).run_id].files["version/model.json"] = b'{"dataset": "new"}'

    worker.rollout(version)

    new = worker.slots.route(BOT).loaded
    assert old is not None
    assert new is not None
    assert (old.version, new.version) == (1, 1)
    assert (worker.folder / BOT / "1" / "model.json").read_bytes() == b'{"dataset": "new"}'
    assert new.digest != old.digest
    assert worker.champion() == 1
    repeated = worker.rollout(version)
    assert repeated.changed is False


def test_a_version_of_a_lost_registry_never_becomes_previous(worker: RolledOutWorker) -> None:
    """A rollback could not download it. The rollout itself succeeds."""
    for _ in range(3):
        worker.rollout(worker.train(BOT))
    worker.registry = InMemoryRegistry()

    worker.rollout(worker.train(BOT))

    assert (worker.serving(), worker.champion()) == ("1", 1)
    assert worker.registry.by_alias(BOT, "previous") is None


def test_the_serving_version_stays_on_disk_until_a_new_one_with_its_number_loads(worker: RolledOutWorker) -> None:
    """If version 1 of a new registry does not load, the old version 1 must still answer after a restart."""
    worker.rollout(worker.train(BOT))
    old = (worker.folder / BOT / "1" / "model.json").read_bytes()
    worker.registry = InMemoryRegistry()
    version = worker.train(BOT)
    worker.registry.runs[worker.registry.get(BOT, version).run_id].files["version/model.json"] = b'{"dataset": "new"}'
    worker.corrupt.add(str(version))

    with pytest.raises(Unavailable, match="version 1 continues to answer"):
        worker.rollout(version)

    assert (worker.folder / BOT / "1" / "model.json").read_bytes() == old
    assert [path.name for path in (worker.folder / BOT).glob(".*.before")] == []


def test_rollback_reaches_the_worker(worker: RolledOutWorker) -> None:
    """The previous version, still warm, answers again."""
    for version in (worker.train(BOT), worker.train(BOT)):
        worker.rollout(version)

    rollback(
        bot=BOT,
        topics=worker.topics,
        registry=worker.registry,
        settings=SETTINGS,
        progress=lambda _line: None,
        clock=Clock(pause=worker.pause),
    )

    assert (worker.serving(), worker.champion()) == ("1", 1)
