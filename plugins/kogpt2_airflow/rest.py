"""How long a scheduler may rest between two looks at its database: until somebody writes to it.

Knows nothing of Airflow. What is watched is SQLite's write-ahead log, to which every commit is appended: its size and
time say that somebody wrote, at a thousandth of the cost of asking the database.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

LONGEST_S: Final = 2.0
"""Schedules and timers are looked at so often when nobody writes: this much later, at most, a scheduled run begins."""
SHORT_S: Final = 0.2
"""The longest rest when something was written since the last one. That may have been the scheduler itself, or a task
that ended while it was looking elsewhere."""
GLANCE_S: Final = 0.03
Mark = tuple[tuple[int, int], ...]


class Rest:
    """Rests that end early when there is news.

    Attributes:
        files: what changes when somebody writes.
    """

    def __init__(
        self,
        files: Sequence[Path],
        *,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self.files = files
        self._clock, self._pause = clock, pause
        self._seen: Mark = ()

    def take(self, is_news: Callable[[], bool]) -> None:
        """Rest until a file changes, ``is_news()`` holds, or the longest rest is over.

        Args:
            is_news: another reason to end the rest, asked at every glance.
        """
        now = self._mark()
        end = self._clock() + (LONGEST_S if now == self._seen else SHORT_S)
        self._seen = now
        while self._clock() < end and not is_news():
            self._pause(GLANCE_S)
            if (now := self._mark()) != self._seen:
                self._seen = now
                return

    def _mark(self) -> Mark:
        return tuple(map(_size_and_time, self.files))


def _size_and_time(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return (-1, -1)
    return (found.st_size, found.st_mtime_ns)
