"""Ends a process that is stuck, and (for fault tests) one that has reached a named step.

Commit and abort have no timeout of their own, and the supervisor restarts a dead worker, not a stuck one.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Final

STALLED_EXIT_CODE: Final = 70
_WORD_S: Final = 0.5
FAILPOINT: Final = "KOGPT2_SERVING__FAILPOINT"
FAILPOINT_EVENT: Final = "failpoint"
"""The last line of a process that a failpoint kills, so that a test knows the step."""


def say_last(word: Callable[[], None]) -> None:
    """Log before the process ends. The reader of the log may be what hangs, so do not wait long."""
    saying = threading.Thread(target=word, name="last-word", daemon=True)
    saying.start()
    saying.join(timeout=_WORD_S)


class Watchdog:
    """Watches one loop.

    Args:
        limit_s: longest time between two beats.
        on_stall: called once before the process ends.
    """

    def __init__(self, limit_s: float, on_stall: Callable[[float], None]) -> None:
        self._limit_s = limit_s
        self._on_stall = on_stall
        self._last = time.monotonic()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    @property
    def silent_s(self) -> float:
        """Seconds since the last beat."""
        return time.monotonic() - self._last

    def start(self) -> None:
        """Start watching."""
        self.beat()
        self._thread.start()

    def beat(self) -> None:
        """Note that the loop is alive."""
        self._last = time.monotonic()

    def _watch(self) -> None:
        while self.silent_s < self._limit_s:
            time.sleep(min(1.0, self._limit_s / 10))
        silent_s = self.silent_s
        say_last(lambda: self._on_stall(silent_s))
        os._exit(STALLED_EXIT_CODE)  # a blocked thread cannot be asked to stop


class Failpoint:
    """Kills this process with SIGKILL when a step is reached for the n-th time.

    ``KOGPT2_SERVING__FAILPOINT=sent:3`` names the step and the count (default 1). Unset, it does nothing.
    Steps: polled, decoding, decoded, begun, sent, offsets_sent, committed.
    """

    def __init__(self, text: str | None = None) -> None:
        step, _, count = (os.environ.get(FAILPOINT, "") if text is None else text).partition(":")
        self._step = step
        self._left = int(count or 1)

    def reach(self, step: str) -> None:
        """Count a step that is about to begin or has just been done, as its name says."""
        if step != self._step:
            return
        self._left -= 1
        if self._left == 0:
            os.write(sys.stderr.fileno(), f'{{"event": "{FAILPOINT_EVENT}", "step": "{step}"}}\n'.encode())
            os.kill(os.getpid(), signal.SIGKILL)
