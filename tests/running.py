"""Whether a process runs."""

import psutil


def is_running(pid: int) -> bool:
    """Return whether a process runs; one that has ended stays in the list until it is reaped."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
