"""A training on two ranks: Spark's standalone master, two workers, executors of another user without the checkout."""

import os
import shutil
import signal
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import torch
from transformers import GPT2LMHeadModel

from kogpt2_chat import bootstrap
from kogpt2_chat.errors import Unavailable
from kogpt2_chat.jobs.build_dataset import build_dataset
from kogpt2_chat.network.network import gpt2_config, new_network
from kogpt2_chat.ports import Files
from kogpt2_chat.settings import Hdfs, Model, Settings, Spark, Stack, Training
from kogpt2_chat.stack.processes import port_is_free
from kogpt2_chat.stack.stack import down, up
from kogpt2_chat.training.early_stop import EpochReport
from kogpt2_chat.training.on_ranks import train_network
from kogpt2_chat.training.training_folder import TrainingJob
from tests.capped import NOT_TESTED
from tests.executor_python import ExecutorPython, make_executor_python
from tests.model.rank_process import make_examples
from tests.model.recipes import recipe_with

RECIPE = recipe_with(
    epochs=20, batch_size=4, learning_rate=1e-3, precision="fp32", kept_rows=5, checkpoint_every_steps=60
)
# Two ranks add the same numbers in another order than one process, and Adam divides small gradients by their own size.
LOSS_TOLERANCE = 1e-3
WEIGHT_TOLERANCE = 0.02


