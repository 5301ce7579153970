"""One at a time: for what has a place to itself, as tests, benchmarks and the demo have their home."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path


@contextmanager
def in_turn(path: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Hold a lock that the operating system gives back whatever happens; wait while another process has it.

    Args:
        path: of the lock, where nothing removes it meanwhile; its folder is made.
        say: told what is waited for.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as handle:
        try:
            flock(handle, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            say(f"another one is at work here, waiting for it ({path})")
            flock(handle, LOCK_EX)
        yield
