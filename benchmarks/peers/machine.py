"""The machine's limits, or the form that the project chooses on it, as one JSON line; runs under the cap, if any.

The memory's bandwidth bounds one row, which reads every weight once per token; the speed of a large product bounds many
rows, which read the weights together.
"""

import json
import sys
from pathlib import Path

from benchmarks.limits import product_gop_per_s, read_gb_per_s
from kogpt2_chat.artifact.forms import INT8, INT8_WEIGHTS
from kogpt2_chat.inference.loading import load_served
from kogpt2_chat.settings import load_settings


def limits() -> dict[str, float]:
    """Measure the limits."""
    return {
        "read_gb_per_s": read_gb_per_s(),
        "int8_gop_per_s": product_gop_per_s(INT8),
        "fp32_gop_per_s": product_gop_per_s(INT8_WEIGHTS),
    }


def choice(version: Path) -> dict[str, object]:
    """Let the project choose a form; this measures all forms of the version."""
    return {"chosen": load_served(version, load_settings()).choice.as_fields()}


if __name__ == "__main__":
    print(json.dumps(choice(Path(sys.argv[1])) if len(sys.argv) > 1 else limits()))
