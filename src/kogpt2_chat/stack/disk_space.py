"""Free space on the disks of a stack: when a disk counts as full, and how a server waits for free space.

HDFS and Elasticsearch stop accepting writes while there is still enough free space for Kafka. A server that a full
disk stopped starts again once that much space is free. The operator only has to free disk space.
"""

import shlex
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_KB_PER_MB: Final = 1024
_CHECK_EVERY_S: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class FreeSpace:
    """The free space on the disk of one folder.

    Attributes:
        path: the folder, or its nearest existing parent.
        disk: the device number.
        free_mb: free space in MiB.
    """

    path: Path
    disk: int
    free_mb: int

    def shortage(self, wanted_mb: int) -> str | None:
        """Return how much is needed and how much is free, or None if there is enough."""
        if self.free_mb >= wanted_mb:
            return None
        return f"{wanted_mb} MB are needed at {self.path}, {self.free_mb} MB are free"


def free_space_at(folder: Path) -> FreeSpace:
    """Return the free space on the disk of a folder that may not exist yet."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    return FreeSpace(path=existing, disk=existing.stat().st_dev, free_mb=shutil.disk_usage(existing).free >> 20)


def full_disks(folders: Iterable[Path], keep_free_mb: int) -> list[str]:
    """Return a message per full disk: its path, how much is free, what that means and what to do.

    Args:
        folders: folders of a stack; some may be links to other disks.
        keep_free_mb: a disk with less free space than this counts as full.
    """
    by_disk: dict[int, FreeSpace] = {}
    for folder in folders:
        space = free_space_at(folder)
        by_disk.setdefault(space.disk, space)
    shortages = (space.shortage(keep_free_mb) for space in by_disk.values())
    return [
        f"the disk is full: {shortage}. HDFS and Elasticsearch accept no writes, and servers that the full disk "
        "stopped do not start. Free disk space; everything then recovers automatically"
        for shortage in shortages
        if shortage
    ]


def wait_for_space(folder: Path, keep_free_mb: int) -> list[str]:
    """Return shell lines that wait for free space, so that a full disk does not make the server crash repeatedly.

    Args:
        folder: a folder on the disk that the server writes to.
        keep_free_mb: the free space to wait for.

    Returns:
        Lines for ``sh``. They do not wait if ``df`` reports no number.
    """
    wanted = keep_free_mb * _KB_PER_MB
    df = f"df -Pk {shlex.quote(str(folder))}"
    sentence = shlex.quote(f"waiting for disk space: {keep_free_mb} MB are needed at {folder}; KB free:")
    return [
        f"free_kb() {{ {df} | sed -n '$s/.* \\([0-9][0-9]*\\)  *[0-9][0-9]*% .*/\\1/p'; }}",
        f'while free=$(free_kb); [ "${{free:-{wanted}}}" -lt {wanted} ]; do',
        f'  [ -n "${{waits:-}}" ] || echo {sentence} "$free"',
        f"  waits=1; sleep {_CHECK_EVERY_S}",
        "done",
    ]
