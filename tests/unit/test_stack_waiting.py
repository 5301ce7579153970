"""``up`` starts servers and waits for them, with a fake supervisor and a fake clock."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kogpt2_chat.errors import Unavailable
from kogpt2_chat.settings import Settings
from kogpt2_chat.stack.folders import Folders, folders_of, make_folders
from kogpt2_chat.stack.health import Health
from kogpt2_chat.stack.java import Java
from kogpt2_chat.stack.program import Program
from kogpt2_chat.stack.programs import all_programs
from kogpt2_chat.stack.stopping import stop_started
from kogpt2_chat.stack.supervision import ANSWER_S, State, SupervisorTimeout
from kogpt2_chat.stack.waiting import WaitDependencies, wait_until_healthy


@dataclass(kw_only=True)
class FakeMachine:
    """A machine whose programs become healthy some seconds after their start. Only pauses advance its clock.

    Attributes:
        seconds_by_name: how long each program takes; the default is one second.
        uses_cpu: whether a starting program uses CPU time.
        exit_codes: exit codes of programs that end at once.
        now: the current time of the clock.
        began: start time by program.
        stopped: the programs that were stopped.
        no_answer_from: when the supervisor stops answering.
        no_answer_for: for how many seconds it does not answer.
        names: all programs that the supervisor knows.
        peak_starting: the largest number of programs that were starting at the same time.
    """

    seconds_by_name: Mapping[str, float] = field(default_factory=dict)
    uses_cpu: bool = True
    exit_codes: Mapping[str, int] = field(default_factory=dict)
    now: float = 0.0
    began: dict[str, float] = field(default_factory=dict)
    stopped: list[str] = field(default_factory=list)
    no_answer_from: float = math.inf
    no_answer_for: float = math.inf
    names: tuple[str, ...] = ()
    peak_starting: int = 0

    def states(self) -> dict[str, State]:
        if self.no_answer_from <= self.now < self.no_answer_from + self.no_answer_for:
            self.now += ANSWER_S
            raise SupervisorTimeout("the supervisor did not answer")
        return {name: self._state(name) for name in self.names}

    def start(self, name: str) -> None:
        self.began[name] = self.now
        starting = [one for one in self.began if not self._is_healthy(one)]
        self.peak_starting = max(self.peak_starting, len(starting))

    def stop(self, name: str) -> None:
        self.stopped.append(name)
        del self.began[name]

    def check(self, _settings: Settings, program: Program, _state: State) -> Health:
        return Health(healthy=self._is_healthy(program.name), detail="port 9092 is not open yet")

    def pause(self, seconds: float) -> None:
        self.now += seconds

    def dependencies(self, max_starting: int = 3) -> WaitDependencies:
        return WaitDependencies(
            clock=lambda: self.now,
            pause=self.pause,
            check=self.check,
            cpu_s=lambda _: self.now if self.uses_cpu else 1.0,
            max_starting=max_starting,
        )

    def _is_healthy(self, name: str) -> bool:
        return self.now - self.began.get(name, self.now) >= self.seconds_by_name.get(name, 1.0)

    def _state(self, name: str) -> State:
        code = self.exit_codes.get(name, 0)
        if name not in self.began:
            return State(state="STOPPED", pid=None, started=0, exit_code=0, detail="")
        if name in self.exit_codes:
            return State(state="EXITED", pid=None, started=1, exit_code=code, detail="")
        return State(state="RUNNING", pid=1 + self.names.index(name), started=1, exit_code=0, detail="")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", cache=tmp_path / "cache")


@pytest.fixture
def folders(settings: Settings) -> Folders:
    found = folders_of(settings)
    make_folders(found)
    return found


@pytest.fixture
def programs(settings: Settings, folders: Folders) -> list[Program]:
    return all_programs(settings, folders, Java(home=Path("/jvm"), version=17))


Wait = Callable[[FakeMachine], list[str]]


@pytest.fixture
def wait(settings: Settings, folders: Folders, programs: list[Program]) -> Wait:
    def run(machine: FakeMachine) -> list[str]:
        lines: list[str] = []
        machine.names = tuple(program.name for program in programs)
        wait_until_healthy(settings, folders, machine, programs, lines.append, lambda: None, machine.dependencies())
        return lines

    return run


def test_three_programs_start_at_a_time_and_servers_that_others_need_start_first(wait: Wait) -> None:
    """For example, the API server of Airflow starts after its set-up step."""
    machine = FakeMachine()
    wait(machine)
    assert machine.peak_starting == 3
    order = list(machine.began)
    assert order[:5] == ["kafka", "namenode", "datanode-1", "datanode-2", "elasticsearch"]
    assert order.index("airflow-setup") < order.index("airflow-api-server") < order.index("airflow-scheduler")


def test_the_scheduler_waits_for_the_api_server(wait: Wait) -> None:
    """Tasks need the API server. Otherwise a task that became due while the stack was down would fail."""
    machine = FakeMachine(seconds_by_name={"airflow-api-server": 40})
    wait(machine)
    assert machine.began["airflow-scheduler"] >= machine.began["airflow-api-server"] + 40


def test_running_programs_do_not_count_as_starting(wait: Wait) -> None:
    """Running DataNodes become healthy only after the start of the NameNode, so they must not delay it."""
    machine = FakeMachine(seconds_by_name=dict.fromkeys(("datanode-1", "datanode-2", "mlflow"), 100))
    for name in machine.seconds_by_name:
        machine.start(name)
    wait(machine)
    assert machine.began["namenode"] == 0


def test_slow_servers_are_waited_for_and_reported(wait: Wait) -> None:
    """Nothing fails within five minutes, and each slow server is reported at least every ten seconds."""
    machine = FakeMachine(seconds_by_name={"kafka": 200, "mlflow": 200, "airflow-scheduler": 100})
    lines = wait(machine)
    assert machine.now >= 300
    assert "waiting for kafka: 40 s, its CPU time changed 0 s ago (port 9092 is not open yet)" in lines
    assert sum(line.startswith("waiting for kafka") for line in lines) >= 19
    assert any(line.startswith("to be started later: ") and "worker-1" in line for line in lines)


def test_a_supervisor_that_answers_late_is_waited_for_and_reported(wait: Wait) -> None:
    """It may be slow on a busy machine, so one timeout is not a failure."""
    lines = wait(FakeMachine(no_answer_from=3, no_answer_for=20))
    assert lines[-1].startswith("all healthy after ")
    assert "waiting for the supervisor: it has not answered for 11 s" in lines


def test_a_supervisor_that_never_answers_is_given_up(wait: Wait, settings: Settings) -> None:
    """It is waited for as long as a server without progress."""
    machine = FakeMachine(no_answer_from=3)
    with pytest.raises(Unavailable, match="the supervisor did not answer"):
        wait(machine)
    assert settings.stack.stall_s <= machine.now - 3 <= settings.stack.stall_s + 2 * ANSWER_S


def test_a_server_without_progress_fails_with_the_end_of_its_log(wait: Wait, folders: Folders) -> None:
    """The error is raised if neither its log nor its CPU time changes for half a minute."""
    folders.log("kafka").write_text("첫째 줄\nwaiting for a lock\n")
    machine = FakeMachine(seconds_by_name={"kafka": 500}, uses_cpu=False)
    with pytest.raises(Unavailable, match=r"(?s)kafka .*made no progress: .* for 3\d s.*waiting for a lock"):
        wait(machine)
    assert machine.now < 60


def test_the_time_limit_of_a_server_begins_with_its_own_start(wait: Wait) -> None:
    """Each may take fifteen minutes, even if earlier ones were slow."""
    machine = FakeMachine(seconds_by_name={"kafka": 800, "airflow-setup": 800, "worker-1": 800})
    wait(machine)
    assert machine.now >= 1600


def test_a_server_fails_after_its_time_limit(wait: Wait) -> None:
    """This holds even if it makes progress."""
    with pytest.raises(Unavailable, match=r"mlflow was not healthy within 900 s"):
        wait(FakeMachine(seconds_by_name={"mlflow": 10_000}))


def test_a_worker_that_is_not_restarted_fails_at_once(wait: Wait) -> None:
    """A worker with exit code 2 is not restarted, so waiting is useless."""
    machine = FakeMachine(seconds_by_name={"worker-1": 500}, exit_codes={"worker-1": 2})
    with pytest.raises(Unavailable, match=r"worker-1 ended before it was healthy \(exit code 2\)"):
        wait(machine)
    assert machine.now < 60


def test_a_failed_up_stops_only_what_it_started(programs: list[Program]) -> None:
    """Servers that ran before keep running, including those with the same stop rank."""
    machine = FakeMachine(names=tuple(program.name for program in programs))
    for name in ("kafka", "namenode", "mlflow", "airflow-scheduler", "worker-1", "worker-2"):
        machine.start(name)
    started = [
        Program(name="worker-2", group="worker", command=()),
        Program(name="airflow-setup", group="airflow", command=(), once=True),
    ]
    machine.names = (*machine.names, "worker-2")
    stop_started(machine, started, deadline=0)
    assert machine.stopped == ["worker-2"]
