"""Start and stop the servers of one machine.

``up`` and ``down`` of one home exclude each other. Whatever ``up`` started it stops again when it fails or is
interrupted; ``down`` also finds what outlived its supervisor.
"""

import http.client
import os
import pwd
import time
import xmlrpc.client
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from fcntl import LOCK_EX, LOCK_NB, flock
from functools import partial
from pathlib import Path

from kogpt2_chat.errors import Unavailable
from kogpt2_chat.settings import Settings
from kogpt2_chat.stack.folders import Folders, folders_of, make_folders, remove_all
from kogpt2_chat.stack.jars import ensure_jars
from kogpt2_chat.stack.java import ensure_java
from kogpt2_chat.stack.preflight import check_machine
from kogpt2_chat.stack.processes import stack_processes, stop_processes, wait_until
from kogpt2_chat.stack.program import Program, program_environment, start_script
from kogpt2_chat.stack.roster import all_programs, chosen
from kogpt2_chat.stack.servers.airflow import write_secrets
from kogpt2_chat.stack.supervision import (
    GONE,
    Supervision,
    configuration,
    find_supervision,
    script_path,
    start_supervision,
    write_configuration,
)
from kogpt2_chat.stack.waiting import Runner, wait_until_healthy

Progress = Callable[[str], None]


def up(
    settings: Settings,
    only: Collection[str] | None = None,
    *,
    progress: Progress,
    on_ready: Callable[[], None] | None = None,
) -> None:
    """Start what is not running and wait until all of it is healthy.

    1. Java and jars. 2. Whatever a dead supervisor left behind is stopped. 3. Memory, disk, ports: all faults at
    once, before anything starts. 4. Configuration. 5. Start in the order of needs, side by side where possible.

    Args:
        settings: the stack.
        only: names or groups of services; all without it.
        progress: told what is done and what is waited for.
        on_ready: called once Kafka, HDFS and Elasticsearch are healthy, before anything that uses them starts.

    Raises:
        InvalidInput: an unknown service, or a setting that cannot work.
        Unavailable: the machine lacks something, or a service did not become healthy; nothing is left running
            that this call started.
    """
    folders = folders_of(settings)
    java = ensure_java(progress)
    programs = all_programs(settings, folders, java)
    wanted = chosen(programs, only)
    ensure_jars(settings, java.program, progress)
    make_folders(folders)
    with _alone(folders, progress):
        supervision = find_supervision(folders)
        if supervision is None:
            _stop_orphans(folders, progress)
        running = _running(supervision)
        starting = [program for program in wanted if program.name not in running]
        check_machine(settings, folders, starting)
        _write(settings, folders, [program for program in programs if program.name not in running])
        try:
            if starting:
                text = configuration(folders, programs)
                supervision = _supervise(folders, supervision, text, running)
            if supervision is not None:
                wait_until_healthy(settings, folders, supervision, wanted, progress, on_ready)
        except BaseException:
            progress("up did not finish: stopping what it started")
            _undo(folders, starting, alone=not running)
            raise


def down(settings: Settings, *, progress: Progress, wipe: bool = False) -> None:
    """Stop everything of this home, in order, and with ``wipe`` remove what it kept.

    Works without a supervisor too: whatever carries this home's mark is stopped.

    Args:
        settings: the stack.
        progress: told what is stopped.
        wipe: remove data, logs, configuration and secrets as well.
    """
    folders = folders_of(settings)
    if not folders.run.exists() and not stack_processes(folders.home):
        progress("nothing is running")
    else:
        make_folders(folders)
        with _alone(folders, progress):
            deadline = time.monotonic() + settings.stack.stop_timeout_s
            if supervision := find_supervision(folders):
                known = {program.name: program.stop_rank for program in _known_programs(settings, folders)}
                ranks = {name: known.get(name, 0) for name in _running(supervision)}
                _stop_in_order(supervision, ranks, deadline - 8, progress)
                _shut_down(supervision)
            _stop_orphans(folders, progress, grace_s=max(2.0, min(5.0, deadline - time.monotonic())))
    if wipe:
        remove_all(folders)
        progress(f"removed the stack's data in {folders.home}")


