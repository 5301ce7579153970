"""One training in a folder at a time: two of them would read each other's checkpoints and remove them."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from kogpt2_chat.errors import Conflict


@contextmanager
def only_training_in(folder: Path) -> Iterator[None]:
    """Keep a training's folder to this process; the system lets go of it when the process dies.

    Args:
        folder: the working folder. Its lock file lies beside it, and outlives it.

    Raises:
        Conflict: another process holds it.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    path = folder.parent / f".{folder.name}.lock"
    with path.open("a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = path.read_text("utf-8") or "another process"
            raise Conflict(
                f"{holder} is at this very training in {folder}: wait until it has ended, or end it, and try again"
            ) from error
        lock.truncate(0)
        lock.write(f"process {os.getpid()}, begun {datetime.now(UTC).isoformat(timespec='seconds')},")
        lock.flush()
        yield
