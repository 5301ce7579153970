"""How the work on a text grows with its length.

What is counted is CPU time of this thread: most steps are C's (regular expressions, normal forms, ``str.count``), which
no trace of Python's lines sees. Nobody else's load is in it, and no duration is ever asserted, only a multiple.
"""

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

_TIMES: Final = 20
_SHORTEST: Final = 2_000
_LONGEST: Final = 1024 * 1024
"""No text from outside is longer than the largest record."""
_LEAST_S: Final = 0.0005
"""Less cannot be told from the clock's own steps: then both texts are made longer, up to the longest there is."""
_ROUNDS: Final = 3
_PLAINLY_LINEAR: Final = 60


def growth(work: Callable[[str], object], piece: str) -> float:
    """CPU time for a text twenty times as long, as a multiple: about 20 if the work is linear, 400 if it is quadratic.

    The least of a few rounds counts, with the garbage collector off: it walks the objects of every test that ran
    before. What does not look linear is measured again, since a busy machine can only make it look worse.
    """

    def cost(length: int) -> float:
        text = (piece * (length // len(piece) + 1))[:length]
        started = time.thread_time()
        work(text)
        return time.thread_time() - started

    def least(length: int) -> float:
        return min(cost(length) for _ in range(_ROUNDS))

    with _without_collector():
        length, short = _SHORTEST, least(_SHORTEST)
        while short < _LEAST_S and length * _TIMES < _LONGEST:
            length = min(2 * length, _LONGEST // _TIMES + 1)
            short = least(length)
        found = float("inf")
        for _ in range(_ROUNDS):
            found = min(found, cost(length * _TIMES) / max(short, _LEAST_S))
            if found < _PLAINLY_LINEAR:
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