def logs(settings: Settings, service: str, *, lines: int = 100, follow: bool = False) -> Iterator[str]:
    """The last lines of a service's log, and with ``follow`` those to come.

    Yields:
        Lines without their ends.

    Args:
        settings: the stack.
        service: its name in ``status``.
        lines: how many of the lines that are there.
        follow: go on with new lines until the caller stops.

    Yields:
        Lines without their ends.

    Raises:
        Unavailable: the service has not written a log yet.
    """
    path = folders_of(settings).log(service)
    if not path.exists():
        there = ", ".join(sorted(file.stem for file in path.parent.glob("*.log"))) or "none yet"
        raise Unavailable(f"no log of {service} in {path.parent}; there are: {there}")
    with path.open(errors="replace") as handle:
        yield from (line.rstrip("\n") for line in handle.readlines()[-lines:])
        while follow:
            if line := handle.readline():
                yield line.rstrip("\n")
            elif path.stat().st_size < handle.tell():
                handle.seek(0)
            else:
                time.sleep(0.3)


def _known_programs(settings: Settings, folders: Folders) -> list[Program]:
    """Programs without asking for Java: stopping must work on a machine that lost it."""
    from kogpt2_chat.stack.java import Java

    return all_programs(settings, folders, Java(home=Path("/"), version=17))


def _running(supervision: Runner | None) -> set[str]:
    if supervision is None:
        return set()
    return {name for name, state in supervision.states().items() if state.state not in GONE}


def _supervise(folders: Folders, supervision: Supervision | None, text: str, running: set[str]) -> Supervision:
    if supervision is None:
        return start_supervision(folders, text)
    write_configuration(folders, text)
    supervision.reload(running)
    return supervision


def _write(settings: Settings, folders: Folders, programs: Sequence[Program]) -> None:
    """Folders, configuration and start scripts; each readable by its program's user alone."""
    write_secrets(settings, folders)
    for program in programs:
        script = Path(script_path(folders, program))
        environment = program_environment(program, settings, folders.home)
        files = {**program.files, script: start_script(program, environment)}
        for folder in {*program.folders, *(path.parent for path in files)}:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _own(folder, program, 0o700)
        for path, text in files.items():
            path.touch(mode=0o600)
            path.write_text(text)
            _own(path, program, 0o600)


def _own(path: Path, program: Program, mode: int) -> None:
    path.chmod(mode)
    if program.user:
        found = pwd.getpwnam(program.user)
        os.chown(path, found.pw_uid, found.pw_gid)


def _stop_in_order(supervision: Runner, ranks: dict[str, int], deadline: float, progress: Progress) -> None:
    """Stop the programs of ``ranks``, the lowest rank first, and no other."""
    for rank in sorted(set(ranks.values())):
        names = {name for name in _running(supervision) if ranks.get(name) == rank}
        if not names:
            continue
        progress(f"stopping {', '.join(sorted(names))}")
        for name in names:
            supervision.stop(name)
        wait_until(partial(_are_gone, supervision, names), deadline)


def _are_gone(supervision: Runner, names: set[str]) -> bool:
    return not names & _running(supervision)


def _shut_down(supervision: Supervision) -> None:
    """End the supervisor; it has nothing left to stop, or too little time for it."""
    with suppress(OSError, http.client.HTTPException, xmlrpc.client.Error):
        supervision.shut_down(timeout_s=3)


def _stop_orphans(folders: Folders, progress: Progress, grace_s: float = 10.0) -> None:
    if orphans := stack_processes(folders.home):
        progress(f"stopping {len(orphans)} processes that outlived their supervisor")
        stop_processes(orphans, grace_s)
    folders.socket.unlink(missing_ok=True)


def _undo(folders: Folders, started: Sequence[Program], *, alone: bool) -> None:
    """Stop what this call started; all else that runs was there before and is left alone."""
    supervision = find_supervision(folders)
    if supervision is not None:
        stop_started(supervision, started, time.monotonic() + 20)
        if alone:
            _shut_down(supervision)
    if alone:
        stop_processes(stack_processes(folders.home), 5.0)


def stop_started(supervision: Runner, started: Sequence[Program], deadline: float) -> None:
    """Stop these programs in their order, whatever else runs."""
    ranks = {program.name: program.stop_rank for program in started}
    _stop_in_order(supervision, ranks, deadline, lambda _: None)


@contextmanager
def _alone(folders: Folders, progress: Progress) -> Iterator[None]:
    """One ``up`` or ``down`` of a home at a time."""
    with (folders.run / "command.lock").open("w") as handle:
        try:
            flock(handle, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            progress("another stack command is at work in this home, waiting for it")
            flock(handle, LOCK_EX)
        os.set_inheritable(handle.fileno(), False)
        yield
