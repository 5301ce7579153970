"""Read the end of a log file and follow it across log rotation."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from typing import Final

_PAUSE_S: Final = 0.3


def tail(path: Path, lines: int) -> Iterator[str]:
    """Yield the last lines of a file, without line ends."""
    with path.open("rb") as handle:
        yield from map(_text, handle.readlines()[-lines:])


def follow(path: Path, lines: int, pause: Callable[[float], None] = time.sleep) -> Iterator[str]:
    """Yield the last lines, and then every new line forever.

    The supervisor rotates a log by renaming it. The old file is then read to its end, and the new file from its
    beginning. Only complete lines are yielded, because an incomplete one may end within a multi-byte character.

    Args:
        path: an existing log file.
        lines: how many of the existing lines to yield.
        pause: called to wait while there is no new line.

    Yields:
        Lines without line ends.
    """
    with ExitStack() as opened:
        handle = opened.enter_context(path.open("rb"))
        existing = handle.readlines()
        rest = existing.pop() if existing and not existing[-1].endswith(b"\n") else b""
        yield from map(_text, existing[-lines:])
        while True:
            piece = handle.readline()
            rest += piece
            if rest.endswith(b"\n"):
                yield _text(rest)
                rest = b""
            elif not piece and _was_replaced(path, handle.fileno()):
                yield from map(_text, BytesIO(rest + handle.read()))  # lines written just before the rename
                opened.close()
                handle, rest = opened.enter_context(path.open("rb")), b""
            elif not piece:
                if os.fstat(handle.fileno()).st_size < handle.tell():  # emptied in place
                    handle.seek(0)
                    rest = b""
                pause(_PAUSE_S)


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace").rstrip("\r\n")


def _was_replaced(path: Path, descriptor: int) -> bool:
    """Return whether the path is now another file; between the two steps of a rotation, no file has this path."""
    try:
        return not os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
