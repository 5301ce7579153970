"""Checks of the machine before the stack starts anything, health checks of servers, and the commands without a stack."""

import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from kafka.errors import KafkaConnectionError

from kogpt2_chat.errors import InvalidInput, Unavailable
from kogpt2_chat.health_server import HealthServer
from kogpt2_chat.settings import Ports, Settings
from kogpt2_chat.stack import health
from kogpt2_chat.stack.folders import folders_of, make_folders, remove_all
from kogpt2_chat.stack.java import ensure_java, find_java
from kogpt2_chat.stack.preflight import check_machine, check_settings
from kogpt2_chat.stack.processes import port_is_free, stack_processes, stop_processes
from kogpt2_chat.stack.program import MARK, Program
from kogpt2_chat.stack.reach import reach_faults
from kogpt2_chat.stack.stack import down, logs
from kogpt2_chat.stack.status import status
from kogpt2_chat.stack.supervision import State


def fake_java(folder: Path, version: str, modules: str) -> Path:
    """Create a fake runtime that reports this version and these modules."""
    program = folder / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(
        f'#!/bin/sh\n[ "$1" = -version ] && echo \'openjdk version "{version}"\' >&2\n'
        f'[ "$1" = --list-modules ] && printf "{modules}\\n"\nexit 0\n'
    )
    program.chmod(0o755)
    return folder


