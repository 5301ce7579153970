"""Measure upper limits of this machine in the same run: memory bandwidth, and matrix products in the engine's form."""

import time
from typing import Final

import numpy as np
import openvino as ov
import openvino.opset15 as ops
import torch

from kogpt2_chat.artifact.convert import int8_matmul, int8_weights_matmul
from kogpt2_chat.artifact.forms import INT8, Form
from kogpt2_chat.inference.paged import compile_graph, properties

_BYTES: Final = 512 * 2**20
_ROWS: Final = 512
_WIDTH: Final = 3072
_SECONDS: Final = 2.0


def limits(form: Form) -> dict[str, float]:
    """Measure GB/s read from memory by all cores, and GOP/s of one large matrix product.

    Args:
        form: the form in which the engine computes on this machine.
    """
    return {"read_gb_per_s": read_gb_per_s(), "product_gop_per_s": product_gop_per_s(form)}


def fastest_dtype() -> torch.dtype:
    """Return the faster of fp32 and bfloat16: torch emulates bfloat16, many times slower, if the processor lacks it."""
    seconds = {}
    for dtype in (torch.float32, torch.bfloat16):
        rows, weights = torch.ones(8, _WIDTH, dtype=dtype), torch.ones(_WIDTH, _WIDTH, dtype=dtype)
        rows @ weights
        began = time.perf_counter()
        rows @ weights
        seconds[dtype] = time.perf_counter() - began
    return min(seconds, key=lambda dtype: seconds[dtype])


def read_gb_per_s() -> float:
    """Return the GB/s at which all cores read an array of half a gigabyte."""
    numbers = torch.ones(_BYTES // 4)
    best = 0.0
    deadline = time.perf_counter() + _SECONDS
    while time.perf_counter() < deadline:
        began = time.perf_counter()
        numbers.sum()
        best = max(best, _BYTES / (time.perf_counter() - began) / 1e9)
    return best


def product_gop_per_s(form: Form) -> float:
    """Return the GOP/s of one large matrix product in this form."""
    draw = np.random.default_rng(1)
    rows = ops.parameter([_ROWS, _WIDTH], ov.Type.f32)
    weights = draw.standard_normal((_WIDTH, _WIDTH)).astype(np.float32)
    product = int8_matmul(rows, weights, 5.0) if form == INT8 else int8_weights_matmul(rows, weights)
    graph = ov.Model([ops.result(product)], [rows], "product")
    request = compile_graph(ov.Core(), graph, properties(0, form)).create_infer_request()
    request.set_input_tensor(ov.Tensor(draw.standard_normal((_ROWS, _WIDTH)).astype(np.float32)))
    best = 0.0
    deadline = time.perf_counter() + _SECONDS
    while time.perf_counter() < deadline:
        began = time.perf_counter()
        request.infer()
        best = max(best, 2 * _ROWS * _WIDTH**2 / (time.perf_counter() - began) / 1e9)
    return best
