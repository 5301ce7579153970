"""A small disk of a test's own, which can be filled to the last byte and given room again."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

_PIECES = (1 << 20, 1 << 12, 1)


class SmallDisk:
    """A mounted disk.

    Args:
        folder: where it is mounted.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"

    def fill(self, left_kb: int = 0) -> None:
        """Take all that is free but so much; said again, it takes what has become free since."""
        with self._filler.open("ab", buffering=0) as file:
            for piece in _PIECES:
                with suppress(OSError):
                    while self.free_kb() - piece // 1024 >= left_kb and file.write(bytes(piece)) == piece:
                        pass

    def make_room(self) -> None:
        """Give back what was taken."""
        self._filler.unlink(missing_ok=True)

    def free_kb(self) -> int:
        """What is free."""
        found = os.statvfs(self.folder)
        return found.f_bavail * found.f_frsize // 1024


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[SmallDisk]:
    """Mount one, e.g. of ``256k``, and take it away again; skips the test where nothing can be mounted."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk takes root")
    folder.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("this machine mounts nothing")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "-l", folder], check=True)
