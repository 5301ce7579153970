"""Stop the worker on SIGTERM or SIGINT: the signal is noticed at once, and the process ends within ten seconds.

Python runs signal handlers in the main thread, between two bytecodes. A call of the Kafka client's C code that waits
for a broker can take longer than a supervisor waits. So a separate thread waits for signals.
"""

import os
import signal
import socket
import threading
import time
from types import FrameType
from typing import Final

import structlog

from serving.watchdog import log_briefly

STOPPED: Final = 0
END_S: Final = 9.0
"""Time after the signal at which a process that is still running is ended. Nothing is lost: the successor or the broker
aborts an open transaction, and its questions are polled again from the committed offsets."""
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)

_log = structlog.get_logger("serving")


def exit_on_signal() -> None:
    """Let a signal end the process immediately. This is right until :meth:`Stop.listen` is called."""
    for number in _SIGNALS:
        signal.signal(number, _end)


def _end(number: int, frame: FrameType | None) -> None:
    del number, frame
    os._exit(STOPPED)


class Stop:
    """A request to stop.

    Attributes:
        event: set as soon as a signal arrives.

    Args:
        end_s: how long the process may run after the signal.
    """

    def __init__(self, end_s: float = END_S) -> None:
        self.event = threading.Event()
        self._end_s = end_s

    def listen(self) -> None:
        """Start to handle both signals. Call this from the main thread."""
        receiver, sender = socket.socketpair()
        sender.setblocking(False)
        # The interpreter's C handler writes each signal's number to this socket even while the main thread is blocked.
        signal.set_wakeup_fd(sender.detach(), warn_on_full_buffer=False)
        for number in _SIGNALS:
            signal.signal(number, self._on_signal)
        threading.Thread(target=self._wait, args=(receiver,), name="stop", daemon=True).start()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self.event.set()

    def _wait(self, receiver: socket.socket) -> None:
        while receiver.recv(1)[0] not in _SIGNALS:  # other signals that have a handler in Python are written too
            continue
        self.event.set()
        time.sleep(self._end_s)
        log_briefly(lambda: _log.warning("stopped_late", after_s=self._end_s))
        os._exit(STOPPED)
