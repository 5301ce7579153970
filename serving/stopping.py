"""SIGTERM and SIGINT: noticed at once, and obeyed within ten seconds even if something hangs.

Python runs signal handlers in the main thread, and only between two bytecodes: a call of the Kafka client's C code that
waits for a broker can take longer than a supervisor waits. So a thread of its own waits for signals.
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
"""After the signal: the process is ended then if it has not ended by itself. Nothing is lost: an open transaction is
aborted by the successor or by the broker, and its questions are answered from the committed positions."""
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)

_log = structlog.get_logger("serving")


def end_at_once() -> None:
    """Let a signal simply end the process, until the worker holds something."""
    for number in _SIGNALS:
        signal.signal(number, _end)


def _end(number: int, frame: FrameType | None) -> None:
    del number, frame
    os._exit(STOPPED)


class Stop:
    """A request to stop.

    Attributes:
        event: set as soon as a signal has come.

    Args:
        end_s: how long the process may still take after it.
    """

    def __init__(self, end_s: float = END_S) -> None:
        self.event = threading.Event()
        self._end_s = end_s

    def listen(self) -> None:
        """Handle both signals of this process. Call it from the main thread."""
        receiver, sender = socket.socketpair()
        sender.setblocking(False)
        # The interpreter's C handler writes each signal's number there, whatever the main thread does.
        signal.set_wakeup_fd(sender.detach(), warn_on_full_buffer=False)
        for number in _SIGNALS:
            signal.signal(number, self._on_signal)
        threading.Thread(target=self._wait, args=(receiver,), name="stop", daemon=True).start()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self.event.set()

    def _wait(self, receiver: socket.socket) -> None:
        while receiver.recv(1)[0] not in _SIGNALS:  # this process may handle others too
            continue
        self.event.set()
        time.sleep(self._end_s)
        say_last(lambda: _log.warning("stopped_late", after_s=self._end_s))
        os._exit(STOPPED)
