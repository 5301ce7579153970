"""What the stack asks of the machine before it starts anything: Java, ports, memory, disk."""

import http.client
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from kafka.errors import KafkaConnectionError

from kogpt2_chat.errors import InvalidInput, Unavailable
from kogpt2_chat.settings import Settings
from kogpt2_chat.stack import health, reach
from kogpt2_chat.stack import java as java_module
from kogpt2_chat.stack.folders import folders_of, make_folders, remove_all
from kogpt2_chat.stack.java import ensure_java, find_java
from kogpt2_chat.stack.preflight import check_machine, check_settings
from kogpt2_chat.stack.processes import port_is_free, stack_processes, stop_processes
from kogpt2_chat.stack.program import MARK, Program
from kogpt2_chat.stack.stack import down, logs
from kogpt2_chat.stack.status import status
from kogpt2_chat.stack.supervision import State


def fake_java(folder: Path, version: str, modules: str) -> Path:
    """A runtime that answers as told."""
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
    monkeypatch.setattr(java_module.shutil, "which", lambda _: None)


GOOD = "java.base@17\\njdk.incubator.vector@17"


@pytest.mark.parametrize(
    ("version", "modules", "usable"),
    [
        ("17.0.15", GOOD, True),
        ("21.0.8", GOOD, True),
        ("25.0.2", GOOD, False),
        ("1.8.0_392", GOOD, False),
        ("17.0.9", "java.base@17", False),
    ],
)
def test_java_is_asked_not_trusted(
    tmp_path: Path,
    no_java: None,
    version: str,
    modules: str,
    usable: bool,
) -> None:
    """Version 17 or 21 with the module Spark needs; a file called java is not enough."""
    fake_java(tmp_path / "jvm" / "one", version, modules)
    assert (find_java(tmp_path / "jvm") is not None) == usable


