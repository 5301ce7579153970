"""Input, checkpoints and result of a training on several ranks, and the job ``finetune`` that uses them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from kogpt2_chat.errors import AlreadyRunning, Unavailable
from kogpt2_chat.jobs.finetune import finetune
from kogpt2_chat.network.network import gpt2_config, new_network
from kogpt2_chat.testing.hdfs import InMemoryFiles
from kogpt2_chat.testing.registry import InMemoryRegistry
from kogpt2_chat.testing.spark import ScriptedSparkJobs
from kogpt2_chat.testing.tiny_gpt2 import weights_hash
from kogpt2_chat.training.fit import fit
from kogpt2_chat.training.training_folder import TrainingFolder, TrainingJob
from tests.model.loop_inputs import SEEDS, loop_settings, put_dataset
from tests.model.rank_process import make_examples
from tests.model.recipes import recipe_with

CONFIG = gpt2_config(vocabulary=300, layers=1, width=16, heads=2, positions=64, dropout=0.0)
JOB = TrainingJob(
    recipe=recipe_with(epochs=2, batch_size=4, learning_rate=1e-3, precision="fp32", checkpoint_every_steps=3),
    examples=make_examples(9),
    kept=[],
    validation=make_examples(2),
)


@pytest.fixture
def folder(tmp_path: Path) -> TrainingFolder:
    return TrainingFolder(InMemoryFiles(), "/Chatbot/training/x", tmp_path)


def test_a_job_arrives_as_it_was_sent(folder: TrainingFolder, tmp_path: Path) -> None:
    """Weights, recipe and examples."""
    network = new_network(CONFIG, 3)
    folder.write_job(network, JOB)
    (tmp_path / "job").rename(tmp_path / "sent")
    received, job = folder.read_job()
    assert weights_hash(received) == weights_hash(network)
    assert job == JOB


def test_the_newest_checkpoint_replaces_the_others(tmp_path: Path) -> None:
    """Step 12 is newer than step 3, and a training resumes from it."""
    files = InMemoryFiles()
    local, whole = new_network(CONFIG, 3), new_network(CONFIG, 3)
    sender = TrainingFolder(files, "/t", tmp_path / "sender")
    progress = tmp_path / "sender" / "progress"
    fit(
        local, JOB.examples, JOB.recipe, resume=progress,
        on_checkpoint=lambda step: sender.write_checkpoint(progress, step),
    )  # fmt: skip
    fit(whole, JOB.examples, JOB.recipe)
    [left] = files.list("/t")
    receiver, lines = TrainingFolder(files, "/t", tmp_path), []
    step = receiver.read_checkpoint(tmp_path / "resume")
    assert left == f"progress-{step:08}"
    resumed = new_network(CONFIG, 5)
    fit(resumed, JOB.examples, JOB.recipe, resume=tmp_path / "resume", progress=lines.append)
    assert f"resumed at step {step}" in lines
    assert weights_hash(resumed) == weights_hash(whole)


def test_without_a_checkpoint_a_training_starts_again(folder: TrainingFolder, tmp_path: Path) -> None:
    """Nothing is made up."""
    assert folder.read_checkpoint(tmp_path / "resume") == 0
    assert not (tmp_path / "resume").exists()


def test_two_runs_do_not_write_the_same_checkpoint(folder: TrainingFolder, tmp_path: Path) -> None:
    """The second one ends, and the first one's stays."""
    (tmp_path / "progress").mkdir()
    (tmp_path / "progress" / "x").write_text("first")
    folder.write_checkpoint(tmp_path / "progress", 5)
    with pytest.raises(AlreadyRunning, match="another run of this training is writing there"):
        folder.write_checkpoint(tmp_path / "progress", 5)


class RanksOfOne(ScriptedSparkJobs):
    """Spark whose job ``finetune`` trains as its only rank would."""

    def __init__(self, files: InMemoryFiles, scratch: Path, failure: str = "") -> None:
        super().__init__({"finetune": self._train})
        self._files, self._scratch, self._failure = files, scratch, failure

    def _train(self, arguments: Mapping[str, Any]) -> dict[str, object]:
        if self._failure:
            raise Unavailable(self._failure)
        folder = TrainingFolder(self._files, arguments["folder"], self._scratch)
        network, job = folder.read_job()
        reports = fit(network, job.examples, job.recipe, kept=job.kept, validation=job.validation)
        folder.write_result(network, reports)
        return {}


def test_a_version_trained_on_ranks_is_that_of_one_process(tmp_path: Path) -> None:
    """The same run, files and metrics; nothing stays in the lake. With several ranks, workers get the settings' cores."""
    hashes, losses = [], []
    for ranks in (1, 2):
        files, registry = InMemoryFiles(), InMemoryRegistry()
        put_dataset(files, "aaaa", lambda rows: rows(SEEDS, "seed", 1))
        settings = loop_settings(tmp_path)
        settings = settings.model_copy(
            update={
                "training": settings.training.model_copy(update={"ranks": ranks, "rank_cores": 3, "precision": "fp32"})
            }
        )
        spark = RanksOfOne(files, tmp_path / "rank")
        done = finetune(
            bot="ChatbotA", dataset="aaaa", mode="from_base", epochs=1, files=files, registry=registry,
            settings=settings, progress=lambda _: None, spark=spark if ranks > 1 else None,
        )  # fmt: skip
        losses.append(done.loss)
        run = registry.runs[done.run_id]
        hashes.append({name: content for name, content in run.files.items() if name.endswith(".safetensors")})
        assert not files.list(f"{settings.hdfs.root}/training/ChatbotA")
        assert len(spark.submitted) == ranks - 1
    [(_, arguments)] = spark.submitted
    assert (arguments["ranks"], arguments["cores"], arguments["gpus"]) == (2, 3, False)
    assert losses[0] == losses[1]
    assert hashes[0] == hashes[1]
    assert hashes[0]


def test_a_failed_run_leaves_no_version_and_no_input(tmp_path: Path) -> None:
    """The run in MLflow has failed; a checkpoint in the lake stays for the next one."""
    files, registry = InMemoryFiles(), InMemoryRegistry()
    put_dataset(files, "aaaa", lambda rows: rows(SEEDS, "seed", 1))
    settings = loop_settings(tmp_path)
    with pytest.raises(Unavailable, match="rank 1 was killed"):
        finetune(
            bot="ChatbotA", dataset="aaaa", mode="from_base", epochs=1, files=files, registry=registry,
            settings=settings, progress=lambda _: None, spark=RanksOfOne(files, tmp_path, "rank 1 was killed"),
        )  # fmt: skip
    [run] = registry.runs.values()
    assert not run.files
    assert not [path for path in files.content_by_path if "/training/" in path]
