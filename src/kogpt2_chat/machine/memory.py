"""How much memory the processes of this machine may use: what it has, or less where a container has a limit."""

from pathlib import Path

import psutil

from kogpt2_chat.machine.cgroups import MOUNT, PROC, cgroup_folders, read_limit


def usable_memory_mb(proc: Path = PROC, mount: Path = MOUNT, total_mb: int | None = None) -> int:
    """Memory that all processes of this cgroup may use together.

    Args:
        proc: which cgroups the process is in; as ``/proc/self/cgroup``.
        mount: where cgroups lie; as ``/sys/fs/cgroup``.
        total_mb: of the machine; by default what the system says.

    Returns:
        MiB: the least of the machine's memory and of every limit above this process.
    """
    total = total_mb or psutil.virtual_memory().total >> 20
    limits = (
        read_limit(folder / name)
        for folder in cgroup_folders("memory", proc, mount)
        for name in ("memory.max", "memory.limit_in_bytes")
    )
    # No limit is written as "max", or as a number larger than any memory.
    return min([total, *(int(limit) >> 20 for limit in limits if limit.isdecimal())])
