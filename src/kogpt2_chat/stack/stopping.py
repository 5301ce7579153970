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
from kogpt2_chat.stack.supervision import GONE, Supervision, find_supervision, silent_supervisor
from kogpt2_chat.stack.waiting import Runner

_SHUT_DOWN_S: Final = 3.0
_UNDO_S: Final = 20.0
_LEAST_GRACE_S: Final = 2.0


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


def shut_down(supervision: Supervision) -> None:
    """End the supervisor; it has nothing left to stop, or too little time for it."""
    with suppress(Unavailable):
        supervision.shut_down(timeout_s=_SHUT_DOWN_S)


def undo(folders: Folders, started: Sequence[Program], *, alone: bool) -> None:
    """Stop what one ``up`` started; all else that runs was there before and is left alone.

    Args:
        folders: of the stack.
        started: what that ``up`` meant to start.
        alone: nothing ran before, so that the supervisor is its own too.
    """
    with undisturbed():
        supervision = find_supervision(folders)
        if supervision is not None:
            with suppress(Unavailable):
                stop_started(supervision, started, time.monotonic() + _UNDO_S)
            if alone:
                shut_down(supervision)
        if alone:
            stop_orphans(folders, {program.name: program.stop_rank for program in started}, lambda _: None, 5.0)


@contextmanager
def undisturbed() -> Iterator[None]:
    """No second ctrl-C in the middle of cleaning up: half of it is worse than some seconds more."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _are_gone(supervision: Runner, names: set[str]) -> bool:
    return not names & running(supervision)
