"""A background thread that reports progress while long work prints nothing, with or without a terminal."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

from kogpt2_chat.domain.servers.progress_reminder import EVERY_S, ProgressReminder

_CHECK_INTERVAL_S: Final = 0.5


class ProgressThread:
    """Forwards progress lines, and repeats the last one so that no gap exceeds ten seconds.

    Example: ``with ProgressThread(progress, "fetching jars") as thread: fetch(progress=thread.say)``
    """

    def __init__(
        self,
        say: Callable[[str], None],
        what: str,
        *,
        every_s: float = EVERY_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._say, self._clock = say, clock
        self._reminder = ProgressReminder(line=what, since_s=clock(), every_s=every_s)
        self._end = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._watch, name="progress", daemon=True)

    def say(self, line: str) -> None:
        """Forward a progress line."""
        with self._lock:
            self._reminder.record(line, self._clock())
            self._say(line)

    def note(self, line: str) -> None:
        """Record a progress line that was printed elsewhere, without printing it."""
        with self._lock:
            self._reminder.record(line, self._clock())

    def remind(self) -> None:
        """Repeat the last line if nothing was printed for too long. The thread calls this twice a second."""
        with self._lock:
            line = self._reminder.due(self._clock())
            if line is not None and not self._end.is_set():
                self._say(line)

    def stop(self) -> None:
        """Stop repeating lines."""
        self._end.set()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _watch(self) -> None:
        with suppress(OSError):  # the output was closed
            while not self._end.wait(_CHECK_INTERVAL_S):
                self.remind()
