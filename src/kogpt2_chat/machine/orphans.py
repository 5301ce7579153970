"""No child outlives its parent: one that is killed ends nothing itself, but the kernel does it (on Linux)."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable
from typing import Final

_LIBC: Final = ctypes.CDLL(None) if sys.platform == "linux" else None
_PR_SET_PDEATHSIG: Final = 1


def ended_with(parent: int, number: signal.Signals) -> Callable[[], None]:
    """What a child does first, between fork and exec, so that it ends when its parent is killed.

    Args:
        parent: the process that starts it.
        number: what the child gets then. SIGTERM lets it end what it has started itself.

    Returns:
        For ``preexec_fn`` of a subprocess; it takes no lock.
    """

    def ask_the_kernel() -> None:
        if _LIBC is not None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)
            if os.getppid() != parent:  # it died before it was asked for
                os.kill(os.getpid(), number)

    return ask_the_kernel
