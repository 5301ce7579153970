"""One rank of a training, in a process of its own: ``python -m tests.model.rank_process FOLDER``.

``job.json`` in the folder says what to train. Writes ``rank-RANK.safetensors`` and ``rank-RANK.json``: the reports, the
steps of the checkpoints that it wrote, and the error that ended it.
"""

import json
import os
import random
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from kogpt2_chat.network.batches import Example
from kogpt2_chat.network.network import gpt2_config, new_network
from kogpt2_chat.training import fit as loop
from kogpt2_chat.training.process_group import PeerLost, joined
from kogpt2_chat.training.ranks import Ranks
from tests.model.recipes import recipe_with


def make_examples(count: int) -> list[Example]:
    """Return random examples whose answers differ in length."""
    draw = random.Random(1)
    return [
        Example(ids=tuple(draw.choices(range(10, 300), k=draw.randint(7, 20))), answer_start=5, weight=1 + n % 3)
        for n in range(count)
    ]


def train(job: dict[str, Any], ranks: Ranks, resume: Path | None) -> tuple[torch.nn.Module, dict[str, Any]]:
    """Train the job's network; return it with the reports and the steps of its checkpoints."""
    examples = make_examples(40)
    network = new_network(gpt2_config(vocabulary=300, layers=2, width=32, heads=2, positions=64, dropout=0.0), 3)
    written: list[int] = []
    reports = loop.fit(
        network, examples[:29], recipe_with(precision="fp32", kept_rows=5, **job["recipe"]),
        kept=examples[29:], validation=examples[:7], resume=resume, ranks=ranks, on_checkpoint=written.append,
    )  # fmt: skip
    return network, {"reports": [asdict(report) for report in reports], "written": written}


def main(folder: Path) -> None:
    """Join the other ranks, train, and write what came of it."""
    torch.set_num_threads(1)
    job, rank = json.loads((folder / "job.json").read_text()), int(os.environ["RANK"])
    if job.get("kill") and job["kill"]["rank"] == rank:
        _die_at(job["kill"]["step"])
    result: dict[str, Any] = {}
    try:
        with joined(gpus=False, timeout_s=60) as ranks:
            network, result = train(job, ranks, folder / f"progress-{rank}" if job.get("resume") else None)
        save_file(dict(network.named_parameters()), folder / f"rank-{rank}.safetensors")
    except PeerLost as error:
        result = {"error": str(error)}
    (folder / f"rank-{rank}.json").write_text(json.dumps(result))


def _die_at(step: int) -> None:
    one_step = loop._train_step

    def dying(*arguments: Any) -> None:
        if arguments[6].step == step:
            os.kill(os.getpid(), signal.SIGKILL)
        one_step(*arguments)

    loop._train_step = dying


if __name__ == "__main__":
    main(Path(sys.argv[1]))
