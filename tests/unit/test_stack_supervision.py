"""Commands of the stack if the supervisor is stopped, does not answer or has died: each ends in bounded time."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from kogpt2_chat.errors import Unavailable
from kogpt2_chat.settings import Settings
from kogpt2_chat.stack.command_lock import command_lock
from kogpt2_chat.stack.folders import Folders, folders_of, make_folders
from kogpt2_chat.stack.health import Health
from kogpt2_chat.stack.java import Java
from kogpt2_chat.stack.parts import StackParts
from kogpt2_chat.stack.processes import processes_by_name, stack_processes
from kogpt2_chat.stack.program import MARK, Program
from kogpt2_chat.stack.stack import down, up
from kogpt2_chat.stack.status import status
from kogpt2_chat.stack.stopping import stop_orphans, undo
from kogpt2_chat.stack.supervision import State, Supervisor, SupervisorClient, configuration
from kogpt2_chat.stack.waiting import WaitDependencies

SLEEP = "import time; time.sleep(600)"
KAFKA = Program(name="kafka", group="kafka", command=(sys.executable, "-c", SLEEP))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", cache=tmp_path / "cache", stack={"min_memory_mb": 1, "min_disk_mb": 1})


@pytest.fixture
def folders(settings: Settings) -> Folders:
    found = folders_of(settings)
    make_folders(found)
    return found


def with_short_timeout(folders: Folders) -> Supervisor:
    """Return the supervisor of a stack, with a short timeout."""
    return Supervisor(folders, answer_s=0.5)


def parts_of(folders: Folders) -> StackParts:
    """Return dependencies that need neither Java nor jars."""
    return StackParts(
        java=lambda _: Java(home=Path("/jvm"), version=17), jars=lambda *_: folders.home, supervisor=with_short_timeout
    )


@pytest.fixture
def stopped(folders: Folders) -> Iterator[psutil.Process]:
    """Start a real supervisord with one program, then stop it with SIGSTOP."""
    script = folders.conf("kafka") / "start.sh"
    script.parent.mkdir()
    script.write_text(f"export {MARK}=kafka@{folders.home}\nexec {sys.executable} -c '{SLEEP}'\n")
    supervisor = with_short_timeout(folders)
    supervisor.start(configuration(folders, [KAFKA])).start("kafka")
    while "kafka" not in processes_by_name(folders.home):
        pass
    process = psutil.Process(int((folders.run / "supervisord.pid").read_text()))
    process.send_signal(signal.SIGSTOP)
    yield process
    stop_orphans(supervisor, {}, lambda _: None, 5.0)


def test_a_stopped_supervisor_is_reported_and_not_killed(
    stopped: psutil.Process, settings: Settings, folders: Folders
) -> None:
    """`status` names the process that does not answer, and `up` fails with the command that continues it."""
    parts = parts_of(folders)
    assert with_short_timeout(folders).find() is None
    detail = status(settings, parts).services[0].detail
    assert f"the supervisor (pid {stopped.pid}, stopped) does not answer within 0.5 s" in detail
    with pytest.raises(Unavailable, match=f"kill -CONT {stopped.pid}"):
        up(settings, ["kafka"], progress=lambda _: None, parts=parts)
    assert stopped.is_running()
    assert len(stack_processes(folders.home)) == 2


def test_down_ends_a_stopped_supervisor_and_its_programs(
    stopped: psutil.Process, settings: Settings, folders: Folders
) -> None:
    """No process remains, and none is restarted."""
    down(settings, progress=lambda _: None, parts=parts_of(folders))
    assert not stopped.is_running()
    assert stack_processes(folders.home) == []


def test_down_stops_the_orphans_of_a_killed_supervisor(
    stopped: psutil.Process, settings: Settings, folders: Folders
) -> None:
    """The pid file is stale; the programs are found by their mark."""
    stopped.kill()
    stopped.wait(5)
    assert Supervisor(folders).unresponsive() is None
    lines: list[str] = []
    down(settings, progress=lines.append)
    assert lines == ["stopping 1 processes that outlived their supervisor"]
    assert stack_processes(folders.home) == []


def test_undo_waits_for_a_supervisor_that_answers_late(stopped: psutil.Process, folders: Folders) -> None:
    """It ran before, so it is not killed but called again until the started programs are stopped."""

    class LateSupervisor(Supervisor):
        def find(self) -> SupervisorClient | None:
            found = super().find()
            stopped.resume()
            return found

    lines: list[str] = []
    undo(LateSupervisor(folders, answer_s=0.5), [KAFKA], ran_before=True, progress=lines.append)
    assert SupervisorClient(folders).states()["kafka"].pid is None
    assert lines == []


@pytest.mark.parametrize("ran_before", [False, True])
def test_undo_reports_what_it_could_not_stop(stopped: psutil.Process, folders: Folders, ran_before: bool) -> None:
    """A supervisor that ran before is not killed, so the programs continue. Otherwise it is killed with its programs."""
    (kafka,) = processes_by_name(folders.home)["kafka"]
    lines: list[str] = []
    programs = [KAFKA, Program(name="mlflow", group="mlflow", command=())]
    undo(with_short_timeout(folders), programs, ran_before=ran_before, progress=lines.append, within_s=0.0)
    assert kafka.is_running() is ran_before
    assert stopped.is_running() is ran_before
    if ran_before:
        assert len(lines) == 1
        assert lines[0].startswith(f"not stopped: kafka; the supervisor (pid {stopped.pid}, stopped) does not answer")


def test_a_pid_file_that_names_an_unrelated_process_is_ignored(folders: Folders) -> None:
    """After a reboot the pid may belong to another process, so the mark is checked."""
    (folders.run / "supervisord.pid").write_text(str(os.getpid()))
    assert Supervisor(folders).unresponsive() is None


def test_a_home_is_not_confused_with_one_whose_path_ends_in_the_same_way(tmp_path: Path) -> None:
    """The whole mark is compared, so `/b` does not stop the processes of `/a@/b`."""
    with subprocess.Popen([sys.executable, "-c", SLEEP], env={MARK: f"kafka@{tmp_path}/a@{tmp_path}/b"}) as other:
        try:
            assert stack_processes(tmp_path / "b") == []
            assert [one.pid for one in stack_processes(Path(f"{tmp_path}/a@{tmp_path}/b"))] == [other.pid]
        finally:
            other.kill()


PRINTS_ITS_NAME_WHEN_STOPPED = """
import signal, sys, time
def end(*_):
    print(sys.argv[1], flush=True)
    sys.exit()
