"""Find the folders with the limits of this process's cgroups, version 1 and 2. Uses the standard library only."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

PROC: Final = Path("/proc/self/cgroup")
"""Lists the cgroups of this process."""
MOUNT: Final = Path("/sys/fs/cgroup")
"""Where the cgroup file system is mounted."""
_FIELDS: Final = 3


def cgroup_folders(controller: str, proc: Path = PROC, mount: Path = MOUNT) -> Iterator[Path]:
    """Yield the folder of each cgroup that may limit this process: its own and those above it.

    Args:
        controller: such as ``cpu`` or ``memory``.
        proc: file in the format of ``/proc/self/cgroup``.
        mount: folder with the layout of ``/sys/fs/cgroup``.

    Yields:
        Folders; some of them may not exist.
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
    """Return a file's content without surrounding whitespace; empty if the file cannot be read."""
    try:
        return path.read_text("ascii", "replace").strip()
    except OSError:
        return ""


def _upwards(root: Path, path: str) -> list[Path]:
    """Return a cgroup's folder and those above it, up to the root.

    In a container the path may be that of the host; then only the root folder exists.
    """
    folder = root / path.lstrip("/")
    return [folder, *(above for above in folder.parents if above == root or root in above.parents)]
