"""Choose the device and the precision of training. The precision is chosen by a measurement on this machine."""

import time
from collections.abc import Callable
from statistics import median
from typing import Final, Literal

import torch
from torch.nn import functional
from transformers import GPT2LMHeadModel

Asked = Literal["auto", "fp32", "bf16"]
Precision = Literal["fp32", "bf16"]
_MIN_GAIN: Final = 1.2
"""bf16 must be this many times as fast as fp32 in one layer, because it is less exact."""
_ROUNDS: Final = 5
_ROWS: Final = 512


def device() -> torch.device:
    """Return the device to train on: a CUDA device if there is one, otherwise the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def choose_precision(
    asked: Asked, network: GPT2LMHeadModel, progress: Callable[[str], None] = lambda _: None
) -> Precision:
    """Choose the precision of the forward pass; ``auto`` chooses bf16 only if it is clearly faster than fp32.

    A processor without bf16 instructions emulates them, and is ten or more times slower than in fp32.

    Args:
        asked: the setting.
        network: whose layers are measured.
        progress: called with the choice and its reason.

    Returns:
        The precision.
    """
    if asked != "auto":
        return asked
    width = network.config.n_embd
    seconds = [[_seconds(precision, width) for precision in ("fp32", "bf16")] for _ in range(_ROUNDS + 1)]
    fp32_s, bf16_s = (median(column) for column in zip(*seconds[1:], strict=True))
    gain = fp32_s / bf16_s
    chosen: Precision = "bf16" if gain >= _MIN_GAIN else "fp32"
    progress(f"training in {chosen}: on this machine ({device().type}) bf16 is {gain:.2f} times as fast as fp32")
    return chosen


def autocast(precision: Precision) -> torch.autocast:
    """Return the context for a forward pass in this precision; weights stay in fp32."""
    return torch.autocast(device().type, dtype=torch.bfloat16, enabled=precision == "bf16")


def _seconds(precision: Precision, width: int) -> float:
    """Measure the time of a forward and backward pass of the layer with the largest product of a block."""
    where = device()
    weight = torch.full((4 * width, width), 0.01, device=where, requires_grad=True)
    inputs = torch.full((_ROWS, width), 0.5, device=where, requires_grad=True)
    started = time.perf_counter()
    with autocast(precision):
        out = functional.linear(inputs, weight)
    torch.autograd.grad(out.float().sum(), (weight, inputs))
    if where.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started