signal.signal(signal.SIGTERM, end)
print(flush=True)
time.sleep(600)
"""


def test_orphans_stop_in_order(folders: Folders) -> None:
    """Workers stop before Kafka, so that they can still publish their answers."""
    reader, writer = os.pipe()
    running = [
        subprocess.Popen(
            [sys.executable, "-c", PRINTS_ITS_NAME_WHEN_STOPPED, name],
            env={MARK: f"{name}@{folders.home}"},
            stdout=writer,
            stdin=subprocess.DEVNULL,
        )
        for name in ("kafka", "worker-1")
    ]
    os.close(writer)
    with os.fdopen(reader) as lines:
        assert [lines.readline(), lines.readline()] == ["\n", "\n"]
        reaper = threading.Thread(target=lambda: [one.wait() for one in running])
        reaper.start()
        stop_orphans(Supervisor(folders), {"kafka": 5, "worker-1": 0}, lambda _: None)
        reaper.join()
        assert lines.read().split() == ["worker-1", "kafka"]


def test_every_call_to_a_dead_supervisor_raises_unavailable(folders: Folders) -> None:
    """So commands show a message instead of a traceback."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folders.socket))
        server.listen()
        supervision = SupervisorClient(folders, answer_s=0.1)
        for call in (supervision.states, lambda: supervision.start("kafka"), lambda: supervision.reload([])):
            with pytest.raises(Unavailable, match="did not answer"):
                call()


@pytest.mark.parametrize("ending", [KeyboardInterrupt, BrokenPipeError, Unavailable])
def test_an_up_that_does_not_finish_stops_only_what_it_started(
    settings: Settings, folders: Folders, ending: type[BaseException]
) -> None:
    """Kafka ran before and keeps running. This also holds if the pipe for the progress lines is closed."""
    sleep = (sys.executable, "-c", SLEEP)
    programs = [
        Program(name="kafka", group="kafka", command=sleep, stop_rank=5),
        Program(name="worker-2", group="worker", command=sleep),
        Program(name="airflow-setup", group="airflow", command=("true",), once=True),
    ]
    errors: list[type[BaseException]] = []

    def check(_: Settings, program: Program, __: State) -> Health:
        for error in errors:
            raise error
        return Health(healthy=True, detail=program.name)

    def listener(line: str) -> None:
        if ending is BrokenPipeError:
            raise BrokenPipeError(line)

    parts = replace(
        parts_of(folders), programs=lambda *_: programs, wait=WaitDependencies(check=check), supervisor=Supervisor
    )
    try:
        up(settings, ["kafka"], progress=lambda _: None, parts=parts)
        before = SupervisorClient(folders).states()["kafka"].pid
        assert before is not None
        errors.append(ending)
        with pytest.raises(ending):
            up(settings, progress=listener, parts=parts)
        states = SupervisorClient(folders).states()
        assert states["kafka"].pid == before
        assert states["worker-2"].pid is None
    finally:
        down(settings, progress=lambda _: None)
    assert stack_processes(folders.home) == []


INTERRUPTED_TWICE = """
import os, signal, sys
from kogpt2_chat.stack.stopping import interrupts_ignored

number, received = int(sys.argv[1]), []
signal.signal(number, lambda caught, _: received.append(caught))
with interrupts_ignored():
    os.kill(os.getpid(), number)
during = list(received)
os.kill(os.getpid(), number)
print(during, received)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_second_interrupt_does_not_abort_the_clean_up(number: signal.Signals) -> None:
    """The signals are ignored while `up` stops what it started, and handled again afterwards."""
    program = [sys.executable, "-c", INTERRUPTED_TWICE, str(number.value)]
    assert subprocess.run(program, capture_output=True, text=True, check=True, timeout=60).stdout == f"[] [{number}]\n"


def test_a_command_that_waited_while_the_home_was_wiped_locks_a_new_file(folders: Folders) -> None:
    """If it locked the deleted file, a third command could run at the same time."""
    waiting = threading.Event()
    lock_exists: list[bool] = []

    def second() -> None:
        with command_lock(folders, lambda _: waiting.set()):
            lock_exists.append((folders.run / "command.lock").exists())

    with command_lock(folders, lambda _: None):
        thread = threading.Thread(target=second)
        thread.start()
        assert waiting.wait(20)
        (folders.run / "command.lock").unlink()
        folders.run.joinpath("supervisord.conf").unlink(missing_ok=True)
        folders.run.rmdir()
    thread.join(20)
    assert lock_exists == [True]
