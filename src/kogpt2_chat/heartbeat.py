"""Say that long work goes on, when it says nothing itself: a thread, with or without a terminal.

Knows nothing of what the work is.
"""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

from kogpt2_chat.domain.servers.silence import EVERY_S, Silence

_LOOK_S: Final = 0.5


class Heartbeat:
    """Hands lines of progress on, and repeats the last one before nothing has come for ten seconds.

    Example: ``with Heartbeat(progress, "fetching jars") as heartbeat: fetch(progress=heartbeat.say)``
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
        self._silence = Silence(line=what, since_s=clock(), every_s=every_s)
        self._end = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._watch, name="heartbeat", daemon=True)

    def say(self, line: str) -> None:
        """Hand a line of the work on."""
        with self._lock:
            self._silence.said(line, self._clock())
            self._say(line)

    def heard(self, line: str) -> None:
        """Something else has said a line of the work."""
        with self._lock:
            self._silence.said(line, self._clock())

    def look(self) -> None:
        """Break the silence if it has lasted too long; the thread does this twice a second."""
        with self._lock:
            line = self._silence.due(self._clock())
            if line is not None and not self._end.is_set():
                self._say(line)

    def stop(self) -> None:
        """Say nothing more by itself."""
        self._end.set()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _watch(self) -> None:
        with suppress(OSError):  # whoever listened has gone
            while not self._end.wait(_LOOK_S):
                self.look()
