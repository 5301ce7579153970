"""The local stack with its real servers: start, stop, status, crashes and permissions."""

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


def wait_for(condition: Callable[[], bool], description: str, timeout_s: float = 90) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {description}"
        time.sleep(0.5)


def pids(settings: Settings) -> dict[str, int | None]:
    return {name: service.pid for name, service in services(settings).items()}


@pytest.fixture
def second_stack(stack_settings: Settings, tmp_path: Path) -> Iterator[Settings]:
    """Settings of a second stack, with another home and other ports."""
    ports = stack_settings.ports.model_copy(update={"offset": stack_settings.ports.offset + 125})
    settings = stack_settings.model_copy(update={"home": tmp_path / "second", "ports": ports})
    yield settings
    down(settings, wipe=True, progress=print)


def test_status_shows_every_service_as_healthy(stack_settings: Settings) -> None:
    """Every service is listed as healthy, with its process id; Kafka also with its port."""
    found = services(stack_settings)
    expected = {"kafka", "namenode", "datanode-1", "datanode-2", "elasticsearch", "indexer", "mlflow", "worker-1"}
    airflow = {f"airflow-{part}" for part in ("api-server", "scheduler", "dag-processor", "triggerer")}
    assert expected | airflow <= set(found)
    assert [(one.name, one.detail) for one in found.values() if not one.healthy] == []
    assert all(one.pid for one in found.values())
    assert found["kafka"].port == stack_settings.ports.at(stack_settings.ports.kafka)


def test_a_second_up_restarts_nothing(stack_settings: Settings) -> None:
    """The processes are the same before and after."""
    before = pids(stack_settings)
    up(stack_settings, progress=print)
    assert pids(stack_settings) == before


def test_a_killed_server_is_restarted(stack_settings: Settings) -> None:
    """After SIGKILL of the NameNode, the supervisor starts another one, and HDFS becomes healthy."""
    old = pids(stack_settings)["namenode"]
    assert old
    os.kill(old, signal.SIGKILL)
    wait_for(lambda: pids(stack_settings)["namenode"] not in (None, old), "a new NameNode process")
    names = ("namenode", "datanode-1", "datanode-2")
    wait_for(lambda: all(services(stack_settings)[name].healthy for name in names), "HDFS healthy again")


def test_servers_listen_only_on_loopback(stack_settings: Settings) -> None:
    """All listening sockets of all processes of the stack are bound to loopback addresses."""
    exposed = [
        (process.name(), connection.laddr)
        for process in stack_processes(stack_settings.home.resolve())
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN and not connection.laddr[0].startswith(LOOPBACK)
    ]
    assert exposed == []


def test_only_the_owner_can_read_secrets(stack_settings: Settings) -> None:
    """Other users have no access to passwords, keys, logs, and start scripts, which contain settings."""
    folders = folders_of(stack_settings)
    assert folders.airflow.stat().st_mode & 0o077 == 0
    assert folders.logs.stat().st_mode & 0o077 == 0
    assert folders.socket.stat().st_mode & 0o077 == 0
    scripts = list(folders.home.glob("conf/*/start.sh"))
    assert scripts
    for script in scripts:
        assert script.stat().st_mode & 0o077 == 0


def test_a_second_stack_on_the_same_ports_is_refused(stack_settings: Settings, second_stack: Settings) -> None:
    """The message names each taken port and its process, and no process of the second stack is left."""
    clashing = second_stack.model_copy(update={"ports": stack_settings.ports})
    kafka = services(stack_settings)["kafka"]
    with pytest.raises(Unavailable) as caught:
        up(clashing, ["kafka", "hdfs"], progress=print)
    message = str(caught.value)
    assert f"port {kafka.port} for kafka (broker) is in use by pid {kafka.pid} (" in message
    assert "namenode (rpc)" in message
    assert stack_processes(clashing.home.resolve()) == []


def test_two_stacks_are_independent(stack_settings: Settings, second_stack: Settings) -> None:
    """With another home and other ports, starting and stopping the second stack does not affect the first."""
    before = pids(stack_settings)
    up(second_stack, ["kafka"], progress=print)
    assert services(second_stack)["kafka"].healthy
    down(second_stack, progress=print)
    assert stack_processes(second_stack.home.resolve()) == []
    assert pids(stack_settings) == before


def test_servers_that_outlive_their_supervisor_are_stopped_and_keep_their_data(second_stack: Settings) -> None:
    """After SIGKILL of the supervisor Kafka still runs; both ``up`` and ``down`` find it."""
    up(second_stack, ["kafka"], progress=print)
    home = second_stack.home.resolve()
    kill_supervisor(second_stack)
    assert len(stack_processes(home)) == 1
    up(second_stack, ["kafka"], progress=print)
    assert services(second_stack)["kafka"].healthy
    kill_supervisor(second_stack)
    down(second_stack, progress=print)
    assert stack_processes(home) == []
    assert (home / "data" / "kafka" / "meta.properties").exists()


def test_a_server_that_cannot_start_is_named_with_its_log(second_stack: Settings) -> None:
    """If Kafka's heap is too small, the message of ``up`` has the end of Kafka's log, and no process is left."""
    small = second_stack.stack.model_copy(update={"kafka_heap_mb": 2})
    broken = second_stack.model_copy(update={"stack": small})
    with pytest.raises(Unavailable, match=r"(?s)kafka .*the end of .*kafka\.log:.*heap"):
        up(broken, ["kafka"], progress=print)
    assert stack_processes(second_stack.home.resolve()) == []
    assert Supervisor(folders_of(second_stack)).find() is None


def kill_supervisor(settings: Settings) -> None:
    pid = int((settings.home / "run" / "supervisord.pid").read_text())
    supervisor = psutil.Process(pid)
    supervisor.kill()
    psutil.wait_procs([supervisor], timeout=10)
