"""How the work on a text grows with its length."""

import gc
import time
from collections.abc import Callable
from typing import Final

_SHORT: Final = 2_000
_LONG: Final = 40_000
_ROUNDS: Final = 3
_LEAST_S: Final = 0.0005


def growth(work: Callable[[str], object], piece: str) -> float:
    """CPU time for a text twenty times as long, as a multiple: about 20 if the work is linear, 400 if it is quadratic.

    The least of a few rounds counts, with the garbage collector off: it walks the objects of every test that ran
    before. No wall clock is read.
    """

    def cost(length: int) -> float:
        text = (piece * length)[:length]
        started = time.process_time()
        work(text)
        return time.process_time() - started

    was_on = gc.isenabled()
    gc.disable()
    try:
        short, long = (min(cost(length) for _ in range(_ROUNDS)) for length in (_SHORT, _LONG))
    finally:
        if was_on:
            gc.enable()
    return long / max(short, _LEAST_S)
