"""End a subprocess together with all processes that it has started: they share its process group."""

import os
import signal
import subprocess
from collections.abc import Callable


def signal_group(group: int, number: signal.Signals) -> bool:
    """Signal a process group, and return whether it still exists."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    return True


def end_group(
    leader: "subprocess.Popen[str] | subprocess.Popen[bytes]",
    grace_s: float,
    before_kill: Callable[[], None] = lambda: None,
) -> None:
    """End the whole group with SIGTERM, then SIGKILL. Do nothing if all its processes have ended.

    Args:
        leader: a process that was started in a new session.
        grace_s: time for the leader to end after SIGTERM. When it has ended, the rest of the group is killed at once.
        before_kill: called if the leader has not ended in time.
    """
    if signal_group(leader.pid, signal.SIGTERM):
        try:
            leader.wait(grace_s)
        except subprocess.TimeoutExpired:
            before_kill()
    signal_group(leader.pid, signal.SIGKILL)
    leader.wait()
