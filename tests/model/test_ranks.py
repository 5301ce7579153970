"""Several processes train one network, over gloo: the same loss, the same weights, and an error if one is missing."""

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from kogpt2_chat.domain.chat.prompt import UNKNOWN_ID
from kogpt2_chat.network.batches import Example
from kogpt2_chat.network.network import gpt2_config, new_network
from kogpt2_chat.settings import CHECKOUT
from kogpt2_chat.training.process_group import agree_on_precision
from kogpt2_chat.training.ranks import ONE_PROCESS, part_of
from tests.model.rank_process import make_examples, train

# 29 examples with weights 1 to 3 make epochs of 57: the last batch has one example, so that one rank has none.
RECIPE = {"epochs": 2, "batch_size": 4, "learning_rate": 1e-3, "until_known": True, "checkpoint_every_steps": 5}
# Sums over 2 ranks add the same numbers in another order, and Adam divides small gradients by their own size.
LOSS_TOLERANCE = 1e-4
WEIGHT_TOLERANCE = 0.01


class Rank:
    """A rank of several in this process, which sends nothing."""

    def __init__(self, rank: int, size: int) -> None:
        self.rank, self.size = rank, size

    def sum_gradients(self, weights: Any) -> None:
        """Do nothing."""

    def sum(self, numbers: Any) -> list[float]:
        """Return the numbers of this rank."""
        return list(numbers)


def run_ranks(folder: Path, size: int = 2, **job: Any) -> list[dict[str, Any] | None]:
    """Train with several processes; return the result of each, None if it was killed."""
    folder.mkdir(exist_ok=True)
    (folder / "job.json").write_text(json.dumps({"recipe": RECIPE, **job}))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    common = os.environ | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(size)}
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.model.rank_process", str(folder)],
            env=common | {"RANK": str(rank)},
            cwd=CHECKOUT,
        )
        for rank in range(size)
    ]
    for process in started:
        process.wait(timeout=300)
    results = [folder / f"rank-{rank}.json" for rank in range(size)]
    return [json.loads(result.read_text()) if result.exists() else None for result in results]


def changes(weights: dict[str, torch.Tensor], others: dict[str, torch.Tensor]) -> float:
    """Return the norm of the difference of all weights."""
    return float(sum((weights[name] - others[name]).square().sum() for name in weights) ** 0.5)


@pytest.mark.parametrize("size", [2])
def test_ranks_train_like_one_process(tmp_path: Path, size: int) -> None:
    """Each batch's loss is the mean over its targets, however many ranks share it; all ranks end bit for bit equal."""
    results = run_ranks(tmp_path, size)
    weights = [load_file(tmp_path / f"rank-{rank}.safetensors") for rank in range(size)]
    assert all(torch.equal(weights[0][name], other[name]) for other in weights for name in weights[0])

    start = new_network(gpt2_config(vocabulary=300, layers=2, width=32, heads=2, positions=64, dropout=0.0), 3)
    network, alone = train({"recipe": RECIPE}, ONE_PROCESS, None)
    one = {name: weight.detach() for name, weight in network.named_parameters()}
    first = {name: weight.detach() for name, weight in start.named_parameters()}
    for together, report in zip(results[0]["reports"], alone["reports"], strict=True):
        for name in ("loss", "validation_nll", "gradient_norm"):
            assert together[name] == pytest.approx(report[name], rel=LOSS_TOLERANCE)
    assert changes(weights[0], one) < WEIGHT_TOLERANCE * changes(one, first)


def test_a_killed_rank_ends_the_others_and_the_next_run_resumes(tmp_path: Path) -> None:
    """The survivor says that it lost a peer. With the checkpoint, the next run ends like one that was never killed."""
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    run_ranks(whole, resume=True)
    survivor, dead = run_ranks(killed, resume=True, kill={"rank": 1, "step": 13})
    assert dead is None
    assert "can no longer exchange gradients" in survivor["error"]
    assert not (killed / "progress-1").exists()  # only rank 0 writes checkpoints

    shutil.copytree(killed / "progress-0", killed / "progress-1")
    results = run_ranks(killed, resume=True)
    assert [result["written"] for result in results] == [[15, 20, 25], []]
    again, uninterrupted = (load_file(folder / "rank-0.safetensors") for folder in (killed, whole))
    assert all(torch.equal(again[name], uninterrupted[name]) for name in again)


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_parts_cover_a_batch_once_and_weigh_its_targets(size: int) -> None:
    """Also if there are more ranks than examples: a rank without examples has a share of 0."""
    batch = make_examples(5)
    parts = [part_of(batch, Rank(rank, size)) for rank in range(size)]
    counted = [example for part in parts if part.share for example in part.examples]
    assert sorted(counted, key=batch.index) == batch
    assert sum(part.share for part in parts) == pytest.approx(1)
    assert {part.targets for part in parts} == {sum(len(one.ids) - one.answer_start for one in batch)}
    assert all(part.examples for part in parts)


def test_a_long_answer_counts_for_its_targets() -> None:
    """Not one half for each of two examples."""
    long, short = Example(ids=tuple(range(10, 20)), answer_start=1), Example(ids=(10, 11), answer_start=1)
    assert part_of([long, short], Rank(0, 2)).share == 0.9
    assert part_of([long, short], ONE_PROCESS).share == 1.0


def test_an_unknown_token_does_not_count() -> None:
    """It is no target of the loss either."""
    two, one = Example(ids=(1, 7, UNKNOWN_ID, 8), answer_start=1), Example(ids=(1, 7, 8), answer_start=1)
    part = part_of([two, one], Rank(0, 2))
    assert (part.share, part.targets) == (0.5, 4)


@pytest.mark.parametrize(("ranks_with_bf16", "agreed"), [(2, "bf16"), (1, "fp32")])
def test_ranks_agree_on_the_precision(monkeypatch: pytest.MonkeyPatch, ranks_with_bf16: int, agreed: str) -> None:
    """One slow machine decides: otherwise it would hold up the others, or compute other gradients."""
    from kogpt2_chat.training import process_group

    class Two(Rank):
        def sum(self, numbers: Any) -> list[float]:
            return [ranks_with_bf16]

    network = new_network(gpt2_config(vocabulary=300, layers=1, width=32, heads=2, positions=64, dropout=0.0), 3)
    monkeypatch.setattr(process_group, "choose_precision", lambda _asked, _network: "bf16")
    assert agree_on_precision(Two(0, 2), "auto", network) == agreed  # type: ignore[arg-type]
    assert agree_on_precision(Two(0, 2), "fp32", network) == "fp32"  # type: ignore[arg-type]
