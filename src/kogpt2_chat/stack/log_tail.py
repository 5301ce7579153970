"""The end of a log file, and what is still to come, over every turn of the log."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from typing import Final

_PAUSE_S: Final = 0.3


def tail(path: Path, lines: int) -> Iterator[str]:
    """The last lines of a file, without their ends."""
    with path.open("rb") as handle:
        yield from map(_text, handle.readlines()[-lines:])


def follow(path: Path, lines: int, pause: Callable[[float], None] = time.sleep) -> Iterator[str]:
    """The last lines, then those to come, for ever.

    The supervisor turns a log over by renaming it: what is left in the old file is read to its end, then the new
    one from its beginning. A line comes when it is whole: a piece of one may end within a letter.

    Args:
        path: a log that is there.
        lines: how many of the lines that are there.
        pause: let time pass while there is nothing new.

    Yields:
        Lines without their ends.
    """
    with ExitStack() as opened:
        handle = opened.enter_context(path.open("rb"))
        there = handle.readlines()
        rest = there.pop() if there and not there[-1].endswith(b"\n") else b""
        yield from map(_text, there[-lines:])
        while True:
            piece = handle.readline()
            rest += piece
            if rest.endswith(b"\n"):
                yield _text(rest)
                rest = b""
            elif not piece and _is_another(path, handle.fileno()):
                yield from map(_text, BytesIO(rest + handle.read()))  # it may have grown until it was renamed
                opened.close()
                handle, rest = opened.enter_context(path.open("rb")), b""
            elif not piece:
                if os.fstat(handle.fileno()).st_size < handle.tell():  # emptied in place
                    handle.seek(0)
                    rest = b""
                pause(_PAUSE_S)


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace").rstrip("\r\n")


def _is_another(path: Path, descriptor: int) -> bool:
    """Whether the name belongs to another file by now; between the two steps of turning over it belongs to none."""
    try:
        return not os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
