"""Pause until another connection commits to an SQLite database, or until a time limit.

This module does not depend on Airflow. SQLite's ``PRAGMA data_version`` shows whether another connection has committed,
at a thousandth of the cost of a query. (The modification time of the write-ahead log would be cheaper, but it changes
before the commit is visible, so a reader that reacts to it may not see the commit yet.)
"""

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

LONGEST_S: Final = 1.0
"""Longest pause without a commit. A scheduled run starts at most this late."""
SHORT_S: Final = 0.1
"""Longest pause if there was a commit since the last one: by the scheduler itself, or by a task that ended while the
scheduler was busy."""
POLL_S: Final = 0.03


class CommitCounter:
    """A counter that changes with every commit of another connection to a database."""

    def __init__(self, database: Path) -> None:
        self.database = database
        self._connection: sqlite3.Connection | None = None

    def __call__(self) -> int:
        """Return SQLite's ``data_version``; -1 while the database does not exist or cannot be read."""
        try:
            if self._connection is None:
                # Open it at the first pause, because the executor forks its workers before that.
                address = f"{self.database.as_uri()}?mode=rw"
                self._connection = sqlite3.connect(address, uri=True, timeout=0, isolation_level=None)
            return int(self._connection.execute("PRAGMA data_version").fetchone()[0])
        except sqlite3.Error:
            return -1


class AdaptivePause:
    """Pauses that end early if the counter changes.

    Attributes:
        count: returns the counter.
    """

    def __init__(
        self,
        count: Callable[[], int],
        *,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self.count = count
        self._clock, self._pause = clock, pause
        self._seen = -1

    def wait(self, is_due: Callable[[], bool]) -> None:
        """Pause until the counter changes, ``is_due()`` returns True, or the longest pause is over.

        Args:
            is_due: another condition that ends the pause, called at every poll.
        """
        now = self.count()
        end = self._clock() + (LONGEST_S if now == self._seen else SHORT_S)
        self._seen = now
        while self._clock() < end and not is_due():
            self._pause(POLL_S)
            if (now := self.count()) != self._seen:
                self._seen = now
                return
