"""End a child process when its parent dies: a killed parent cannot do this itself, but the Linux kernel can."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable
from typing import Final

_LIBC: Final = ctypes.CDLL(None) if sys.platform == "linux" else None
_PR_SET_PDEATHSIG: Final = 1


def end_with_parent(parent: int, number: signal.Signals) -> Callable[[], None]:
    """Return a function that a child calls between fork and exec, so that it ends when its parent dies.

    Args:
        parent: id of the process that starts the child.
        number: signal that the child gets. With SIGTERM it can end its own child processes.

    Returns:
        A function for ``preexec_fn`` of a subprocess; it takes no lock.
    """

    def ask_the_kernel() -> None:
        if _LIBC is not None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)
            if os.getppid() != parent:  # the parent died before prctl was called
                os.kill(os.getpid(), number)

    return ask_the_kernel
