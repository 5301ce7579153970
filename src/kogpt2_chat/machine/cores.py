"""How many cores this process may really use: the fewer of its affinity and its cgroup's CPU quota.

Libraries that choose their threads themselves look at the affinity only. In a container with a quota of one core on
a machine of many they begin many threads, which then stop each other whenever the quota is spent. Imports no library.
"""

import math
import os
from collections.abc import Iterator
from pathlib import Path

from kogpt2_chat.machine.cgroups import MOUNT, PROC, cgroup_folders, read_limit


def usable_cores(proc: Path = PROC, mount: Path = MOUNT, affinity: int | None = None) -> int:
    """Cores that this process may use at once.

    Args:
        proc: which cgroups the process is in; as ``/proc/self/cgroup``.
        mount: where cgroups lie; as ``/sys/fs/cgroup``.
        affinity: cores it may run on; by default what the system says.

    Returns:
        At least 1; a quota of one core and a half counts as 2.
    """
    cores = affinity or affinity_cores()
    return max(1, min([cores, *(math.ceil(quota) for quota in _quotas(proc, mount))]))


def affinity_cores() -> int:
    """Cores that this process may run on, whatever its quota."""
    # Only Linux lets a process ask.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def library_threads(asked: int, proc: Path = PROC, mount: Path = MOUNT, affinity: int | None = None) -> int:
    """Threads to ask a library for that counts cores by affinity alone.

    Args:
        asked: by the settings; 0 asks for all cores.
        proc: see :func:`usable_cores`.
        mount: likewise.
        affinity: likewise.

    Returns:
        What was asked for; else the quota, where it is below the affinity; else 0, its own choice (which knows
        of cores that are two halves of one).
    """
    if asked:
        return asked
    cores = affinity or affinity_cores()
    usable = usable_cores(proc, mount, cores)
    return usable if usable < cores else 0


def _quotas(proc: Path, mount: Path) -> Iterator[float]:
    """Every quota that holds for this process, in cores."""
    for folder in cgroup_folders("cpu", proc, mount):
        words = read_limit(folder / "cpu.max").split() or [
            read_limit(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period")
        ]
        match words:
            # No quota is written as "max", or as -1.
            case [quota, period] if quota.isdecimal() and period.isdecimal() and int(period):
                yield int(quota) / int(period)
