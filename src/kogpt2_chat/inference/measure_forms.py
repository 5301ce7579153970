"""The process of :mod:`kogpt2_chat.inference.form_process`: ``python -m kogpt2_chat.inference.measure_forms JSON``.

It prints the figures by form as JSON on its last line.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any, Final

from kogpt2_chat.artifact.forms import Form, Speed
from kogpt2_chat.artifact.tokenizer import load_tokenizer
from kogpt2_chat.errors import CheckpointCorrupt
from kogpt2_chat.inference.engine_check import compare, read_check
from kogpt2_chat.inference.form_process import SPEED, Order
from kogpt2_chat.inference.loading import load_form
from kogpt2_chat.inference.pages import PagedNetwork, PageTable
from kogpt2_chat.machine.orphans import end_with_parent
from kogpt2_chat.settings import Settings

_BATCH_SIZES: Final = (1, 8)
_PROMPT: Final = 12
_WARM_UP, _ROUNDS = 2, 7


def measure(order: Order) -> dict[str, Any]:
    """Load the forms and measure them; return the figures by form.

    Raises:
        CheckpointCorrupt: a form cannot be loaded, or the version's prompts do not fit it.
    """
    folder, settings = Path(order.folder), Settings(**order.limits)
    tokenizer = load_tokenizer(folder)
    loaded = {
        form: load_form(folder, Path(order.graph), tokenizer, form, settings, side_by_side=order.side_by_side)
        for form in order.forms
    }
    if order.kind == SPEED:
        return {form: asdict(speed) for form, speed in measure_speed(loaded).items()}
    return {form: asdict(compare(network, read_check(folder))) for form, network in loaded.items()}


def measure_speed(models: Mapping[Form, PagedNetwork]) -> dict[Form, Speed]:
    """Time passes of each model in turn, so that a slow moment of the machine affects all of them.

    Args:
        models: must not be decoding at the same time.

    Returns:
        Median times by form.
    """
    taken_ms: dict[tuple[Form, int], list[float]] = {(form, count): [] for form in models for count in _BATCH_SIZES}
    for count in _BATCH_SIZES:
        tables = {form: [PageTable() for _ in range(count)] for form in models}
        for form, model in models.items():
            model.forward([(table, range(1, 1 + _PROMPT)) for table in tables[form]])
        for number in range(_WARM_UP + _ROUNDS):
            for form, model in models.items():
                started = time.perf_counter()
                model.forward([(table, [1]) for table in tables[form]])
                if number >= _WARM_UP:
                    taken_ms[form, count].append((time.perf_counter() - started) * 1000)
        for form, model in models.items():
            for table in tables[form]:
                model.release(table)
    one, eight = _BATCH_SIZES
    return {
        form: Speed(one_row_ms=median(taken_ms[form, one]), eight_rows_ms=median(taken_ms[form, eight]))
        for form in models
    }


def main() -> None:
    """Print the figures, or that the version is corrupt."""
    order = Order(**json.loads(sys.argv[1]))
    end_with_parent(order.parent, signal.SIGKILL)()
    try:
        answer = measure(order)
    except CheckpointCorrupt as error:
        answer = {"corrupt": str(error)}
    print(json.dumps(answer), flush=True)  # noqa: T201
    os._exit(0)  # a library that crashes while the process ends crashes in no form


if __name__ == "__main__":
    main()