def test_java_home_comes_first(tmp_path: Path, no_java: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a person chose wins over what the system has."""
    fake_java(tmp_path / "jvm" / "system", "17.0.1", GOOD)
    monkeypatch.setenv("JAVA_HOME", str(fake_java(tmp_path / "mine", "21.0.1", GOOD)))
    found = find_java(tmp_path / "jvm")
    assert found
    assert (found.version, found.home) == (21, tmp_path / "mine")


def test_missing_java_is_one_sentence_with_the_command(
    tmp_path: Path, no_java: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was expected, where it was looked for, and what to type."""
    monkeypatch.setattr(java_module, "find_java", lambda: None)
    with pytest.raises(Unavailable, match=r"17 or 21 with module jdk\.incubator\.vector.*apt-get install openjdk-17"):
        ensure_java(lambda _: None)


def settings_for(tmp_path: Path, **stack: object) -> Settings:
    return Settings(home=tmp_path / "home", cache=tmp_path / "cache", stack=stack)


def program(port: int, name: str = "kafka") -> Program:
    return Program(name=name, group=name, command=("true",), ports={"broker": port}, memory_mb=1)


def test_a_taken_port_is_reported_with_its_owner(tmp_path: Path) -> None:
    """Name, number, pid and command line of whoever has it; every one of them, at once."""
    settings = settings_for(tmp_path, min_disk_mb=1)
    with socket.socket() as first, socket.socket() as second:
        for taken in (first, second):
            taken.bind(("127.0.0.1", 0))
            taken.listen()
        ports = [one.getsockname()[1] for one in (first, second)]
        with pytest.raises(Unavailable) as caught:
            check_machine(settings, folders_of(settings), [program(ports[0]), program(ports[1], "mlflow")])
    message = str(caught.value)
    assert f"port {ports[0]} for kafka (broker) is taken by pid {os.getpid()} (" in message
    assert f"port {ports[1]} for mlflow" in message
    assert "KOGPT2_PORTS__OFFSET" in message


@pytest.mark.parametrize("host", ["::1", "192.0.2.1", "no such name", "", "별"])
def test_a_host_that_is_no_ipv4_address_of_this_machine_is_refused(tmp_path: Path, host: str) -> None:
    """Every probe and client here speaks IPv4; a foreign address would fail four starts later, in a log."""
    with pytest.raises(InvalidInput, match=f"KOGPT2_STACK__HOST={host} is no IPv4 address of this machine"):
        check_settings(settings_for(tmp_path, host=host))


@pytest.mark.parametrize(
    ("host", "advertised", "fault"),
    [
        ("0.0.0.0", "", "set KOGPT2_STACK__ADVERTISED_HOST"),
        ("127.0.0.1", "0.0.0.0", "ADVERTISED_HOST=0.0.0.0 is no address that a client could connect to"),
        ("127.0.0.1", "unity.lan:9092", "without a port"),
        *(("0.0.0.0", name, f"ADVERTISED_HOST={name} is no address") for name in ("no such", "a,b", "a/b", "-", "별")),
        *(("0.0.0.0", name, f"ADVERTISED_HOST={name} is no address") for name in ("192.168.0", "300.1.1.1", "a..b")),
        ("127.0.0.1", "192.168.0.5", "set KOGPT2_STACK__HOST to 0.0.0.0 too"),
        ("127.0.0.1", "no-such-name.invalid", "set KOGPT2_STACK__HOST to 0.0.0.0 too"),
    ],
)
def test_an_advertised_address_has_to_lead_somewhere(tmp_path: Path, host: str, advertised: str, fault: str) -> None:
    """Kafka hands it to every client."""
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
def test_an_advertised_address_has_to_lead_back_here(tmp_path: Path, advertised: str, found: str) -> None:
    """Kafka tells it to our own workers too: behind a router or a firewall nothing would become healthy."""
    settings = Settings(
        home=tmp_path / "home",
        stack={"host": "127.0.0.1", "advertised_host": advertised, "min_disk_mb": 1},
        ports={"kafka": free_port()},
    )
    fault = f"ADVERTISED_HOST={advertised} does not lead back to this machine .*{found}.*/etc/hosts"
    with pytest.raises(Unavailable, match=fault):
        check_machine(settings, folders_of(settings), [program(settings.ports.kafka)])
    check_machine(settings, folders_of(settings), [program(settings.ports.kafka, "mlflow")])


def test_an_advertised_address_that_another_machine_answers_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its Kafka would get our workers' words: that somebody answers is not enough."""
    monkeypatch.setattr(reach, "_ANSWER_S", 0.1)
    with socket.socket() as other:
        other.bind(("127.0.0.2", 0))
        other.listen()
        settings = Settings(
            home=tmp_path / "home",
            stack={"host": "127.0.0.1", "advertised_host": "127.0.0.2", "min_disk_mb": 1},
            ports={"kafka": other.getsockname()[1]},
        )
        with pytest.raises(Unavailable, match="is not this machine's"):
            check_machine(settings, folders_of(settings), [program(settings.ports.kafka)])


def test_an_address_that_leads_back_is_taken(tmp_path: Path) -> None:
    """A name of this machine, with all addresses bound; afterwards the port is free for Kafka."""
    stack = {"host": "0.0.0.0", "advertised_host": "localhost", "min_disk_mb": 1}
    settings = Settings(home=tmp_path / "home", stack=stack, ports={"kafka": free_port()})
    check_machine(settings, folders_of(settings), [program(settings.ports.kafka)])
    assert port_is_free("0.0.0.0", settings.ports.kafka)


def test_an_unprivileged_user_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything starts, and not as a KeyError while files are written."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(InvalidInput, match="KOGPT2_STACK__UNPRIVILEGED_USER=nobdy: there is no such user"):
        check_settings(settings_for(tmp_path, unprivileged_user="nobdy"))


def test_a_user_id_without_a_name_cannot_start_hadoop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All four faults of a machine are told together; this is one of them."""
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    with pytest.raises(InvalidInput, match="user id 54321 has no entry in /etc/passwd"):
        check_settings(settings_for(tmp_path))


@pytest.mark.parametrize(
    "error",
    [http.client.BadStatusLine("x"), AttributeError("'str' has no 'get'"), TypeError("no"), KafkaConnectionError("y")],
)
def test_whatever_a_probe_stumbles_over_is_no_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """It must not end an `up`, which would stop what it started."""

    def probe(_: health.Server) -> str:
        raise error

    monkeypatch.setitem(health._PROBES_BY_GROUP, "worker", probe)
    settings = settings_for(tmp_path)
    state = State(state="RUNNING", pid=os.getpid(), started=1, exit_code=0, detail="")
    found = health.check(settings, Program(name="worker-1", group="worker", command=()), state)
    assert not found.healthy
    assert found.detail.startswith("no answer: ")


def test_status_says_what_a_worker_says_of_its_slots() -> None:
    """A worker answers its health route also with three slots that did not load."""
    ready = {"bot": "ChatbotA", "version": 3, "state": "ready", "detail": ""}
    degraded = {"bot": "ChatbotB", "version": 1, "state": "degraded", "detail": "MLflow did not answer"}
    assert health.worker_words([ready]) == "ready, ChatbotA 3"
    assert health.worker_words([ready, degraded]) == "ChatbotB degraded: MLflow did not answer"
    assert health.worker_words([]) == "ready"


def test_one_port_for_two_servers_is_a_fault(tmp_path: Path) -> None:
    """Settings that contradict each other are found before anything starts."""
    settings = settings_for(tmp_path, min_disk_mb=1)
    with pytest.raises(Unavailable, match="wanted by kafka broker and mlflow broker"):
        check_machine(settings, folders_of(settings), [program(1234), program(1234, "mlflow")])


def test_too_little_memory_and_disk_are_named_together(tmp_path: Path) -> None:
    """Both faults in one message, with what is needed and what there is."""
    settings = settings_for(tmp_path, min_disk_mb=10**9, min_memory_mb=10**9)
    greedy = Program(name="kafka", group="kafka", command=("true",), memory_mb=10**9)
    with pytest.raises(Unavailable, match=r"(?s)memory: 1000000000 MB are needed.*disk: 1000000000 MB are needed"):
        check_machine(settings, folders_of(settings), [greedy])


def test_a_port_that_lingers_after_its_server_is_free() -> None:
    """Connections in TIME_WAIT must not keep a stack from starting again."""
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
    """Whoever carries this home's mark belongs to it, children without the mark too; nobody else does."""
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
    """True for twenty seconds."""
    import time

    end = time.monotonic() + 20
    return lambda: time.monotonic() < end


def test_status_of_a_stack_that_never_ran(tmp_path: Path) -> None:
    """Asking starts nothing: every service is there, not healthy, and the home stays untouched."""
    settings = settings_for(tmp_path)
    found = status(settings)
    assert not found.healthy
    assert {"kafka", "namenode", "datanode-2", "airflow-scheduler", "worker-1"} <= {one.name for one in found.services}
    rows = found.as_json()["services"]
    assert isinstance(rows, list)
    assert set(rows[0]) == {"name", "pid", "port", "healthy", "detail"}
    assert not settings.home.exists()


def test_down_without_a_stack_is_harmless(tmp_path: Path) -> None:
    """Nothing runs, nothing is made, one word is said."""
    said: list[str] = []
    down(settings_for(tmp_path), progress=said.append)
    assert said == ["nothing is running"]


def test_wipe_takes_what_is_ours_and_nothing_else(tmp_path: Path) -> None:
    """A home that a person shares with the stack keeps the person's files."""
    settings = settings_for(tmp_path)
    folders = folders_of(settings)
    make_folders(folders)
    (settings.home / "mine.txt").write_text("내 것")
    remove_all(folders)
    assert [path.name for path in settings.home.iterdir()] == ["mine.txt"]
    (settings.home / "mine.txt").unlink()
    remove_all(folders)
    assert not settings.home.exists()


def test_wipe_says_what_it_could_not_remove(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another user's files stay: then nothing is said to be removed."""
    settings = settings_for(tmp_path)
    folders = folders_of(settings)
    make_folders(folders)
    remove = shutil.rmtree
    monkeypatch.setattr(shutil, "rmtree", lambda path, **kw: None if path.name == "data" else remove(path, **kw))
    with pytest.raises(Unavailable, match=f"still there: {settings.home}/data"):
        down(settings, progress=lambda _: None, wipe=True)


@pytest.mark.parametrize("name", ["data", "data/kafka", "models"])
def test_wipe_leaves_what_a_link_leads_to_and_says_so(tmp_path: Path, name: str) -> None:
    """Other things may be on that disk: nothing behind the link is removed, and link and target are named."""
    settings, disk = settings_for(tmp_path), tmp_path / "disk"
    folders = folders_of(settings)
    make_folders(folders)
    (settings.home / "data" / "mlflow").mkdir()
    disk.mkdir()
    (disk / "words.log").write_text("말")
    link = settings.home / name
    if link.is_dir():
        shutil.rmtree(link)
    link.symlink_to(disk)
    with pytest.raises(Unavailable, match=rf"still there: {link} \(a link to {disk}\)") as caught:
        down(settings, progress=lambda _: None, wipe=True)
    assert "empty the folder" in str(caught.value)
    assert link.is_symlink()
    assert (disk / "words.log").exists()
    assert [path for path in settings.home.rglob("*") if path not in {link, link.parent}] == []


def test_logs_of_an_unknown_service_name_those_there_are(tmp_path: Path) -> None:
    """The message helps with the next try."""
    settings = settings_for(tmp_path)
    folders = folders_of(settings)
    make_folders(folders)
    folders.log("kafka").write_text("eins\nzwei\n셋\n")
    assert list(logs(settings, "kafka", lines=2)) == ["zwei", "셋"]
    with pytest.raises(Unavailable, match="there are: kafka"):
        list(logs(settings, "kafak"))