@pytest.fixture
def no_java(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", "")


GOOD_MODULES = "java.base@17\\njdk.incubator.vector@17"


@pytest.mark.parametrize(
    ("version", "modules", "usable"),
    [
        ("17.0.15", GOOD_MODULES, True),
        ("21.0.8", GOOD_MODULES, True),
        ("25.0.2", GOOD_MODULES, False),
        ("1.8.0_392", GOOD_MODULES, False),
        ("17.0.9", "java.base@17", False),
    ],
)
def test_java_is_checked_by_running_it(
    tmp_path: Path,
    no_java: None,
    version: str,
    modules: str,
    usable: bool,
) -> None:
    """It must be version 17 or 21 and have the module that Spark needs."""
    fake_java(tmp_path / "jvm" / "one", version, modules)
    assert (find_java(tmp_path / "jvm") is not None) == usable


def test_java_home_has_priority(tmp_path: Path, no_java: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is used even if a runtime of the system is usable too."""
    fake_java(tmp_path / "jvm" / "system", "17.0.1", GOOD_MODULES)
    monkeypatch.setenv("JAVA_HOME", str(fake_java(tmp_path / "mine", "21.0.1", GOOD_MODULES)))
    found = find_java(tmp_path / "jvm")
    assert found
    assert (found.version, found.home) == (21, tmp_path / "mine")


def test_missing_java_is_reported_with_the_command_to_install_it(tmp_path: Path, no_java: None) -> None:
    """The message has the expected versions and the command."""
    with pytest.raises(Unavailable, match=r"17 or 21 with module jdk\.incubator\.vector.*apt-get install openjdk-17"):
        ensure_java(lambda _: None, jvm_folder=tmp_path / "jvm")


def settings_for(tmp_path: Path, **stack: object) -> Settings:
    return Settings(home=tmp_path / "home", cache=tmp_path / "cache", stack=stack)


def program(port: int, name: str = "kafka") -> Program:
    return Program(name=name, group=name, command=("true",), ports={"broker": port}, memory_mb=1)


def test_a_port_in_use_is_reported_with_its_owner(tmp_path: Path) -> None:
    """One message has every such port, with the pid of its owner."""
    settings = settings_for(tmp_path, min_disk_mb=1)
    with socket.socket() as first, socket.socket() as second:
        for taken in (first, second):
            taken.bind(("127.0.0.1", 0))
            taken.listen()
        ports = [one.getsockname()[1] for one in (first, second)]
        with pytest.raises(Unavailable) as caught:
            check_machine(settings, folders_of(settings), [program(ports[0]), program(ports[1], "mlflow")])
    message = str(caught.value)
    assert f"port {ports[0]} for kafka (broker) is in use by pid {os.getpid()} (" in message
    assert f"port {ports[1]} for mlflow" in message
    assert "KOGPT2_PORTS__OFFSET" in message


@pytest.mark.parametrize("host", ["::1", "192.0.2.1", "no such name", "", "별"])
def test_a_host_that_is_not_an_ipv4_address_of_this_machine_is_refused(tmp_path: Path, host: str) -> None:
    """All probes and clients use IPv4. With another address, servers would fail after the start, in their logs."""
    with pytest.raises(InvalidInput, match=f"KOGPT2_STACK__HOST={host} is not an IPv4 address of this machine"):
        check_settings(settings_for(tmp_path, host=host))


@pytest.mark.parametrize(
    ("host", "advertised", "fault"),
    [
        ("0.0.0.0", "", "set KOGPT2_STACK__ADVERTISED_HOST"),
        ("127.0.0.1", "0.0.0.0", "ADVERTISED_HOST=0.0.0.0 is not an address that clients can connect to"),
        ("127.0.0.1", "unity.lan:9092", "without a port"),
        *(
            ("0.0.0.0", name, f"ADVERTISED_HOST={name} is not an address")
            for name in ("no such", "a,b", "a/b", "-", "별")
        ),
        *(
            ("0.0.0.0", name, f"ADVERTISED_HOST={name} is not an address")
            for name in ("192.168.0", "300.1.1.1", "a..b")
        ),
        ("127.0.0.1", "192.168.0.5", "set KOGPT2_STACK__HOST to 0.0.0.0"),
        ("127.0.0.1", "no-such-name.invalid", "set KOGPT2_STACK__HOST to 0.0.0.0"),
    ],
)
def test_an_advertised_address_must_be_usable(tmp_path: Path, host: str, advertised: str, fault: str) -> None:
    """Kafka sends it to every client."""
    with pytest.raises(InvalidInput, match=fault):
        check_settings(settings_for(tmp_path, host=host, advertised_host=advertised))
    check_settings(settings_for(tmp_path, host="0.0.0.0", advertised_host="unity.lan"))
    check_settings(settings_for(tmp_path, host="127.0.0.1", advertised_host="localhost"))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize(
    ("advertised", "found"), [("127.0.0.2", "Connection refused"), ("no-such-name.invalid", "[Nn]ame")]
)
def test_an_advertised_address_must_reach_this_machine(tmp_path: Path, advertised: str, found: str) -> None:
    """Kafka also sends it to the workers of the stack, which would not become healthy if they cannot connect to it."""
    settings = Settings(
        home=tmp_path / "home",
        stack={"host": "127.0.0.1", "advertised_host": advertised, "min_disk_mb": 1},
        ports={"kafka": free_port()},
    )
    fault = f"ADVERTISED_HOST={advertised} does not reach this machine .*{found}.*/etc/hosts"
    with pytest.raises(Unavailable, match=fault):
        check_machine(settings, folders_of(settings), [program(settings.ports.kafka)])
    check_machine(settings, folders_of(settings), [program(settings.ports.kafka, "mlflow")])


def test_an_advertised_address_of_another_machine_is_refused(tmp_path: Path) -> None:
    """Otherwise workers would connect to the Kafka of the other machine."""
    with socket.socket() as other:
        other.bind(("127.0.0.2", 0))
        other.listen()
        settings = Settings(
            home=tmp_path / "home",
            stack={"host": "127.0.0.1", "advertised_host": "127.0.0.2", "min_disk_mb": 1},
            ports={"kafka": other.getsockname()[1]},
        )
        (fault,) = reach_faults(settings, [program(settings.ports.kafka)], answer_s=0.1)
    assert "belongs to another machine" in fault


def test_an_address_that_reaches_this_machine_is_accepted(tmp_path: Path) -> None:
    """It may be a name of this machine. After the check the port is free for Kafka."""
    stack = {"host": "0.0.0.0", "advertised_host": "localhost", "min_disk_mb": 1}
    settings = Settings(home=tmp_path / "home", stack=stack, ports={"kafka": free_port()})
    check_machine(settings, folders_of(settings), [program(settings.ports.kafka)])
    assert port_is_free("0.0.0.0", settings.ports.kafka)


def test_an_unknown_unprivileged_user_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is reported before anything starts."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(InvalidInput, match="KOGPT2_STACK__UNPRIVILEGED_USER=nobdy: this machine has no such user"):
        check_settings(settings_for(tmp_path, unprivileged_user="nobdy"))


def test_a_user_id_without_a_name_cannot_start_hadoop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hadoop needs the name of the user that runs it."""
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    with pytest.raises(InvalidInput, match="user id 54321 has no entry in /etc/passwd"):
        check_settings(settings_for(tmp_path))


@pytest.mark.parametrize(
    "error",
    [http.client.BadStatusLine("x"), AttributeError("'str' has no 'get'"), TypeError("no"), KafkaConnectionError("y")],
)
def test_any_error_of_a_probe_counts_as_no_answer(tmp_path: Path, error: Exception) -> None:
    """It must not abort `up`, because `up` would then stop the programs that it started."""

    def probe(_: health.RunningServer) -> str:
        raise error

    settings = settings_for(tmp_path)
    state = State(state="RUNNING", pid=os.getpid(), started=1, exit_code=0, detail="")
    found = health.check(settings, Program(name="worker-1", group="worker", command=()), state, probe)
    assert not found.healthy
    assert found.detail.startswith("no answer: ")


def test_status_shows_the_slots_that_a_worker_reports() -> None:
    """A worker responds to health checks even if no model could be loaded."""
    ready = {"bot": "ChatbotA", "version": 3, "state": "ready", "detail": ""}
    degraded = {"bot": "ChatbotB", "version": 1, "state": "degraded", "detail": "MLflow did not answer"}
    assert health.worker_summary([ready]) == "ready, ChatbotA 3"
    assert health.worker_summary([ready, degraded]) == "ChatbotB degraded: MLflow did not answer"
    assert health.worker_summary([]) == "ready"


def test_a_gateways_problems_are_shown() -> None:
    """As the gateway words them; an answer of something else on its port says nothing."""
    body = json.dumps({"ready": False, "problems": ["no answers", "no moderation"]}).encode()
    assert health.problems_of(body) == "no answers; no moderation"
    assert [health.problems_of(other) for other in (b"", b"<p>", b"[]", b'{"problems": 3}')] == [""] * 4


def test_status_shows_how_far_the_indexer_is_behind() -> None:
    """Refused and unreadable records are shown only if there are any."""
    report = {"lag_s": 0.4, "documents": {"kogpt2-turns": 5, "kogpt2-feedback": 2}, "refused": {}, "unreadable": {}}
    assert health.indexer_summary(report) == "0 s behind, 7 documents"
    faulty = report | {"lag_s": None, "refused": {"kogpt2-turns": 1}, "unreadable": {"feedback": 3}}
    assert health.indexer_summary(faulty) == "lag not known yet, 7 documents, 1 refused, 3 unreadable"


@pytest.mark.parametrize(("ready", "expected"), [(True, 3.5), (False, 3.5), (None, None)])
def test_the_report_of_the_indexer_is_read_whether_it_is_ready_or_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, ready: bool | None, expected: float | None
) -> None:
    """It answers 503 while it waits for a server. Without an indexer the report is empty."""

    class IndexerState:
        def __init__(self) -> None:
            self.ready = bool(ready)

        def as_json(self) -> dict[str, object]:
            return {"lag_s": 3.5, "problems": ["no answer"]}

    server = HealthServer("127.0.0.1", 0, IndexerState, lambda: b"")
    if ready is not None:
        server.start()
    settings = settings_for(tmp_path).model_copy(update={"ports": Ports(indexer=server.port)})
    if ready is None:
        server.close()
    try:
        assert health.indexer_report(settings).get("lag_s") == expected
    finally:
        server.close()


def spark_server(tmp_path: Path, name: str) -> health.RunningServer:
    """Return a Spark server whose process started at second 1000."""
    state = State(state="RUNNING", pid=1, started=1000, exit_code=0, detail="")
    port = {"spark-master": 8080, "spark-worker": 8082}[name]
    found = Program(name=name, group="spark", command=(), ports={"http": port})
    return health.RunningServer(settings=settings_for(tmp_path), program=found, state=state)


def spark_page(**worker: object) -> dict[str, object]:
    """Return the page of a master with one worker."""
    entry = {"webuiaddress": "http://127.0.0.1:8082", "state": "ALIVE", "lastheartbeat": 1_000_500, **worker}
    return {"status": "ALIVE", "aliveworkers": 1, "cores": 2, "workers": [entry]}


def test_a_spark_worker_is_healthy_once_it_is_registered_at_the_master(tmp_path: Path) -> None:
    """The master is healthy even without a worker."""
    assert health.spark_summary(spark_page(), spark_server(tmp_path, "spark-worker")) == "1 workers, 2 cores"
    page = {"status": "ALIVE", "aliveworkers": 0, "cores": 0, "workers": []}
    assert health.spark_summary(page, spark_server(tmp_path, "spark-master")) == "0 workers, 0 cores"


@pytest.mark.parametrize(
    "worker", [{"webuiaddress": "http://10.0.0.9:8081"}, {"state": "DEAD"}, {"lastheartbeat": 999_000}]
)
def test_another_spark_worker_does_not_count(tmp_path: Path, worker: dict[str, object]) -> None:
    """It may be a worker on another machine, a dead one, or the previous process of this worker."""
    with pytest.raises(health.Unhealthy, match="has received no heartbeat from this worker"):
        health.spark_summary(spark_page(**worker), spark_server(tmp_path, "spark-worker"))


def test_a_spark_master_on_standby_is_unhealthy(tmp_path: Path) -> None:
    """It does not accept jobs."""
    with pytest.raises(health.Unhealthy, match="the master is STANDBY"):
        health.spark_summary(spark_page() | {"status": "STANDBY"}, spark_server(tmp_path, "spark-master"))


def test_one_port_for_two_servers_is_reported(tmp_path: Path) -> None:
    """Such settings are found before anything starts."""
    settings = settings_for(tmp_path, min_disk_mb=1)
    with pytest.raises(Unavailable, match="configured for kafka broker and mlflow broker"):
        check_machine(settings, folders_of(settings), [program(1234), program(1234, "mlflow")])


def test_too_little_memory_and_disk_are_reported_together(tmp_path: Path) -> None:
    """One message has both, with what is needed."""
    settings = settings_for(tmp_path, min_disk_mb=10**9, min_memory_mb=10**9)
    large = Program(name="kafka", group="kafka", command=("true",), memory_mb=10**9)
    with pytest.raises(Unavailable, match=r"(?s)memory: 1000000000 MB are needed.*disk: 1000000000 MB are needed"):
        check_machine(settings, folders_of(settings), [large])


def test_a_port_with_only_lingering_connections_is_free() -> None:
    """Connections in TIME_WAIT must not prevent a restart of the stack."""
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as every server here does
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        assert not port_is_free("127.0.0.1", port)
        client = socket.create_connection(("127.0.0.1", port))
        accepted, _ = server.accept()
        accepted.close()
        client.close()
    assert port_is_free("127.0.0.1", port)


def test_orphans_are_found_by_their_mark_and_stopped(tmp_path: Path) -> None:
    """Processes with the mark of this home and their children are stopped. Processes of another home are not."""
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'], env={}, stdin=0)"
    ours, other = (
        subprocess.Popen(
            [sys.executable, "-c", code], env={MARK: f"kafka@{home}"}, stdin=subprocess.PIPE, start_new_session=True
        )
        for home in (tmp_path / "home", tmp_path / "home2")
    )
    try:
        deadline = twenty_seconds()
        while len(found := stack_processes(tmp_path / "home")) < 2 and deadline():
            pass
        assert ours.pid in {one.pid for one in found}
        assert len(found) == 2
        stop_processes(found, 5)
        assert not stack_processes(tmp_path / "home")
        assert other.poll() is None
    finally:
        stop_processes(stack_processes(tmp_path / "home2"), 5)
        ours.wait()
        other.wait()


def twenty_seconds():
    """Return a function that is true for twenty seconds."""
    import time

    end = time.monotonic() + 20
    return lambda: time.monotonic() < end


def test_status_of_a_stack_that_never_ran(tmp_path: Path) -> None:
    """Every service is listed as unhealthy, and the home is not created."""
    settings = settings_for(tmp_path)
    found = status(settings)
    assert not any(one.healthy for one in found.services)
    assert {"kafka", "namenode", "datanode-2", "airflow-scheduler", "worker-1"} <= {one.name for one in found.services}
    assert not settings.home.exists()


def test_down_without_a_stack_is_harmless(tmp_path: Path) -> None:
    """It only reports that nothing is running."""
    lines: list[str] = []
    down(settings_for(tmp_path), progress=lines.append)
    assert lines == ["nothing is running"]


def test_wipe_removes_only_files_of_the_stack(tmp_path: Path) -> None:
    """Other files in the home are kept."""
    settings = settings_for(tmp_path)
    folders = folders_of(settings)
    make_folders(folders)
    (settings.home / "mine.txt").write_text("내 것")
    remove_all(folders)
    assert [path.name for path in settings.home.iterdir()] == ["mine.txt"]
    (settings.home / "mine.txt").unlink()
    remove_all(folders)
    assert not settings.home.exists()


def test_wipe_reports_what_it_could_not_remove(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For example, another user owns the files. `down` fails and names the folder."""
    settings = settings_for(tmp_path)
    folders = folders_of(settings)
    make_folders(folders)
    remove = shutil.rmtree
    monkeypatch.setattr(shutil, "rmtree", lambda path, **kw: None if path.name == "data" else remove(path, **kw))
    with pytest.raises(Unavailable, match=f"could not be removed: {settings.home}/data"):
        down(settings, progress=lambda _: None, wipe=True)


@pytest.mark.parametrize("name", ["data", "data/kafka", "models"])
def test_wipe_keeps_the_target_of_a_link_and_reports_it(tmp_path: Path, name: str) -> None:
    """The target may contain other data. The message names link and target."""
    settings, disk = settings_for(tmp_path), tmp_path / "disk"
    folders = folders_of(settings)
    make_folders(folders)
    (settings.home / "data" / "mlflow").mkdir()
    disk.mkdir()
    (disk / "kept.log").write_text("말")
    link = settings.home / name
    if link.is_dir():
        shutil.rmtree(link)
    link.symlink_to(disk)
    with pytest.raises(Unavailable, match=rf"could not be removed: {link} \(a link to {disk}\)") as caught:
        down(settings, progress=lambda _: None, wipe=True)
    assert "empty the folder" in str(caught.value)
    assert link.is_symlink()
    assert (disk / "kept.log").exists()
    assert [path for path in settings.home.rglob("*") if path not in {link, link.parent}] == []


def test_the_message_about_an_unknown_log_names_existing_logs(tmp_path: Path) -> None:
    """Existing logs can be read."""
    settings = settings_for(tmp_path)
    folders = folders_of(settings)
    make_folders(folders)
    folders.log("kafka").write_text("eins\nzwei\n셋\n")
    assert list(logs(settings, "kafka", lines=2)) == ["zwei", "셋"]
    with pytest.raises(Unavailable, match="existing logs: kafka"):
        list(logs(settings, "kafak"))
