"""Find the memory that the processes here may use: the machine's memory or the limit of a container."""

from pathlib import Path

import psutil

from kogpt2_chat.machine.cgroups import MOUNT, PROC, cgroup_folders, read_limit


def usable_memory_mb(proc: Path = PROC, mount: Path = MOUNT, total_mb: int | None = None) -> int:
    """Return the memory that all processes of this cgroup may use together.

    Args:
        proc: file in the format of ``/proc/self/cgroup``.
        mount: folder with the layout of ``/sys/fs/cgroup``.
        total_mb: the machine's memory in MiB; by default read from the system.

    Returns:
        MiB: the minimum of the machine's memory and of the limits of this process's cgroup and those above it.
    """
    total = total_mb or psutil.virtual_memory().total >> 20
    limits = (
        read_limit(folder / name)
        for folder in cgroup_folders("memory", proc, mount)
        for name in ("memory.max", "memory.limit_in_bytes")
    )
    # No limit is written as "max", or as a number larger than any memory.
    return min([total, *(int(limit) >> 20 for limit in limits if limit.isdecimal())])
