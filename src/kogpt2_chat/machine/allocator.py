"""Let a process that needs the same large blocks again and again keep its memory between their uses."""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

# From glibc's malloc.h, and glibc's defaults.
_TRIM_THRESHOLD: Final = -1
_MMAP_MAX: Final = -4
_DEFAULT_TRIM_BYTES: Final = 128 << 10
_DEFAULT_MMAPS: Final = 65_536
_NEVER: Final = 2**31 - 1


@contextmanager
def freed_memory_is_kept() -> Iterator[None]:
    """Keep freed memory in the process, and return it to the system at the end.

    By default, glibc returns large blocks at once, and the system clears each page when it is used again: half a
    gigabyte of gradients in every step of a training. Other libraries of C are left as they are.
    """
    libc = ctypes.CDLL(None)
    if not (hasattr(libc, "mallopt") and hasattr(libc, "malloc_trim")):
        yield
        return
    libc.mallopt(_MMAP_MAX, 0)
    libc.mallopt(_TRIM_THRESHOLD, _NEVER)
    try:
        yield
    finally:
        libc.mallopt(_MMAP_MAX, _DEFAULT_MMAPS)
        libc.mallopt(_TRIM_THRESHOLD, _DEFAULT_TRIM_BYTES)
        libc.malloc_trim(0)
