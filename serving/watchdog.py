"""End a process that is stuck, or (in fault tests) one that reaches a named step.

Commit and abort have no timeout, and a supervisor restarts a dead worker but not a stuck one.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Final

STALLED_EXIT_CODE: Final = 70
_LOG_TIMEOUT_S: Final = 0.5
FAILPOINT: Final = "KOGPT2_SERVING__FAILPOINT"
FAILPOINT_EVENT: Final = "failpoint"
"""Event of the last line that a process logs before a failpoint kills it; the line names the step for the test."""


def log_briefly(log: Callable[[], None]) -> None:
    """Log before the process ends. Do not wait long: a blocked reader of the log may be what the process hangs on."""
    thread = threading.Thread(target=log, name="last-log", daemon=True)
    thread.start()
    thread.join(timeout=_LOG_TIMEOUT_S)


class Watchdog:
    """Ends the process if a loop makes no progress.

    Args:
        limit_s: longest time between two calls of ``beat``.
        on_stall: called once before the process ends, with the seconds since the last call.
    """

    def __init__(self, limit_s: float, on_stall: Callable[[float], None]) -> None:
        self._limit_s = limit_s
        self._on_stall = on_stall
        self._last = time.monotonic()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    @property
    def silent_s(self) -> float:
        """Seconds since the last call of ``beat``."""
        return time.monotonic() - self._last

    def start(self) -> None:
        """Start watching."""
        self.beat()
        self._thread.start()

    def beat(self) -> None:
        """Note that the loop has made progress."""
        self._last = time.monotonic()

    def _watch(self) -> None:
        while self.silent_s < self._limit_s:
            time.sleep(min(1.0, self._limit_s / 10))
        silent_s = self.silent_s
        log_briefly(lambda: self._on_stall(silent_s))
        os._exit(STALLED_EXIT_CODE)  # a blocked thread cannot be stopped in any other way


class Failpoint:
    """Kills this process with SIGKILL when a step is reached for the n-th time.

    ``KOGPT2_SERVING__FAILPOINT=sent:3`` sets the step and n (default 1). Without it, this class does nothing.
    Steps: polled, decoding, decoded, begun, sent, offsets_sent, committed.

    Args:
        text: step and count; by default from the environment variable.
    """

    def __init__(self, text: str | None = None) -> None:
        step, _, count = (os.environ.get(FAILPOINT, "") if text is None else text).partition(":")
        self._step = step
        self._left = int(count or 1)

    def reach(self, step: str) -> None:
        """Count one step. Its name says whether it is about to begin or has just ended."""
        if step != self._step:
            return
        self._left -= 1
        if self._left == 0:
            os.write(sys.stderr.fileno(), f'{{"event": "{FAILPOINT_EVENT}", "step": "{step}"}}\n'.encode())
            os.kill(os.getpid(), signal.SIGKILL)
