"""Files that a library has mapped into this process, and that it will hardly read again."""

import ctypes
import mmap
from pathlib import Path
from typing import Final

_MAPS: Final = Path("/proc/self/maps")
_READ_ONLY: Final = "r--"
_FIELDS: Final = 6


def advise_dontneed(file: Path) -> None:
    """Give the memory of a mapped file back to the machine; whoever reads it after all has it read in again.

    Only what is mapped for reading is touched, so nothing can be lost. Where the system shows no maps, nothing happens.

    Args:
        file: any path of it.
    """
    if not _MAPS.exists():
        return
    path, libc = str(file.resolve()), ctypes.CDLL(None)
    for line in _MAPS.read_text("utf-8", "replace").splitlines():
        entry = line.split(maxsplit=_FIELDS - 1)
        if len(entry) == _FIELDS and entry[5] == path and entry[1].startswith(_READ_ONLY):
            begin, end = (int(place, 16) for place in entry[0].split("-"))
            libc.madvise(ctypes.c_void_p(begin), ctypes.c_size_t(end - begin), ctypes.c_int(mmap.MADV_DONTNEED))
