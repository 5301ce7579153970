"""The most that this processor's matrix products reach: the roof of a training."""

import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Final

SHAPES: Final = ((576, 768, 3072), (576, 3072, 768), (2048, 2048, 2048))
"""Rows, inputs and outputs: both layers of the MLP with the tokens of a step, and a large square."""


def peaks(environment: Mapping[str, str], precisions: Sequence[str]) -> dict[str, float]:
    """Return the most GFLOP/s of a matrix product by precision, measured in a process of its own.

    Args:
        environment: of that process.
        precisions: fp32, and bf16 if it is native: without such instructions a product takes minutes.
    """
    command = [sys.executable, "-m", "benchmarks.finetuning.peaks", *precisions]
    done = subprocess.run(command, env=dict(environment), capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


def _gflops(precision: str) -> float:
    import torch

    best = 0.0
    for rows, inputs, outputs in SHAPES:
        dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        left, right = torch.ones(rows, inputs, dtype=dtype), torch.ones(inputs, outputs, dtype=dtype)
        for _ in range(12):
            started = time.perf_counter()
            torch.mm(left, right)
            best = max(best, 2e-9 * rows * inputs * outputs / (time.perf_counter() - started))
    return round(best)


if __name__ == "__main__":
    print(json.dumps({precision: _gflops(precision) for precision in sys.argv[1:]}))
