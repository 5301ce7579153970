"""A small temporary disk, which a test can fill to the last byte and clear again."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

_CHUNK_SIZES = (1 << 20, 1 << 12, 1)


class SmallDisk:
    """A mounted disk.

    Args:
        folder: its mount point.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"

    def fill(self, left_kb: int = 0) -> None:
        """Fill the disk except for `left_kb`. Another call also fills what has become free since."""
        with self._filler.open("ab", buffering=0) as file:
            for size in _CHUNK_SIZES:
                with suppress(OSError):
                    while self.free_kb() - size // 1024 >= left_kb and file.write(bytes(size)) == size:
                        pass

    def clear(self) -> None:
        """Free the space that :meth:`fill` has used."""
        self._filler.unlink(missing_ok=True)

    def free_kb(self) -> int:
        """Return the free space in KB."""
        usage = os.statvfs(self.folder)
        return usage.f_bavail * usage.f_frsize // 1024


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[SmallDisk]:
    """Mount a disk of a size such as ``256k``, and unmount it at the end. Skip the test if mounting is not possible."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    folder.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("this machine cannot mount a tmpfs")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "-l", folder], check=True)
