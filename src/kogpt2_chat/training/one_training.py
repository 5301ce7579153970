"""Allow only one training per folder at a time: two would read and remove each other's checkpoints."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from kogpt2_chat.errors import AlreadyRunning


@contextmanager
def only_training_in(folder: Path) -> Iterator[None]:
    """Lock a training's folder for this process; the system releases the lock when the process ends.

    Args:
        folder: the working folder. Its lock file is in the parent folder and is never removed.

    Raises:
        AlreadyRunning: another process holds the lock.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    path = folder.parent / f".{folder.name}.lock"
    with path.open("a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = path.read_text("utf-8") or "another process"
            raise AlreadyRunning(
                f"{holder} is running this training in {folder}: wait until it has finished, or stop it, and try again"
            ) from error
        lock.truncate(0)
        lock.write(f"process {os.getpid()}, started {datetime.now(UTC).isoformat(timespec='seconds')},")
        lock.flush()
        yield
