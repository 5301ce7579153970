"""Measure how the time for a text grows with its length.

The CPU time of this thread is measured, because most steps run in C (regular expressions, normal forms, ``str.count``),
where Python's tracing does not see them. It does not include other threads' load. Tests assert ratios, not durations.
"""

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

_FACTOR: Final = 20
_MIN_CHARS: Final = 2_000
_MAX_CHARS: Final = 1024 * 1024
"""The size of the largest record, which bounds every text from outside."""
_MIN_S: Final = 0.0005
"""Shorter times are too close to the clock's resolution: then both texts are made longer, up to the maximum."""
_ROUNDS: Final = 3
_CLEARLY_LINEAR: Final = 60


def growth(work: Callable[[str], object], piece: str) -> float:
    """Return how many times as long a text of twenty times the length takes: about 20 if linear, 400 if quadratic.

    The minimum of a few rounds counts, without the garbage collector, which would visit the objects of all earlier
    tests. A result that is not clearly linear is measured again, since a busy machine only makes it worse.
    """

    def cost(length: int) -> float:
        text = (piece * (length // len(piece) + 1))[:length]
        started = time.thread_time()
        work(text)
        return time.thread_time() - started

    def least(length: int) -> float:
        return min(cost(length) for _ in range(_ROUNDS))

    with _without_collector():
        length, short = _MIN_CHARS, least(_MIN_CHARS)
        while short < _MIN_S and length * _FACTOR < _MAX_CHARS:
            length = min(2 * length, _MAX_CHARS // _FACTOR + 1)
            short = least(length)
        found = float("inf")
        for _ in range(_ROUNDS):
            found = min(found, cost(length * _FACTOR) / max(short, _MIN_S))
            if found < _CLEARLY_LINEAR:
                break
            short = max(short, least(length))
        return found


@contextmanager
def _without_collector() -> Iterator[None]:
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
