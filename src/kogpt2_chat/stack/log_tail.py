"""The end of a log file, and what is still to come, over every turn of the log."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

_PAUSE_S: Final = 0.3


def tail(path: Path, lines: int) -> Iterator[str]:
    """The last lines of a file, without their ends."""
    with path.open(encoding="utf-8", errors="replace") as handle:
        yield from (line.rstrip("\n") for line in handle.readlines()[-lines:])


def follow(path: Path, lines: int, pause: Callable[[float], None] = time.sleep) -> Iterator[str]:
    """The last lines, then those to come, for ever.

    The supervisor turns a log over by renaming it: what is left in the old file is read to its end, then the new
    one from its beginning.

    Args:
        path: a log that is there.
        lines: how many of the lines that are there.
        pause: let time pass while there is nothing new.

    Yields:
        Lines without their ends.
    """
    with ExitStack() as opened:
        handle = opened.enter_context(path.open(encoding="utf-8", errors="replace"))
        yield from (line.rstrip("\n") for line in handle.readlines()[-lines:])
        while True:
            if line := handle.readline():
                yield line.rstrip("\n")
            elif _is_another(path, handle.fileno()):
                opened.close()
                handle = opened.enter_context(path.open(encoding="utf-8", errors="replace"))
            else:
                if os.fstat(handle.fileno()).st_size < handle.tell():  # emptied in place
                    handle.seek(0)
                pause(_PAUSE_S)


def _is_another(path: Path, descriptor: int) -> bool:
    """Whether the name belongs to another file by now; between the two steps of turning over it belongs to none."""
    try:
        return not os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