@pytest.fixture(scope="module")
def python() -> Iterator[ExecutorPython]:
    """An interpreter that cannot import this project, in a folder that every user can enter."""
    with tempfile.TemporaryDirectory(prefix="kogpt2-python-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        made = make_executor_python(folder / "python")
        assert "No module named 'kogpt2_chat'" in made.run("import kogpt2_chat").stderr
        yield made


@pytest.fixture(scope="module")
def settings(stack_settings: Settings, python: ExecutorPython) -> Iterator[Settings]:
    """Settings for two ranks on a Spark cluster of its own, with the session's HDFS."""
    home = Path(tempfile.mkdtemp(prefix="kogpt2-spark-cluster-"))
    home.chmod(0o711)
    offset = next(
        one
        for one in range(21100, 50000, 250)
        if all(port_is_free("127.0.0.1", port + one) for port in range(7077, 8090))
    )
    cluster = Settings(
        home=home,
        cache=stack_settings.cache,
        ports={"offset": offset},
        stack=Stack(spark="standalone", spark_workers=2, spark_user=python.user),
        hdfs=Hdfs(
            uri=stack_settings.hdfs_uri, webhdfs=stack_settings.webhdfs_url, root=f"/contract/{uuid.uuid4().hex}"
        ),
        spark=Spark(python=str(python.program), timeout_s=300),
        training=Training(ranks=2, rank_cores=1),
        model=Model(base="small"),
    )
    try:
        up(cluster, ["spark"], progress=print)
        yield cluster
    finally:
        down(cluster, wipe=True, progress=print)
        shutil.rmtree(home, ignore_errors=True)
        bootstrap.files(cluster).delete(cluster.hdfs.root)


@pytest.fixture(scope="module")
def files(settings: Settings) -> Files:
    return bootstrap.files(settings)


def start_network() -> GPT2LMHeadModel:
    return new_network(gpt2_config(vocabulary=300, layers=2, width=32, heads=2, positions=64, dropout=0.0), 3)


def weights_of(network: GPT2LMHeadModel) -> dict[str, torch.Tensor]:
    return {name: weight.detach() for name, weight in network.named_parameters()}


def distance(weights: dict[str, torch.Tensor], others: dict[str, torch.Tensor]) -> float:
    return float(sum((weights[name] - others[name]).square().sum() for name in weights) ** 0.5)


def train(
    settings: Settings, files: Files, shared: str, *, ranks: bool, progress: Callable[[str], None] = print
) -> tuple[dict[str, torch.Tensor], list[EpochReport]]:
    """Train the same network on the same examples, on two ranks or in this process."""
    network, examples = start_network(), make_examples(40)
    reports = train_network(
        network, TrainingJob(recipe=RECIPE, examples=examples[:29], kept=examples[29:], validation=examples[:7]),
        resume=settings.home / "progress", shared=f"{settings.hdfs.root}/training/{shared}", files=files,
        spark=bootstrap.spark(settings) if ranks else None, settings=settings, progress=progress,
        on_epoch=lambda _: None,
    )  # fmt: skip
    return weights_of(network), reports


@pytest.fixture(scope="module")
def on_two_ranks(settings: Settings, files: Files) -> tuple[dict[str, torch.Tensor], list[EpochReport]]:
    """What two ranks of one thread have trained."""
    return train(settings, files, "whole", ranks=True)


def test_two_ranks_of_one_thread_train_like_one_rank_of_two(
    settings: Settings, files: Files, on_two_ranks: tuple[dict[str, torch.Tensor], list[EpochReport]]
) -> None:
    """Losses and weights agree within the tolerance. They are not bit for bit equal: sums have another order."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        one, reports = train(settings, files, "one", ranks=False)
    finally:
        torch.set_num_threads(before)
    two, reports_of_two = on_two_ranks
    for alone, together in zip(reports, reports_of_two, strict=True):
        assert together.loss == pytest.approx(alone.loss, rel=LOSS_TOLERANCE)
        assert together.validation_nll == pytest.approx(alone.validation_nll, rel=LOSS_TOLERANCE)
    moved = distance(one, weights_of(start_network()))
    print(f"weights: {distance(one, two) / moved:.2e} of the distance that the training moved them")
    assert distance(one, two) < WEIGHT_TOLERANCE * moved


def rank_process(number: int) -> psutil.Process:
    """Return the process of a rank of this test's training."""
    for process in psutil.process_iter():
        try:
            environment = process.environ()
            is_rank = process.cmdline()[-1].endswith("train.py") and "LOCAL_RANK" in environment  # not its launcher
            if is_rank and environment["RANK"] == str(number):
                return process
        except (psutil.Error, IndexError):
            continue
    raise AssertionError(f"no process of rank {number}")


def test_a_killed_rank_ends_the_run_and_the_next_one_resumes(
    settings: Settings,
    files: Files,
    python: ExecutorPython,
    on_two_ranks: tuple[dict[str, torch.Tensor], list[EpochReport]],
    record_property: Callable[[str, object], None],
) -> None:
    """The error names the rank and the next step; only the checkpoint is left, and the result is that of no kill."""
    shared = f"{settings.hdfs.root}/training/killed"
    users: list[str] = []

    def kill_after_a_checkpoint(line: str) -> None:
        print(line)
        if not users and [name for name in files.list(shared) if name.startswith("progress-")]:
            victim = rank_process(1)
            users.append(victim.username())
            os.kill(victim.pid, signal.SIGKILL)

    with pytest.raises(Unavailable) as failed:
        train(settings, files, "killed", ranks=True, progress=kill_after_a_checkpoint)
    print(failed.value)
    [left] = files.list(shared)
    step = int(left.removeprefix("progress-"))
    assert "rank 1 (of 0 to 1; process " in str(failed.value)
    assert "was killed" in str(failed.value)
    assert f"Nothing was published. Run the same command again: it resumes from the checkpoint of step {step}" in str(
        failed.value
    )
    if python.user:
        assert users == [python.user]
    else:
        record_property(NOT_TESTED, "executors of another user (the tests do not run as root)")

    lines: list[str] = []
    again, _ = train(settings, files, "killed", ranks=True, progress=lines.append)
    assert f"resumed at step {step}" in lines
    assert all(torch.equal(again[name], weight) for name, weight in on_two_ranks[0].items())


def test_executors_without_the_checkout_build_a_dataset(settings: Settings, files: Files) -> None:
    """Its functions in Python, e.g. the check of an answer's length, run with the code that the job brings."""
    built = build_dataset(
        bots=["ChatbotA"], spark=bootstrap.spark(settings), tables=bootstrap.tables(settings), files=files,
        settings=settings, progress=print,
    )  # fmt: skip
    assert built.datasets["ChatbotA"].sources["seed"] > 500
