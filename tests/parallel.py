"""How tests without servers are distributed to processes: ``pytest -m parallel -n auto``."""

from typing import Final

from xdist.scheduler import LoadScopeScheduling

from kogpt2_chat.machine.cores import usable_cores
from kogpt2_chat.machine.memory import usable_memory_mb

_SPARK: Final = "tests/spark/"
_PROCESS_MB: Final = 2048
"""Memory of one process with torch, Airflow or Spark."""


def process_count() -> int:
    """Return one process for each core, or fewer if the memory does not suffice."""
    return max(1, min(usable_cores(), usable_memory_mb() // _PROCESS_MB))


class FileScheduling(LoadScopeScheduling):
    """Keeps the tests of a file in one process, because they share fixtures; all Spark tests share one session."""

    def _split_scope(self, nodeid: str) -> str:
        return _SPARK if nodeid.startswith(_SPARK) else nodeid.partition("::")[0]
