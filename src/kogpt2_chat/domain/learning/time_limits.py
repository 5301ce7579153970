"""Time limits of trainings and evaluations: the usual ones, or longer ones if a measurement says so."""

import json
from datetime import timedelta
from typing import Final, Literal

ESTIMATE_FILE: Final = "demo/estimate.json"
"""The demo's estimate, below the home folder: seconds on this machine with this home's base."""
LONGEST: Final = timedelta(hours=24)
"""Of a whole run of Airflow."""
_SPARE: Final = 3.0
"""A task may take this many times its estimate: more players teach than in a demo, and machines have other work."""


def time_limit(estimate: str, step: Literal["finetune", "evaluate"], usual: timedelta) -> timedelta:
    """Return the time limit of a task.

    Args:
        estimate: content of the demo's estimate; empty if there is none.
        step: the task.
        usual: the limit without an estimate. An estimate never shortens it.

    Returns:
        The usual limit, or a multiple of the estimate if that is longer; at most that of a run.
    """
    try:
        estimated_s = float(json.loads(estimate)[f"{step}_s"])
    except (ValueError, TypeError, KeyError):
        return usual
    return min(LONGEST, max(usual, timedelta(seconds=_SPARE * estimated_s)))
