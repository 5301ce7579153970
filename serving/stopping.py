"""SIGTERM and SIGINT: heard at once, and obeyed within ten seconds whatever hangs.

Python tells of a signal in the main thread, and only between two of its own steps: a call of the Kafka client in C that
waits for a broker can take longer than a supervisor waits. So a thread of its own hears it.
"""

import os
import signal
import socket
import threading
import time
from types import FrameType
from typing import Final

import structlog

from serving.watchdog import say_last

STOPPED: Final = 0
END_S: Final = 9.0
"""After the signal: what has not ended by itself is ended then. Nothing is lost by it: an open transaction is ended by
the slot's next worker, or by the broker, and its questions are answered from the committed positions."""
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)

_log = structlog.get_logger("serving")


def end_at_once() -> None:
    """Until the worker holds something, a request to stop simply ends the process."""
    for number in _SIGNALS:
        signal.signal(number, _end)


def _end(number: int, frame: FrameType | None) -> None:
    del number, frame
    os._exit(STOPPED)


class Stop:
    """A request to stop.

    Attributes:
        event: set as soon as it has come.

    Args:
        end_s: how long the process may still take then.
    """

    def __init__(self, end_s: float = END_S) -> None:
        self.event = threading.Event()
        self._end_s = end_s

    def listen(self) -> None:
        """Take over both signals of this process; the main thread's to call."""
        hears, told = socket.socketpair()
        told.setblocking(False)
        # The interpreter writes each signal's number there from its handler in C, whatever the main thread does.
        signal.set_wakeup_fd(told.detach(), warn_on_full_buffer=False)
        for number in _SIGNALS:
            signal.signal(number, self._hear)
        threading.Thread(target=self._wait, args=(hears,), name="stop", daemon=True).start()

    def _hear(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self.event.set()

    def _wait(self, hears: socket.socket) -> None:
        while hears.recv(1)[0] not in _SIGNALS:  # others may be handled in this process too
            continue
        self.event.set()
        time.sleep(self._end_s)
        say_last(lambda: _log.warning("stopped_late", after_s=self._end_s))
        os._exit(STOPPED)
