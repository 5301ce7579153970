"""How ``up`` starts servers and waits for them, on a supervisor and a clock of the test."""

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
from kogpt2_chat.stack.roster import all_programs
from kogpt2_chat.stack.stopping import stop_started
from kogpt2_chat.stack.supervision import ANSWER_S, Silent, State
from kogpt2_chat.stack.waiting import Senses, wait_until_healthy


@dataclass(kw_only=True)
class FakeMachine:
    """Programs become healthy so many seconds after their start, on a clock that only pauses move.

    Attributes:
        seconds_by_name: how long each takes; one that is not named takes one second.
        works: whether a program that is starting uses CPU time.
        exit_codes: of programs that end at once.
        silent_from: when the supervisor stops answering.
        silent_for: for how long.
    """

    seconds_by_name: Mapping[str, float] = field(default_factory=dict)
    works: bool = True
    exit_codes: Mapping[str, int] = field(default_factory=dict)
    now: float = 0.0
    began: dict[str, float] = field(default_factory=dict)
    stopped: list[str] = field(default_factory=list)
    silent_from: float = math.inf
    silent_for: float = math.inf
    names: tuple[str, ...] = ()
    most_starting: int = 0

    def states(self) -> dict[str, State]:
        if self.silent_from <= self.now < self.silent_from + self.silent_for:
            self.now += ANSWER_S
            raise Silent("the supervisor did not answer")
        return {name: self._state(name) for name in self.names}

    def start(self, name: str) -> None:
        self.began[name] = self.now
        starting = [one for one in self.began if not self._is_healthy(one)]
        self.most_starting = max(self.most_starting, len(starting))

    def stop(self, name: str) -> None:
        self.stopped.append(name)
        del self.began[name]

    def check(self, _settings: Settings, program: Program, _state: State) -> Health:
        return Health(healthy=self._is_healthy(program.name), detail="port 9092 is not open yet")

    def pause(self, seconds: float) -> None:
        self.now += seconds

    def senses(self, at_once: int = 3) -> Senses:
        return Senses(
            clock=lambda: self.now,
            pause=self.pause,
            check=self.check,
            cpu_s=lambda _: self.now if self.works else 1.0,
            at_once=at_once,
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
        said: list[str] = []
        machine.names = tuple(program.name for program in programs)
        wait_until_healthy(settings, folders, machine, programs, said.append, lambda: None, machine.senses())
        return said

    return run


def test_a_few_start_side_by_side_and_java_first(wait: Wait) -> None:
    """Two cores bear three starts at a time; the servers on which the others wait come first."""
    machine = FakeMachine()
    wait(machine)
    assert machine.most_starting == 3
    order = list(machine.began)
    assert order[:5] == ["kafka", "namenode", "datanode-1", "datanode-2", "elasticsearch"]
    assert order.index("airflow-setup") < order.index("airflow-api-server") < order.index("airflow-scheduler")


def test_the_scheduler_waits_for_the_api_server(wait: Wait) -> None:
    """Tasks talk to the API server: one that was due while everything was down lost its first try."""
    machine = FakeMachine(seconds_by_name={"airflow-api-server": 40})
    wait(machine)
    assert machine.began["airflow-scheduler"] >= machine.began["airflow-api-server"] + 40


def test_what_runs_already_takes_no_room(wait: Wait) -> None:
    """DataNodes that run without a NameNode get well when it is started, so they must not keep it from starting."""
    machine = FakeMachine(seconds_by_name=dict.fromkeys(("datanode-1", "datanode-2", "mlflow"), 100))
    for name in machine.seconds_by_name:
        machine.start(name)
    wait(machine)
    assert machine.began["namenode"] == 0


def test_slow_servers_are_waited_for_and_said(wait: Wait) -> None:
    """Past three minutes together nothing fails, and every ten seconds there is a word about each slow one."""
    machine = FakeMachine(seconds_by_name={"kafka": 200, "mlflow": 200, "airflow-scheduler": 100})
    said = wait(machine)
    assert machine.now >= 300
    assert "waiting for kafka: 40 s, its CPU time grew 0 s ago (port 9092 is not open yet)" in said
    assert sum(line.startswith("waiting for kafka") for line in said) >= 19
    assert any(line.startswith("starting after that: ") and "worker-1" in line for line in said)


def test_a_supervisor_that_is_late_is_waited_for_and_said(wait: Wait) -> None:
    """It forks and writes twelve logs on a busy machine; that one answer takes too long ends nothing."""
    said = wait(FakeMachine(silent_from=3, silent_for=20))
    assert said[-1].startswith("all healthy after ")
    assert "waiting for the supervisor: it has not answered for 11 s" in said


def test_a_supervisor_that_stays_silent_is_given_up(wait: Wait, settings: Settings) -> None:
    """As a server that stands still, after the same time."""
    machine = FakeMachine(silent_from=3)
    with pytest.raises(Unavailable, match="the supervisor did not answer"):
        wait(machine)
    assert settings.stack.stall_s <= machine.now - 3 <= settings.stack.stall_s + 2 * ANSWER_S


def test_a_server_that_stands_still_fails_with_the_end_of_its_log(wait: Wait, folders: Folders) -> None:
    """No log, no CPU time for half a minute: named, with its last words."""
    folders.log("kafka").write_text("첫째 줄\nwaiting for a lock\n")
    machine = FakeMachine(seconds_by_name={"kafka": 500}, works=False)
    with pytest.raises(Unavailable, match=r"(?s)kafka .*made no progress: for 3\d s.*waiting for a lock"):
        wait(machine)
    assert machine.now < 60


def test_the_clock_of_a_server_begins_with_its_own_start(wait: Wait) -> None:
    """Each may take its fifteen minutes: those before it do not use them up."""
    machine = FakeMachine(seconds_by_name={"kafka": 800, "airflow-setup": 800, "worker-1": 800})
    wait(machine)
    assert machine.now >= 1600


def test_a_server_past_its_hard_end_fails(wait: Wait) -> None:
    """However busy it is."""
    with pytest.raises(Unavailable, match=r"mlflow was not healthy within 900 s"):
        wait(FakeMachine(seconds_by_name={"mlflow": 10_000}))


def test_a_worker_that_will_not_be_restarted_fails_at_once(wait: Wait) -> None:
    """Exit code 2 is final: there is nothing to wait for."""
    machine = FakeMachine(seconds_by_name={"worker-1": 500}, exit_codes={"worker-1": 2})
    with pytest.raises(Unavailable, match=r"worker-1 ended before it was healthy \(exit code 2\)"):
        wait(machine)
    assert machine.now < 60


def test_only_what_was_started_is_stopped(programs: list[Program]) -> None:
    """Servers that ran before a failed ``up`` go on, also those that stop as early as what it started."""
    machine = FakeMachine(names=tuple(program.name for program in programs))
    for name in ("kafka", "namenode", "mlflow", "airflow-scheduler", "worker-1", "worker-2"):
        machine.start(name)
    ours = [
        Program(name="worker-2", group="worker", command=()),
        Program(name="airflow-setup", group="airflow", command=(), once=True),
    ]
    machine.names = (*machine.names, "worker-2")
    stop_started(machine, ours, deadline=0)
    assert machine.stopped == ["worker-2"]
