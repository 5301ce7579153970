"""Where the limits of this process's cgroups stand, in version 1 and 2. Imports no library."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

PROC: Final = Path("/proc/self/cgroup")
"""Which cgroups this process is in."""
MOUNT: Final = Path("/sys/fs/cgroup")
_FIELDS: Final = 3


def cgroup_folders(controller: str, proc: Path = PROC, mount: Path = MOUNT) -> Iterator[Path]:
    """The folder of each cgroup that may limit this process: its own, and those above it.

    Args:
        controller: such as ``cpu`` or ``memory``.
        proc: which cgroups the process is in; as ``/proc/self/cgroup``.
        mount: where cgroups lie; as ``/sys/fs/cgroup``.

    Yields:
        Folders, of which some may not be there.
    """
    for line in read_limit(proc).splitlines():
        fields = line.split(":", maxsplit=_FIELDS - 1)
        if len(fields) != _FIELDS:
            continue
        controllers, path = fields[1], fields[2]
        if not controllers:
            roots = [mount, mount / "unified"]
        elif controller in controllers.split(","):
            roots = sorted({mount / controllers, mount / controller})
        else:
            continue
        for root in roots:
            yield from _upwards(root, path)


def read_limit(path: Path) -> str:
    """What stands in a file, without space around it; empty where there is none."""
    try:
        return path.read_text("ascii", "replace").strip()
    except OSError:
        return ""


def _upwards(root: Path, path: str) -> list[Path]:
    """A cgroup's folder and those above it. In a container the path may be the host's: then only the root is there."""
    folder = root / path.lstrip("/")
    return [folder, *(above for above in folder.parents if above == root or root in above.parents)]
