"""Stop the programs of a stack in order, with or without a supervisor, and no other processes."""

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Final

import psutil

from kogpt2_chat.errors import Unavailable
from kogpt2_chat.stack.processes import processes_by_name, stop_processes, wait_until
from kogpt2_chat.stack.program import Program
from kogpt2_chat.stack.supervision import GONE, Supervisor, SupervisorClient
from kogpt2_chat.stack.waiting import Runner

_SHUT_DOWN_S: Final = 3.0
UNDO_S: Final = 20.0
_ORPHANS_S: Final = 5.0
_MIN_GRACE_S: Final = 2.0
_INTERRUPTS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that the commands treat like Ctrl-C."""


def running(supervision: Runner | None) -> set[str]:
    """Return the names of the programs that have a process or are about to get one."""
    if supervision is None:
        return set()
    return {name for name, state in supervision.states().items() if state.state not in GONE}


def stop_in_order(
    supervision: Runner, ranks: Mapping[str, int], deadline: float, progress: Callable[[str], None]
) -> None:
    """Stop only the programs in ``ranks``, lowest rank first."""
    for rank in sorted(set(ranks.values())):
        names = {name for name in running(supervision) if ranks.get(name) == rank}
        if not names:
            continue
        progress(f"stopping {', '.join(sorted(names))}")
        for name in names:
            supervision.stop(name)
        wait_until(partial(_are_gone, supervision, names), deadline)


def stop_started(supervision: Runner, started: Sequence[Program], deadline: float) -> None:
    """Stop only these programs, in order of their stop ranks."""
    ranks = {program.name: program.stop_rank for program in started}
    stop_in_order(supervision, ranks, deadline, lambda _: None)


def stop_orphans(
    supervisor: Supervisor, ranks: Mapping[str, int], progress: Callable[[str], None], within_s: float = 30.0
) -> None:
    """Stop all processes with this home's mark if no supervisor answers, lowest rank first.

    An unresponsive supervisor is killed first, because it would restart the programs.
    """
    if process := supervisor.unresponsive():
        with suppress(psutil.Error):
            process.kill()
            process.wait(_SHUT_DOWN_S)
    families = processes_by_name(supervisor.folders.home)
    if families:
        progress(f"stopping {sum(map(len, families.values()))} processes that outlived their supervisor")
    steps = sorted({ranks.get(name, 0) for name in families})
    deadline = time.monotonic() + within_s
    for done, rank in enumerate(steps):
        names = [name for name in families if ranks.get(name, 0) == rank]
        grace_s = max(_MIN_GRACE_S, (deadline - time.monotonic()) / (len(steps) - done))
        stop_processes((process for name in names for process in families[name]), grace_s)
    supervisor.folders.socket.unlink(missing_ok=True)


def shut_down(client: SupervisorClient) -> None:
    """Stop the supervisor; errors and timeouts are ignored."""
    with suppress(Unavailable):
        client.shut_down(timeout_s=_SHUT_DOWN_S)


def undo(
    supervisor: Supervisor,
    started: Sequence[Program],
    *,
    ran_before: bool,
    progress: Callable[[str], None],
    within_s: float = UNDO_S,
) -> None:
    """Stop the programs that one ``up`` started; programs that ran before are left running.

    Args:
        supervisor: the supervisor of the stack.
        started: the programs that this ``up`` should have started.
        ran_before: whether other programs ran before, so that the supervisor is left running too.
        progress: called with a line about programs that could not be stopped, because the supervisor does not answer.
        within_s: how long to try.
    """
    with interrupts_ignored():
        deadline = time.monotonic() + within_s
        stopped = wait_until(lambda: _stopped_or_no_supervisor(supervisor, started, deadline), deadline)
        if ran_before:
            if not stopped:
                _report_still_running(supervisor, started, progress)
            return
        if client := supervisor.find():
            shut_down(client)
        ranks = {program.name: program.stop_rank for program in started}
        stop_orphans(supervisor, ranks, lambda _: None, _ORPHANS_S if stopped else within_s)


def _stopped_or_no_supervisor(supervisor: Supervisor, started: Sequence[Program], deadline: float) -> bool:
    """Stop the programs if the supervisor answers; return False if it exists but does not answer, to try again."""
    if client := supervisor.find():
        with suppress(Unavailable):
            stop_started(client, started, deadline)
            return True
    return supervisor.unresponsive() is None


def _report_still_running(supervisor: Supervisor, started: Sequence[Program], progress: Callable[[str], None]) -> None:
    alive = processes_by_name(supervisor.folders.home)
    names = [program.name for program in started if program.name in alive]
    if names and (process := supervisor.unresponsive()):
        with suppress(OSError):  # the reader of the progress lines may be gone
            progress(f"not stopped: {', '.join(names)}; {supervisor.unresponsive_message(process)}")


@contextmanager
def interrupts_ignored() -> Iterator[None]:
    """Ignore Ctrl-C and a closed terminal during clean-up, so that a second interrupt does not leave it half done."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in _INTERRUPTS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _are_gone(supervision: Runner, names: set[str]) -> bool:
    return not names & running(supervision)
