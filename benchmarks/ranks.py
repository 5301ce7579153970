"""Two ranks of one thread against one process of two, at full size: ``python -m benchmarks.ranks``.

On one machine both have the same cores, so ranks can gain nothing; this measures what they cost. It also gives the
figures from which a training on many machines is estimated: bytes of gradients, and seconds of a step.
"""

import argparse
import json
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from statistics import median
from typing import Any

import torch

from benchmarks.workload import NEW_TOKENS, PROMPT_TOKENS
from kogpt2_chat.network.batches import Example
from kogpt2_chat.network.network import gpt2_config, new_network
from kogpt2_chat.training.fit import fit
from kogpt2_chat.training.process_group import joined
from kogpt2_chat.training.ranks import ONE_PROCESS, Ranks
from kogpt2_chat.training.recipe import Recipe


class TimedRanks:
    """Ranks that note when each step exchanges its gradients, and how long that takes."""

    def __init__(self, ranks: Ranks) -> None:
        self._ranks = ranks
        self.rank, self.size = ranks.rank, ranks.size
        self.starts: list[float] = []
        self.exchange_s: list[float] = []
        self.bytes = 0

    def sum_gradients(self, weights: Iterable[torch.Tensor]) -> None:
        """Exchange, and note the time."""
        trained = list(weights)
        self.bytes = sum(weight.numel() * weight.element_size() for weight in trained)
        self.starts.append(time.perf_counter())
        self._ranks.sum_gradients(trained)
        self.exchange_s.append(time.perf_counter() - self.starts[-1])

    def sum(self, numbers: Sequence[float]) -> list[float]:
        """Exchange."""
        return self._ranks.sum(numbers)


def train(threads: int, batch_size: int, steps: int) -> dict[str, Any]:
    """Train a random network of KoGPT2's size for some steps, as one rank; return the figures."""
    torch.set_num_threads(threads)
    draw = random.Random(1)  # noqa: S311 - tokens, not secrets
    examples = [
        Example(ids=tuple(draw.choices(range(200, 51_000), k=PROMPT_TOKENS + NEW_TOKENS)), answer_start=PROMPT_TOKENS)
        for _ in range(batch_size * (steps + 2))
    ]
    network = new_network(
        gpt2_config(vocabulary=51_200, layers=12, width=768, heads=12, positions=1024, dropout=0.1), 1
    )
    recipe = Recipe(
        epochs=1, batch_size=batch_size, learning_rate=5e-5, warmup_fraction=0.1, weight_decay=0.01,
        label_smoothing=0.1, precision="fp32", examples_per_row=4, seed=1, checkpoint_every_steps=10**9,
    )  # fmt: skip
    several = int(os.environ["WORLD_SIZE"]) > 1
    with joined(gpus=False) if several else nullcontext(ONE_PROCESS) as ranks:
        timed = TimedRanks(ranks)
        fit(network, examples, recipe, ranks=timed)
    steps_s = [after - before for before, after in zip(timed.starts[1:], timed.starts[2:], strict=False)]
    return {"step_s": median(steps_s), "exchange_s": median(timed.exchange_s[1:]), "bytes": timed.bytes}


def run_ranks(size: int, threads: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """Train with several processes; return the figures of rank 0."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    common = os.environ | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(size)}
    options = ["--threads", str(threads), "--batch-size", str(arguments.batch_size), "--steps", str(arguments.steps)]
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "benchmarks.ranks", *options],
            env=common | {"RANK": str(rank)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(size)
    ]
    outputs = [process.communicate()[0] for process in processes]
    result: dict[str, Any] = json.loads(outputs[0].splitlines()[-1])
    return result


def main() -> None:
    """Run the comparison, or one rank of it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=0, help="set for a rank of the comparison")
    arguments = parser.parse_args()
    if arguments.threads:
        print(json.dumps(train(arguments.threads, arguments.batch_size, arguments.steps)))
        return
    for number in range(arguments.rounds):
        for size, threads in ((1, 2), (2, 1)):
            figures = run_ranks(size, threads, arguments)
            print(
                f"round {number + 1}: {size} x {threads} threads: {figures['step_s']:.2f} s a step of "
                f"{arguments.batch_size} examples, {figures['exchange_s']:.2f} s of it exchange "
                f"{figures['bytes'] / 1e6:.0f} MB",
                flush=True,
            )


if __name__ == "__main__":
    main()
