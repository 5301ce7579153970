"""Load the library for this machine's instruction set, if one was built."""

import ctypes
import os
from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import structlog

from kogpt2_chat.artifact.forms import NATIVE, NATIVE_INT8, NATIVE_INT8_SHORT, NATIVE_SHORT, Form
from kogpt2_chat.inference.native.build import levels, library_path
from kogpt2_chat.machine.processor import CAP, processor_flags

log = structlog.get_logger(__name__)
_FLAGS_BY_LEVEL: Final = {
    "generic": (),
    "avx2": ("avx2", "fma"),
    "avx2_vnni": ("avx2", "fma", "avx_vnni"),
    "avx512": ("avx2", "fma", "avx512f", "avx512bw", "avx512vl", "avx512dq"),
    "avx512_vnni": ("avx2", "fma", "avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512_vnni"),
}
"""What a processor must have, by the names in ``/proc/cpuinfo``."""
_ACTIVATIONS: Final = ("gelu_new", "gelu_pytorch_tanh")
"""Names of GELU's approximation by the hyperbolic tangent."""
_HIGHEST_BY_CAP: Final = {
    "SSE41": "generic",
    "AVX": "generic",
    "AVX2": "avx2",
    "AVX2_VNNI": "avx2_vnni",
    "AVX2_VNNI_2": "avx2_vnni",
    "AVX512_CORE": "avx512",
}
"""By the values of oneDNN's variable, which caps OpenVINO too. Every other value allows all."""


class Pass(ctypes.Structure):
    """``gpt2_pass`` in ``gpt2.h``; pointers to arrays that must outlive the call."""

    _fields_ = (
        ("sequences", ctypes.c_int32),
        ("begins", ctypes.c_void_p),
        ("tokens", ctypes.c_void_p),
        ("past", ctypes.c_void_p),
        ("pages", ctypes.c_void_p),
        ("page_begins", ctypes.c_void_p),
        ("wanted", ctypes.c_int32),
        ("wanted_rows", ctypes.c_void_p),
        ("logits", ctypes.c_void_p),
        ("normalisers", ctypes.c_void_p),
        ("short_list", ctypes.c_int32),
    )


def usable_levels(flags: Collection[str], cap: str = "") -> list[str]:
    """Return the instruction sets that a processor has and a cap allows, the highest first.

    Args:
        flags: of the processor.
        cap: value of ``ONEDNN_MAX_CPU_ISA``.
    """
    usable: list[str] = []
    highest = _HIGHEST_BY_CAP.get(cap.upper())
    for level in levels():
        if set(_FLAGS_BY_LEVEL[level]) <= set(flags):
            usable.insert(0, level)
        if level == highest:
            break
    return usable


def find_library() -> Path | None:
    """Return the library for this machine; None if set-up found no compiler, or if it cannot be loaded here."""
    paths = [library_path(level) for level in usable_levels(processor_flags(), os.environ.get(CAP, ""))]
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        return None
    try:
        load_library(path)
    except OSError as error:
        log.warning("native_engine_cannot_be_loaded", path=str(path), error=str(error), instead="OpenVINO")
        return None
    return path


def native_forms(path: Path, *, short: bool = False) -> tuple[Form, ...]:
    """Return the forms in which a library computes, with a short list of tokens or with all."""
    forms: tuple[Form, Form] = (NATIVE_SHORT, NATIVE_INT8_SHORT) if short else (NATIVE, NATIVE_INT8)
    return forms if load_library(path).gpt2_has_int8() else forms[:1]


def can_compute(config: Mapping[str, Any]) -> bool:
    """Whether the native engine computes the network of a ``config.json``: GPT-2 as it was published.

    OpenVINO serves the variants: another width of the inner layers, another activation, other scales of the attention.
    """
    return (
        config.get("n_inner") in (None, 4 * config["n_embd"])
        and config.get("activation_function", "gelu_new") in _ACTIVATIONS
        and config.get("scale_attn_weights", True)
        and not config.get("scale_attn_by_inverse_layer_idx", False)
    )


@cache
def load_library(path: Path) -> ctypes.CDLL:
    """Load a library and declare its functions (``gpt2.h``).

    Raises:
        OSError: it cannot be loaded.
    """
    library, integer, pointer = ctypes.CDLL(str(path)), ctypes.c_int, ctypes.c_void_p
    for name, result, arguments in (
        ("gpt2_new", pointer, [*[integer] * 5, ctypes.c_float, *[integer] * 4]),
        ("gpt2_has_int8", integer, []),
        ("gpt2_delete", None, [pointer]),
        ("gpt2_set", integer, [pointer, ctypes.c_char_p, pointer, ctypes.c_int64]),
        ("gpt2_suppress", integer, [pointer, pointer, integer]),
        ("gpt2_shorten", integer, [pointer, pointer, integer]),
        ("gpt2_complete", integer, [pointer]),
        ("gpt2_run", integer, [pointer, ctypes.POINTER(Pass), integer]),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
