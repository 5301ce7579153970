"""Drop the resident pages of memory-mapped weight files once they have been packed."""

import ctypes
import mmap
from pathlib import Path
from typing import Final

_MAPS: Final = Path("/proc/self/maps")
_READ_ONLY: Final = "r--"
_FIELDS: Final = 6


def advise_dontneed(file: Path) -> None:
    """Return the memory of a mapped file to the system. A later read loads the page from disk again.

    Only read-only mappings are changed, so no data can be lost. Without ``/proc/self/maps`` this does nothing.

    Args:
        file: a path of the file; symbolic links are resolved.
    """
    if not _MAPS.exists():
        return
    path, libc = str(file.resolve()), ctypes.CDLL(None)
    for line in _MAPS.read_text("utf-8", "replace").splitlines():
        entry = line.split(maxsplit=_FIELDS - 1)
        if len(entry) == _FIELDS and entry[5] == path and entry[1].startswith(_READ_ONLY):
            begin, end = (int(address, 16) for address in entry[0].split("-"))
            libc.madvise(ctypes.c_void_p(begin), ctypes.c_size_t(end - begin), ctypes.c_int(mmap.MADV_DONTNEED))
