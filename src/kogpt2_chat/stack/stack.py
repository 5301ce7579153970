"""Start and stop the servers of one machine.

Only one ``up`` or ``down`` of a home runs at a time. If ``up`` fails or is interrupted, it stops every program that it
started. ``down`` also stops programs whose supervisor has died.
"""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from kogpt2_chat.errors import Unavailable
from kogpt2_chat.operator_login import write_operator_login
from kogpt2_chat.settings import CHECKOUT, Settings
from kogpt2_chat.stack.command_lock import command_lock
from kogpt2_chat.stack.folders import Folders, folders_of, remove_all
from kogpt2_chat.stack.log_tail import follow as follow_log
from kogpt2_chat.stack.log_tail import tail
from kogpt2_chat.stack.lost_data import lost_data, record_data
from kogpt2_chat.stack.ownership import ensure_folder, write_file
from kogpt2_chat.stack.parts import Progress, StackParts
from kogpt2_chat.stack.plain_path import link
from kogpt2_chat.stack.preflight import check_machine, check_settings
from kogpt2_chat.stack.processes import stack_processes
from kogpt2_chat.stack.program import Program, program_environment, start_script
from kogpt2_chat.stack.programs import select_programs
from kogpt2_chat.stack.servers.airflow import write_secrets
from kogpt2_chat.stack.started_with import changed_since
from kogpt2_chat.stack.stopping import running, shut_down, stop_in_order, stop_orphans, undo
from kogpt2_chat.stack.supervision import Supervisor, SupervisorClient, configuration, script_path
from kogpt2_chat.stack.waiting import wait_until_healthy
from kogpt2_chat.world_keys import write_first_key


def up(
    settings: Settings,
    only: Collection[str] | None = None,
    *,
    progress: Progress,
    on_ready: Callable[[], None] | None = None,
    parts: StackParts | None = None,
) -> None:
    """Start the programs that are not running and wait until all are healthy.

    1. Find Java and the jars. 2. Stop programs that a dead supervisor left behind. 3. Check memory, disk space and
    ports, and report all problems together. 4. Write the configuration. 5. Start the programs in dependency order, in
    parallel where possible.

    Args:
        settings: the settings of the stack.
        only: names or groups of services; None means all.
        progress: called with a line per step and per program that it waits for.
        on_ready: called once Kafka, HDFS and Elasticsearch are healthy, before Airflow and the workers start.
        parts: the parts that tests replace; None for the real ones.

    Raises:
        InvalidInput: a service is unknown, or a setting cannot work.
        Unavailable: the machine does not meet a requirement, or a service did not become healthy. Everything that this
            call started is stopped again.
    """
    check_settings(settings)
    parts, folders = parts or StackParts(), folders_of(settings)
    java, supervisor = parts.java(progress), parts.supervisor(folders)
    programs = parts.programs(settings, folders, java)
    wanted = select_programs(programs, only)
    link(parts.jars(settings, java.program, progress).resolve())
    link(CHECKOUT)
    with command_lock(folders, progress):
        client = _find_or_clean_up(supervisor, programs, progress)
        already_running = running(client)
        starting = [program for program in wanted if program.name not in already_running]
        check_machine(settings, folders, starting)
        changed = _changed_settings(settings, folders, programs, client, already_running)
        for line in (*lost_data(folders, starting), *changed):
            progress(line)
        _write(settings, folders, [program for program in programs if program.name not in already_running])
        try:
            if starting:
                client = _supervise(supervisor, client, configuration(folders, programs), already_running)
            if client is not None:
                wait_until_healthy(settings, folders, client, wanted, progress, on_ready, parts.wait)
        except BaseException:
            with suppress(OSError):  # the reader of the progress lines may be gone; stop the programs anyway
                progress("`up` did not finish: stopping the programs that it started")
            undo(supervisor, starting, ran_before=bool(already_running), progress=progress)
            raise
        record_data(folders, wanted, progress)


