"""Find the number of cores that this process may use: the smaller of its CPU affinity and its cgroup's CPU quota.

Libraries choose their number of threads by the affinity only. In a container with a quota of one core, on a machine
with many cores, they start many threads, and the kernel stops all of them whenever the quota is used up. Uses the
standard library only.
"""

import math
import os
from collections.abc import Iterator
from pathlib import Path

from kogpt2_chat.machine.cgroups import MOUNT, PROC, cgroup_folders, read_limit


def usable_cores(proc: Path = PROC, mount: Path = MOUNT, affinity: int | None = None) -> int:
    """Return the number of cores that this process may use at once.

    Args:
        proc: file in the format of ``/proc/self/cgroup``.
        mount: folder with the layout of ``/sys/fs/cgroup``.
        affinity: number of cores it may run on; by default read from the system.

    Returns:
        At least 1; a quota is rounded up, so 1.5 cores count as 2.
    """
    cores = affinity or affinity_cores()
    return max(1, min([cores, *(math.ceil(quota) for quota in _quotas(proc, mount))]))


def affinity_cores() -> int:
    """Return the number of cores that this process may run on, regardless of its quota."""
    # sched_getaffinity does not exist on every system.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def library_threads(requested: int, proc: Path = PROC, mount: Path = MOUNT, affinity: int | None = None) -> int:
    """Return the number of threads to set in a library that counts cores by affinity only.

    Args:
        requested: from the settings; 0: all cores.
        proc: see :func:`usable_cores`.
        mount: see :func:`usable_cores`.
        affinity: see :func:`usable_cores`.

    Returns:
        ``requested`` if it is not 0; otherwise the quota if it is below the affinity; otherwise 0, so that the library
        chooses and takes hyper-threads into account.
    """
    if requested:
        return requested
    cores = affinity or affinity_cores()
    usable = usable_cores(proc, mount, cores)
    return usable if usable < cores else 0


def _quotas(proc: Path, mount: Path) -> Iterator[float]:
    """Yield every quota that applies to this process, in cores."""
    for folder in cgroup_folders("cpu", proc, mount):
        words = read_limit(folder / "cpu.max").split() or [
            read_limit(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period")
        ]
        match words:
            # No quota is written as "max", or as -1.
            case [quota, period] if quota.isdecimal() and period.isdecimal() and int(period):
                yield int(quota) / int(period)
