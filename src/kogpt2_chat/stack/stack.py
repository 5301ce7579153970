"""Start and stop the servers of one machine.

``up`` and ``down`` of one home exclude each other. Whatever ``up`` started it stops again when it fails or is
interrupted; ``down`` also finds what outlived its supervisor.
"""

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from kogpt2_chat.errors import Unavailable
from kogpt2_chat.settings import CHECKOUT, Settings
from kogpt2_chat.stack.alone import alone
from kogpt2_chat.stack.folders import Folders, folders_of, remove_all
from kogpt2_chat.stack.jars import ensure_jars
from kogpt2_chat.stack.java import Java, ensure_java
from kogpt2_chat.stack.log_tail import follow as follow_log
from kogpt2_chat.stack.log_tail import tail
from kogpt2_chat.stack.losses import lost, remember
from kogpt2_chat.stack.own import give_folder, write_file
from kogpt2_chat.stack.plain_path import link
from kogpt2_chat.stack.preflight import check_machine, check_settings
from kogpt2_chat.stack.processes import stack_processes
from kogpt2_chat.stack.program import Program, program_environment, start_script
from kogpt2_chat.stack.roster import all_programs, chosen
from kogpt2_chat.stack.servers.airflow import write_secrets
from kogpt2_chat.stack.started_with import changed_since
from kogpt2_chat.stack.stopping import running, shut_down, stop_in_order, stop_orphans, undo
from kogpt2_chat.stack.supervision import (
    SupervisorClient,
    configuration,
    find_supervision,
    script_path,
    silence,
    silent_supervisor,
    start_supervision,
    write_configuration,
)
from kogpt2_chat.stack.waiting import wait_until_healthy

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
    check_settings(settings)
    folders = folders_of(settings)
    java = ensure_java(progress)
    programs = all_programs(settings, folders, java)
    wanted = chosen(programs, only)
    link(ensure_jars(settings, java.program, progress).resolve())
    link(CHECKOUT)
    with alone(folders, progress):
        supervision = _find_or_clear(folders, programs, progress)
        there = running(supervision)
        starting = [program for program in wanted if program.name not in there]
        check_machine(settings, folders, starting)
        for sentence in (*lost(folders, starting), *_kept(settings, folders, programs, supervision, there)):
            progress(sentence)
        _write(settings, folders, [program for program in programs if program.name not in there])
        try:
            if starting:
                supervision = _supervise(folders, supervision, configuration(folders, programs), there)
            if supervision is not None:
                wait_until_healthy(settings, folders, supervision, wanted, progress, on_ready)
        except BaseException:
            with suppress(OSError):  # whoever listened may be gone: what was started is stopped all the same
                progress("up did not finish: stopping what it started")
            undo(folders, starting, alone=not there, progress=progress)
            raise
        remember(folders, wanted, progress)


def down(settings: Settings, *, progress: Progress, wipe: bool = False) -> None:
    """Stop everything of this home, in order, and with ``wipe`` remove what it kept.

    Works without a supervisor too: whatever carries this home's mark is stopped.

    Args:
        settings: the stack.
        progress: told what is stopped.
        wipe: remove data, logs, configuration and secrets as well.
    """
    folders = folders_of(settings)
    if not (folders.home / "run").exists() and not stack_processes(folders.home):
        progress("nothing is running")
        if not (wipe and folders.home.exists()):
            return
    with alone(folders, progress):
        deadline = time.monotonic() + settings.stack.stop_timeout_s
        known = {program.name: program.stop_rank for program in _known_programs(settings, folders)}
        if supervision := find_supervision(folders):
            with suppress(Unavailable):  # it went silent: what it ran is stopped below
                ranks = {name: known.get(name, 0) for name in running(supervision)}
                stop_in_order(supervision, ranks, deadline - 8, progress)
            shut_down(supervision)
        stop_orphans(folders, known, progress, deadline - time.monotonic())
        if wipe:
            _wipe(folders, progress)


def _wipe(folders: Folders, progress: Progress) -> None:
    """Under the lock: an ``up`` that waits for it must not start into folders that are being removed."""
    if left := remove_all(folders):
        named = [f"{path} (a link to {path.readlink()})" if path.is_symlink() else str(path) for path in left]
        raise Unavailable(
            f"not all of the stack's data could be removed; still there: {', '.join(named)}. Where it is a link, empty "
            "the folder that it leads to; else remove it as the user whose files are in it"
        )
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
    yield from follow_log(path, lines) if follow else tail(path, lines)


def _known_programs(settings: Settings, folders: Folders) -> list[Program]:
    """Programs without asking for Java: stopping must work on a machine that lost it."""
    return all_programs(settings, folders, Java(home=Path("/"), version=17))


def _find_or_clear(folders: Folders, programs: Sequence[Program], progress: Progress) -> SupervisorClient | None:
    """The supervisor that runs. What a dead one left behind is stopped: no other could watch over it.

    Raises:
        Unavailable: there is a supervisor, and it does not answer; what it runs is not touched.
    """
    supervision = find_supervision(folders)
    if supervision is None:
        if supervisor := silent_supervisor(folders):
            raise Unavailable(silence(supervisor))
        stop_orphans(folders, {program.name: program.stop_rank for program in programs}, progress)
    return supervision


def _kept(
    settings: Settings,
    folders: Folders,
    programs: Sequence[Program],
    supervision: SupervisorClient | None,
    there: set[str],
) -> Iterator[str]:
    """What to say where settings changed under servers that run: they keep what they were started with."""
    goes_on = [program for program in programs if program.name in there]
    if supervision and (names := changed_since(settings, folders.home, goes_on, supervision)):
        yield f"what runs already keeps its settings; changed: {', '.join(names)}. `make down`, `make up` applies them"


def _supervise(
    folders: Folders, supervision: SupervisorClient | None, text: str, running: set[str]
) -> SupervisorClient:
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
        files = {**program.files, script: start_script(program, environment, settings.stack.keep_free_mb)}
        for folder in sorted({*program.folders, *(path.parent for path in files)}):
            give_folder(folder, 0o700, program.user)
        for path, text in files.items():
            write_file(path, text, program.user)
