"""A training whose disk becomes full: it ends with a clear error, and resumes once space is free."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kogpt2_chat.errors import Unavailable
from kogpt2_chat.jobs.finetune import finetune
from kogpt2_chat.machine.full_disk import full_disk
from kogpt2_chat.testing.hdfs import InMemoryFiles
from kogpt2_chat.testing.registry import InMemoryRegistry
from kogpt2_chat.training.base import prepare
from tests.model.loop_inputs import SEEDS, loop_settings, put_dataset
from tests.small_disk import SmallDisk, small_disk


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk", "32m") as disk:
        yield disk


class RepeatedTraining:
    """One training, which can be run repeatedly, as Airflow retries its task.

    Attributes:
        lines: the progress lines of all runs.
    """

    def __init__(self, folder: Path, home: Path, registry: InMemoryRegistry) -> None:
        settings = loop_settings(folder)
        training = settings.training.model_copy(update={"checkpoint_every_steps": 1})
        self.settings = settings.model_copy(update={"home": home, "training": training})
        self.registry, self.files, self.lines = registry, InMemoryFiles(), list[str]()
        put_dataset(self.files, "aaaa", lambda rows: rows(SEEDS, "seed", 1))
        prepare(self.settings, self.lines.append)

    def run(self, at: str = "", action: Callable[[], None] = lambda: None) -> dict[str, object]:
        """Train, and call the action at each progress line that starts with ``at``."""

        def progress(line: str) -> None:
            self.lines.append(line)
            if at and line.startswith(at):
                action()

        return finetune(
            bot="ChatbotA", dataset="aaaa", mode="from_base", epochs=4, files=self.files, registry=self.registry,
            settings=self.settings, progress=progress,
        )  # fmt: skip

    def version(self) -> bytes:
        """Return the weights of the last run."""
        *_, last = self.registry.runs.values()
        return last.files["version/model.safetensors"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the corpora and the cache, in which the base is made once."""
    return tmp_path_factory.mktemp("inputs")


@pytest.fixture(scope="module")
def undisturbed(folder: Path) -> RepeatedTraining:
    """The same training on a disk with enough space."""
    training = RepeatedTraining(folder, folder / "home", InMemoryRegistry())
    training.run()
    return training


@pytest.mark.parametrize(
    ("at", "runs", "resumed"),
    [
        ("8 pairs to learn", ["FINISHED"], []),
        ("epoch 2", ["FAILED", "FINISHED"], ["resumed at step 8"]),
        ("fitting thresholds", ["FAILED", "FINISHED"], ["resumed at step 15"]),
    ],
)
def test_a_training_resumes_after_a_full_disk(folder, undisturbed, disk, at, runs, resumed) -> None:
    """The disk is full before the run starts, between checkpoints or while the version is written."""
    training = RepeatedTraining(folder, disk.folder / "home", InMemoryRegistry())
    with pytest.raises(Exception, match="No space left on device") as raised:
        training.run(at, disk.fill)
    assert str(full_disk(raised.value)).startswith("the disk is full")
    disk.clear()
    training.run()

    assert [run.state for run in training.registry.runs.values()] == runs
    assert [line for line in training.lines if line.startswith("resumed")] == resumed
    assert training.version() == undisturbed.version()
    assert not list((training.settings.home / "training").rglob("*progress*"))


class RegistryOnTheSameDisk(InMemoryRegistry):
    """An MLflow whose database is on the full disk."""

    def __init__(self, disk: SmallDisk) -> None:
        super().__init__()
        self._disk = disk

    def end_run(self, run_id: str, *, failed: bool = False) -> None:
        if not self._disk.free_kb():
            raise Unavailable(f"closing run {run_id}: database or disk is full")
        super().end_run(run_id, failed=failed)


def test_the_error_of_a_training_is_reported_even_if_its_run_cannot_be_closed(folder, disk) -> None:
    """The first error is raised; a note says that MLflow still shows the run as active."""
    training = RepeatedTraining(folder, disk.folder / "home", RegistryOnTheSameDisk(disk))
    with pytest.raises(Exception, match="No space left on device") as raised:
        training.run("epoch 2", disk.fill)
    (note,) = raised.value.__notes__
    assert note.startswith("MLflow still shows run")