def down(settings: Settings, *, progress: Progress, wipe: bool = False, parts: StackParts | None = None) -> None:
    """Stop all programs of this home in order; with ``wipe``, also remove its data.

    This also works without a supervisor: every process with this home's mark is stopped.

    Args:
        settings: the settings of the stack.
        progress: called with a line about the programs that are stopped.
        wipe: also remove data, logs, configuration and secrets.
        parts: the parts that tests replace; None for the real ones.

    Raises:
        Unavailable: with ``wipe``, some of the data could not be removed.
    """
    parts, folders = parts or StackParts(), folders_of(settings)
    supervisor = parts.supervisor(folders)
    if not (folders.home / "run").exists() and not stack_processes(folders.home):
        progress("nothing is running")
        if not (wipe and folders.home.exists()):
            return
    with command_lock(folders, progress):
        deadline = time.monotonic() + settings.stack.stop_timeout_s
        known = _stop_ranks(parts.known_programs(settings, folders))
        if client := supervisor.find():
            with suppress(Unavailable):  # if it stops answering, its programs are stopped below
                ranks = {name: known.get(name, 0) for name in running(client)}
                stop_in_order(client, ranks, deadline - 8, progress)
            shut_down(client)
        stop_orphans(supervisor, known, progress, deadline - time.monotonic())
        if wipe:
            _wipe(folders, progress)


def _wipe(folders: Folders, progress: Progress) -> None:
    """Remove the stack's data. Must run under the lock, so that a waiting ``up`` does not write into these folders."""
    if remaining := remove_all(folders):
        named = [f"{path} (a link to {path.readlink()})" if path.is_symlink() else str(path) for path in remaining]
        raise Unavailable(
            f"some of the stack's data could not be removed: {', '.join(named)}. If it is a link, empty the folder "
            "that it points to; otherwise remove it as the user who owns its files"
        )
    progress(f"removed the stack's data in {folders.home}")


def logs(settings: Settings, service: str, *, lines: int = 100, follow: bool = False) -> Iterator[str]:
    """Yield the last lines of a service's log and, with ``follow``, new lines as they are written.

    Args:
        settings: the settings of the stack.
        service: the name of the service in ``status``.
        lines: how many of the existing lines to yield.
        follow: continue with new lines until the caller stops.

    Yields:
        Lines without their line ends.

    Raises:
        Unavailable: the service has not written a log yet.
    """
    path = folders_of(settings).log(service)
    if not path.exists():
        existing = ", ".join(sorted(file.stem for file in path.parent.glob("*.log"))) or "none yet"
        raise Unavailable(f"{path.parent} has no log of {service}; existing logs: {existing}")
    yield from follow_log(path, lines) if follow else tail(path, lines)


def _stop_ranks(programs: Iterable[Program]) -> dict[str, int]:
    return {program.name: program.stop_rank for program in programs}


def _find_or_clean_up(
    supervisor: Supervisor, programs: Sequence[Program], progress: Progress
) -> SupervisorClient | None:
    """Return a client of the running supervisor, or None.

    Programs that a dead supervisor left behind are stopped, because a new one cannot take them over.

    Raises:
        Unavailable: a supervisor exists but does not answer; its programs are left running.
    """
    client = supervisor.find()
    if client is None:
        if process := supervisor.unresponsive():
            raise Unavailable(supervisor.unresponsive_message(process))
        stop_orphans(supervisor, _stop_ranks(programs), progress)
    return client


def _changed_settings(
    settings: Settings,
    folders: Folders,
    programs: Sequence[Program],
    client: SupervisorClient | None,
    already_running: set[str],
) -> Iterator[str]:
    """Yield a line if settings have changed since the running programs were started."""
    kept = [program for program in programs if program.name in already_running]
    if client and (names := changed_since(settings, folders.home, kept, client)):
        yield (
            f"running programs keep the settings that they were started with; changed since: {', '.join(names)}. "
            "Run `make down` and `make up` to apply them"
        )


def _supervise(
    supervisor: Supervisor, client: SupervisorClient | None, text: str, running: set[str]
) -> SupervisorClient:
    if client is None:
        return supervisor.start(text)
    supervisor.write_configuration(text)
    client.reload(running)
    return client


def _write(settings: Settings, folders: Folders, programs: Sequence[Program]) -> None:
    """Write folders, configuration files and start scripts, readable only by the user of each program."""
    write_secrets(settings, folders)
    write_first_key(settings)
    write_operator_login(settings)
    for program in programs:
        script = Path(script_path(folders, program))
        environment = program_environment(program, settings, folders.home)
        files = {**program.files, script: start_script(program, environment, settings.stack.keep_free_mb)}
        for folder in sorted({*program.folders, *(path.parent for path in files)}):
            ensure_folder(folder, 0o700, program.user)
        for path, text in files.items():
            write_file(path, text, program.user)
