"""File locks for resources that only one process at a time may use: a home, the cache of jars, the tests' servers.

The operating system releases the lock when its holder ends, even if it is killed.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from typing import IO


@contextmanager
def hold_lock(path: Path, say: Callable[[str], None], what: str = "another process") -> Iterator[None]:
    """Hold a lock; wait while another process holds it.

    Args:
        path: lock file, which nothing may remove; its folder is created.
        say: called with a message if it has to wait.
        what: name of the other process in that message.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as handle:
        lock(handle, say, what)
        yield


def lock(handle: IO[str], say: Callable[[str], None], what: str) -> None:
    """Lock an open file; closing it releases the lock.

    Args:
        handle: the open file.
        say: called with a message if it has to wait.
        what: name of the other process in that message.
    """
    try:
        flock(handle, LOCK_EX | LOCK_NB)
    except BlockingIOError:
        say(f"{what} holds the lock {handle.name}: waiting until it is released")
        flock(handle, LOCK_EX)
