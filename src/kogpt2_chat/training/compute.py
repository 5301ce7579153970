"""What this machine computes fast: which device trains, and in which precision. Measured, never assumed."""

import time
from collections.abc import Callable
from statistics import median
from typing import Final, Literal

import torch
from torch.nn import functional

Asked = Literal["auto", "fp32", "bf16"]
Precision = Literal["fp32", "bf16"]
_WORTH_IT: Final = 1.3
"""bf16 has to be so many times faster than fp32 in a layer alone: casts and the optimizer gain nothing from it."""
_ROUNDS: Final = 5
_ROWS, _WIDTH = 256, 384


def device() -> torch.device:
    """Where to train: a CUDA device where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def choose_precision(asked: Asked, progress: Callable[[str], None] = lambda _: None) -> Precision:
    """The precision of the forward pass; ``auto`` takes bf16 only where it is clearly faster than fp32.

    A processor without bf16 instructions computes it all the same, ten and more times slower than fp32.

    Args:
        asked: the setting.
        progress: told what was chosen, and why.

    Returns:
        The precision.
    """
    if asked != "auto":
        return asked
    gain = _seconds("fp32") / _seconds("bf16")
    chosen: Precision = "bf16" if gain >= _WORTH_IT else "fp32"
    progress(f"training in {chosen}: on this machine ({device().type}) bf16 is {gain:.2f} times as fast as fp32")
    return chosen


def autocast(precision: Precision) -> torch.autocast:
    """The context in which a forward pass runs; weights stay fp32."""
    return torch.autocast(device().type, dtype=torch.bfloat16, enabled=precision == "bf16")


def _seconds(precision: Precision) -> float:
    """Median time of one layer's forward and backward pass, of a small model's size."""
    where = device()
    weight = torch.full((_WIDTH, _WIDTH), 0.01, device=where, requires_grad=True)
    given = torch.full((_ROWS, _WIDTH), 0.5, device=where)
    times = []
    for _ in range(_ROUNDS + 1):
        started = time.perf_counter()
        with autocast(precision):
            out = functional.linear(given, weight)
        torch.autograd.grad(out.float().sum(), weight)
        if where.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - started)
    return median(times[1:])
