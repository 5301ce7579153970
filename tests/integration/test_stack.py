"""The local stack as people and the supervisor meet it, on the real servers."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from kogpt2_chat.errors import Unavailable
from kogpt2_chat.settings import Settings
from kogpt2_chat.stack.folders import folders_of
from kogpt2_chat.stack.processes import stack_processes
from kogpt2_chat.stack.stack import down, up
from kogpt2_chat.stack.status import Service, status
from kogpt2_chat.stack.supervision import Supervisor

pytestmark = pytest.mark.stack
LOOPBACK = ("127.", "::1", "::ffff:127.")


def services(settings: Settings) -> dict[str, Service]:
    return {service.name: service for service in status(settings).services}


def wait_for(condition: Callable[[], bool], what: str, timeout_s: float = 90) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what}"
        time.sleep(0.5)


def pids(settings: Settings) -> dict[str, int | None]:
    return {name: service.pid for name, service in services(settings).items()}


@pytest.fixture
def own_stack(stack_settings: Settings, tmp_path: Path) -> Iterator[Settings]:
    """A second stack beside the first: another home, other ports."""
    ports = stack_settings.ports.model_copy(update={"offset": stack_settings.ports.offset + 125})
    settings = stack_settings.model_copy(update={"home": tmp_path / "second", "ports": ports})
    yield settings
    down(settings, wipe=True, progress=print)


def test_status_has_every_service_healthy(stack_settings: Settings) -> None:
    """One line a server, each asked over its own protocol, with pid and port."""
    found = services(stack_settings)
    expected = {"kafka", "namenode", "datanode-1", "datanode-2", "elasticsearch", "mlflow", "worker-1"}
    airflow = {f"airflow-{part}" for part in ("api-server", "scheduler", "dag-processor", "triggerer")}
    assert expected | airflow <= set(found)
    assert [(one.name, one.detail) for one in found.values() if not one.healthy] == []
    assert all(one.pid for one in found.values())
    assert found["kafka"].port == stack_settings.ports.at(stack_settings.ports.kafka)


def test_up_twice_is_harmless(stack_settings: Settings) -> None:
    """What runs goes on running: the same processes before and after."""
    before = pids(stack_settings)
    up(stack_settings, progress=print)
    assert pids(stack_settings) == before


def test_a_killed_server_comes_back(stack_settings: Settings) -> None:
    """The NameNode dies by signal 9: the supervisor starts another, and it gets well."""
    old = pids(stack_settings)["namenode"]
    assert old
    os.kill(old, signal.SIGKILL)
    wait_for(lambda: pids(stack_settings)["namenode"] not in (None, old), "a new NameNode process")
    names = ("namenode", "datanode-1", "datanode-2")
    wait_for(lambda: all(services(stack_settings)[name].healthy for name in names), "HDFS healthy again")


def test_nothing_listens_beyond_loopback(stack_settings: Settings) -> None:
    """Every listening socket of every process of the stack is bound to this machine alone."""
    open_ones = [
        (process.name(), connection.laddr)
        for process in stack_processes(stack_settings.home.resolve())
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN and not connection.laddr[0].startswith(LOOPBACK)
    ]
    assert open_ones == []


def test_secrets_are_closed_to_others(stack_settings: Settings) -> None:
    """Passwords, keys, logs and start scripts (they carry settings) are readable for their owner alone."""
    folders = folders_of(stack_settings)
    assert folders.airflow.stat().st_mode & 0o077 == 0
    assert folders.logs.stat().st_mode & 0o077 == 0
    assert folders.socket.stat().st_mode & 0o077 == 0
    for script in folders.home.glob("conf/*/start.sh"):
        assert script.stat().st_mode & 0o077 == 0


def test_a_second_stack_on_the_same_ports_is_refused(stack_settings: Settings, own_stack: Settings) -> None:
    """Every taken port is named with its owner, and nothing of the second stack runs."""
    second = own_stack.model_copy(update={"ports": stack_settings.ports})
    kafka = services(stack_settings)["kafka"]
    with pytest.raises(Unavailable) as caught:
        up(second, ["kafka", "hdfs"], progress=print)
    message = str(caught.value)
    assert f"port {kafka.port} for kafka (broker) is in use by pid {kafka.pid} (" in message
    assert "namenode (rpc)" in message
    assert stack_processes(second.home.resolve()) == []


def test_a_second_stack_runs_beside_the_first(stack_settings: Settings, own_stack: Settings) -> None:
    """Another home and other ports: neither sees the other; stopping one leaves the other alone."""
    before = pids(stack_settings)
    up(own_stack, ["kafka"], progress=print)
    assert services(own_stack)["kafka"].healthy
    down(own_stack, progress=print)
    assert stack_processes(own_stack.home.resolve()) == []
    assert pids(stack_settings) == before


def test_what_outlives_its_supervisor_is_stopped_and_data_stay(own_stack: Settings) -> None:
    """A supervisor killed with -9 leaves Kafka running; ``up`` and ``down`` both find it."""
    up(own_stack, ["kafka"], progress=print)
    home = own_stack.home.resolve()
    kill_supervisor(own_stack)
    assert len(stack_processes(home)) == 1
    up(own_stack, ["kafka"], progress=print)
    assert services(own_stack)["kafka"].healthy
    kill_supervisor(own_stack)
    down(own_stack, progress=print)
    assert stack_processes(home) == []
    assert (home / "data" / "kafka" / "meta.properties").exists()


def test_a_server_that_cannot_start_is_named_with_its_log(own_stack: Settings) -> None:
    """Kafka with too small a heap dies; ``up`` says so with the end of its log, and leaves nothing running."""
    small = own_stack.stack.model_copy(update={"kafka_heap_mb": 2})
    broken = own_stack.model_copy(update={"stack": small})
    with pytest.raises(Unavailable, match=r"(?s)kafka .*the end of .*kafka\.log:.*heap"):
        up(broken, ["kafka"], progress=print)
    assert stack_processes(own_stack.home.resolve()) == []
    assert Supervisor(folders_of(own_stack)).find() is None


def kill_supervisor(settings: Settings) -> None:
    pid = int((settings.home / "run" / "supervisord.pid").read_text())
    supervisor = psutil.Process(pid)
    supervisor.kill()
    psutil.wait_procs([supervisor], timeout=10)
