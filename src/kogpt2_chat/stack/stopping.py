"""Stop programs in their order, with a supervisor or without one, and never anything that is not ours."""

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Final

import psutil

from kogpt2_chat.errors import Unavailable
from kogpt2_chat.stack.folders import Folders
from kogpt2_chat.stack.processes import processes_by_name, stop_processes, wait_until
from kogpt2_chat.stack.program import Program
from kogpt2_chat.stack.supervision import GONE, SupervisorClient, find_supervision, silence, silent_supervisor
from kogpt2_chat.stack.waiting import Runner

_SHUT_DOWN_S: Final = 3.0
_UNDO_S: Final = 20.0
_LEFT_S: Final = 5.0
_LEAST_GRACE_S: Final = 2.0
_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What the commands take for ctrl-C."""


def running(supervision: Runner | None) -> set[str]:
    """Names of the programs that have a process, or are about to have one."""
    if supervision is None:
        return set()
    return {name for name, state in supervision.states().items() if state.state not in GONE}


def stop_in_order(
    supervision: Runner, ranks: Mapping[str, int], deadline: float, progress: Callable[[str], None]
) -> None:
    """Stop the programs of ``ranks``, the lowest rank first, and no other."""
    for rank in sorted(set(ranks.values())):
        names = {name for name in running(supervision) if ranks.get(name) == rank}
        if not names:
            continue
        progress(f"stopping {', '.join(sorted(names))}")
        for name in names:
            supervision.stop(name)
        wait_until(partial(_are_gone, supervision, names), deadline)


def stop_started(supervision: Runner, started: Sequence[Program], deadline: float) -> None:
    """Stop these programs in their order, whatever else runs."""
    ranks = {program.name: program.stop_rank for program in started}
    stop_in_order(supervision, ranks, deadline, lambda _: None)


def stop_orphans(
    folders: Folders, ranks: Mapping[str, int], progress: Callable[[str], None], within_s: float = 30.0
) -> None:
    """Stop whatever carries this home's mark and has no supervisor that answers, the lowest rank first.

    A supervisor that is still there goes first, and at once: it would start again what is stopped here.
    """
    if supervisor := silent_supervisor(folders):
        with suppress(psutil.Error):
            supervisor.kill()
            supervisor.wait(_SHUT_DOWN_S)
    families = processes_by_name(folders.home)
    if families:
        progress(f"stopping {sum(map(len, families.values()))} processes that outlived their supervisor")
    steps = sorted({ranks.get(name, 0) for name in families})
    deadline = time.monotonic() + within_s
    for place, rank in enumerate(steps):
        names = [name for name in families if ranks.get(name, 0) == rank]
        grace_s = max(_LEAST_GRACE_S, (deadline - time.monotonic()) / (len(steps) - place))
        stop_processes((process for name in names for process in families[name]), grace_s)
    folders.socket.unlink(missing_ok=True)


def shut_down(supervision: SupervisorClient) -> None:
    """End the supervisor; it has nothing left to stop, or too little time for it."""
    with suppress(Unavailable):
        supervision.shut_down(timeout_s=_SHUT_DOWN_S)


def undo(
    folders: Folders, started: Sequence[Program], *, alone: bool, progress: Callable[[str], None] = lambda _: None
) -> None:
    """Stop what one ``up`` started; all else that runs was there before and is left alone.

    Args:
        folders: of the stack.
        started: what that ``up`` meant to start.
        alone: nothing ran before, so that the supervisor is its own too.
        progress: told what could not be stopped, because a supervisor that was there before does not answer.
    """
    with undisturbed():
        deadline = time.monotonic() + _UNDO_S
        stopped = wait_until(lambda: _stopped_or_hopeless(folders, started, deadline), deadline)
        if not alone:
            if not stopped:
                _tell_what_goes_on(folders, started, progress)
            return
        if supervision := find_supervision(folders):
            shut_down(supervision)
        ranks = {program.name: program.stop_rank for program in started}
        stop_orphans(folders, ranks, lambda _: None, _LEFT_S if stopped else _UNDO_S)


def _stopped_or_hopeless(folders: Folders, started: Sequence[Program], deadline: float) -> bool:
    """Ask the supervisor, if there is one at all; False where it is there and asking again may help."""
    if supervision := find_supervision(folders):
        with suppress(Unavailable):
            stop_started(supervision, started, deadline)
            return True
    return silent_supervisor(folders) is None


def _tell_what_goes_on(folders: Folders, started: Sequence[Program], progress: Callable[[str], None]) -> None:
    alive = processes_by_name(folders.home)
    names = [program.name for program in started if program.name in alive]
    if names and (supervisor := silent_supervisor(folders)):
        with suppress(OSError):  # whoever listened may be gone
            progress(f"not stopped: {', '.join(names)}; {silence(supervisor)}")


@contextmanager
def undisturbed() -> Iterator[None]:
    """No second ctrl-C or closed terminal in the middle of cleaning up: half of it is worse than some seconds more."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in _ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _are_gone(supervision: Runner, names: set[str]) -> bool:
    return not names & running(supervision)
