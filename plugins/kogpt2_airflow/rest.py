"""How long a scheduler may rest between two looks at its database: until somebody writes to it.

Knows nothing of Airflow. SQLite tells by ``PRAGMA data_version`` whether another connection has committed, at a
thousandth of the cost of a look at the tables. (The time of its write-ahead log would be cheaper still, but a commit
is written there before it can be seen: who looks at once sees nothing, and then rests.)
"""

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

LONGEST_S: Final = 1.0
"""Schedules and timers are looked at so often when nobody writes: this much later, at most, a scheduled run begins."""
SHORT_S: Final = 0.1
"""The longest rest when something was written since the last one. That may have been the scheduler itself, or a task
that ended while it was looking elsewhere."""
GLANCE_S: Final = 0.03


class Commits:
    """How many commits a database has seen, as one connection of its own counts them."""

    def __init__(self, database: Path) -> None:
        self.database = database
        self._connection: sqlite3.Connection | None = None

    def __call__(self) -> int:
        """A number that another commit changes; -1 while there is no database to ask."""
        try:
            if self._connection is None:
                # Opened at the first rest, in the process that rests: the executor forks its workers before that.
                address = f"{self.database.as_uri()}?mode=rw"
                self._connection = sqlite3.connect(address, uri=True, timeout=0, isolation_level=None)
            return int(self._connection.execute("PRAGMA data_version").fetchone()[0])
        except sqlite3.Error:
            return -1


class Rest:
    """Rests that end early when there is news."""

    def __init__(
        self,
        mark: Callable[[], int],
        *,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self.mark = mark
        self._clock, self._pause = clock, pause
        self._seen = -1

    def take(self, is_news: Callable[[], bool]) -> None:
        """Rest until the mark changes, ``is_news()`` holds, or the longest rest is over.

        Args:
            is_news: another reason to end the rest, asked at every glance.
        """
        now = self.mark()
        end = self._clock() + (LONGEST_S if now == self._seen else SHORT_S)
        self._seen = now
        while self._clock() < end and not is_news():
            self._pause(GLANCE_S)
            if (now := self.mark()) != self._seen:
                self._seen = now
                return
