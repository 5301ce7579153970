"""Answers of libraries that compute in threads of their own. Only the standard library."""

import queue
from typing import Any, Final

_WAIT_S: Final = 0.01
"""Short, so that requests that arrive meanwhile are queued; long enough to take no time from the library."""


def results(done: "queue.SimpleQueue[Any]") -> list[Any]:
    """Return what has arrived; wait a moment for the first.

    Raises:
        BaseException: the first error that a thread put into the queue.
    """
    found: list[Any] = []
    try:
        found.append(done.get(timeout=_WAIT_S))
        while True:
            found.append(done.get_nowait())
    except queue.Empty:
        pass
    for result in found:
        if isinstance(result, BaseException):
            raise result
    return found
