"""One at a time: for what has a place to itself, as a home, the cache of jars, or the tests' servers.

The operating system gives a lock back whatever happens to its holder.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from typing import IO


@contextmanager
def in_turn(path: Path, say: Callable[[str], None], what: str = "another one") -> Iterator[None]:
    """Hold a lock; wait while another process has it.

    Args:
        path: of the lock, where nothing removes it meanwhile; its folder is made.
        say: told what is waited for.
        what: who is waited for.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as handle:
        take(handle, say, what)
        yield


def take(handle: IO[str], say: Callable[[str], None], what: str) -> None:
    """Lock an open file, which is given back when it is closed.

    Args:
        handle: of the file.
        say: told what is waited for.
        what: who is waited for.
    """
    try:
        flock(handle, LOCK_EX | LOCK_NB)
    except BlockingIOError:
        say(f"{what} is at work here, waiting for it ({handle.name})")
        flock(handle, LOCK_EX)
