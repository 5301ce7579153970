"""The configuration files, environments and start scripts that the stack creates from the settings."""

import configparser
import os
import shlex
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import yaml
from mlflow.server.security_utils import is_allowed_host_header

from kogpt2_chat.airflow_password import read_password
from kogpt2_chat.domain.chat.topics import TOPICS
from kogpt2_chat.errors import InvalidInput
from kogpt2_chat.settings import CHECKOUT, Settings, load_settings
from kogpt2_chat.stack.folders import Folders, folders_of, others_can_enter
from kogpt2_chat.stack.java import Java
from kogpt2_chat.stack.program import (
    MARK,
    Program,
    clean_environment,
    program_environment,
    settings_environment,
    start_script,
)
from kogpt2_chat.stack.programs import all_programs, select_programs
from kogpt2_chat.stack.servers.airflow import airflow_environment, airflow_pools, write_secrets
from kogpt2_chat.stack.servers.elastic import elasticsearch_yml
from kogpt2_chat.stack.servers.hdfs import core_site, datanode_site, namenode_site, site_xml
from kogpt2_chat.stack.servers.kafka import cluster_id, server_properties
from kogpt2_chat.stack.supervision import configuration
from serving.__main__ import FENCED

JAVA = Java(home=Path("/opt/java"), version=17)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", cache=tmp_path / "cache", ports={"offset": 100})


@pytest.fixture
def folders(settings: Settings) -> Folders:
    return folders_of(settings)


def test_the_port_offset_shifts_every_port(settings: Settings, folders: Folders) -> None:
    """Two stacks with different offsets have no port in common."""
    shifted = settings.model_copy(update={"ports": settings.ports.model_copy(update={"offset": 300})})
    ports = [port for one in all_programs(settings, folders, JAVA) for port in one.ports.values()]
    others = [port for one in all_programs(shifted, folders, JAVA) for port in one.ports.values()]
    assert len(set(ports)) == len(ports)
    assert [port + 200 for port in ports] == others


@pytest.mark.parametrize(
    ("name", "kept"),
    [("ONEDNN_MAX_CPU_ISA", True), ("ATEN_CPU_CAPABILITY", True), ("MKL_ENABLE_INSTRUCTIONS", True),
     ("OMP_NUM_THREADS", True), ("PYTHONPATH", False), ("SPARK_HOME", False)],
)  # fmt: skip
def test_servers_inherit_limits_of_the_processor_and_not_all_of_the_environment(monkeypatch, name, kept) -> None:
    """Whoever limits the instruction set limits it for the worker and for trainings too."""
    monkeypatch.setenv(name, "x")
    assert (clean_environment().get(name) == "x") == kept


def test_kafka_listens_only_on_the_configured_host(settings: Settings, folders: Folders) -> None:
    """Broker and controller bind to the stack's host, and topics are not created automatically."""
    text = server_properties(settings, folders.data("kafka"))
    rows = dict(line.split("=", 1) for line in text.splitlines() if line and not line.startswith("#"))
    assert rows["listeners"] == "PLAINTEXT://127.0.0.1:9192,CONTROLLER://127.0.0.1:9193"
    assert rows["auto.create.topics.enable"] == "false"
    assert rows["transaction.state.log.min.isr"] == "1"


def test_committed_offsets_are_kept_longer_than_every_question(settings: Settings, folders: Folders) -> None:
    """Otherwise workers that were down for longer would answer old questions again. Compose uses the same value."""
    text = server_properties(settings, folders.data("kafka"))
    (minutes,) = (line.partition("=")[2] for line in text.splitlines() if line.startswith("offsets.retention.minutes="))
    longest_retention_ms = max(int(topic.configs.get("retention.ms", 0)) for topic in TOPICS)
    assert int(minutes) * 60_000 > 100 * longest_retention_ms
    compose = yaml.safe_load((CHECKOUT / "docker" / "compose.yaml").read_text())
    assert compose["services"]["kafka"]["environment"]["KAFKA_OFFSETS_RETENTION_MINUTES"] == minutes


def test_servers_bind_to_one_address_and_advertise_another(settings: Settings, folders: Folders) -> None:
    """Clients on other machines get an address that they can reach. Programs of the stack use the loopback address."""
    stack = settings.stack.model_copy(update={"host": "0.0.0.0", "advertised_host": "192.168.0.5"})
    wide = settings.model_copy(update={"stack": stack})
    rows = dict(row.split("=", 1) for row in server_properties(wide, folders.data("kafka")).splitlines() if "=" in row)
    assert rows["listeners"] == "PLAINTEXT://0.0.0.0:9192,CONTROLLER://127.0.0.1:9193"
    assert rows["advertised.listeners"] == "PLAINTEXT://192.168.0.5:9192"
    assert rows["controller.quorum.voters"] == "1@127.0.0.1:9193"
    assert (wide.kafka_bootstrap, wide.mlflow_url) == ("127.0.0.1:9192", "http://127.0.0.1:5100")
    assert namenode_site(wide, folders)["dfs.namenode.http-bind-host"] == "0.0.0.0"
    assert core_site(wide)["fs.defaultFS"] == "hdfs://127.0.0.1:9100"
    assert datanode_site(wide, folders, 1)["dfs.datanode.address"] == "0.0.0.0:9966"
    assert datanode_site(wide, folders, 1)["dfs.datanode.hostname"] == "127.0.0.1"


def test_mlflow_accepts_requests_through_a_tunnel(settings: Settings, folders: Folders) -> None:
    """The local port of a tunnel is arbitrary. Names of other hosts are rejected."""
    (mlflow,) = (one for one in all_programs(settings, folders, JAVA) if one.name == "mlflow")
    allowed = mlflow.command[mlflow.command.index("--allowed-hosts") + 1].split(",")
    assert is_allowed_host_header(allowed, "localhost:15000")
    assert is_allowed_host_header(allowed, "127.0.0.1:5100")
    assert not is_allowed_host_header(allowed, "evil.example:5100")


def test_programs_reach_their_stack_without_a_proxy(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """For example, tasks of Airflow connect to its API server."""
    monkeypatch.setenv("no_proxy", "intra.example")
    wide = settings.model_copy(update={"stack": settings.stack.model_copy(update={"host": "127.0.0.2"})})
    environment = program_environment(Program(name="x", group="x", command=()), wide, settings.home)
    assert environment["no_proxy"] == environment["NO_PROXY"] == "intra.example,localhost,127.0.0.1,127.0.0.2"


def test_servers_use_utf_8_whatever_the_locale_of_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the locale C or CP949, a JVM cannot open files with Korean names."""
    monkeypatch.setenv("LC_ALL", "ko_KR.cp949")
    monkeypatch.setenv("LANG", "C")
    assert {clean_environment()[name] for name in ("LANG", "LC_ALL")} == {"C.UTF-8"}


def test_a_namenode_without_data_uses_the_cluster_id_of_its_datanodes(settings: Settings, folders: Folders) -> None:
    """DataNodes reject a NameNode with another cluster id, so `up` would always fail."""
    kept = folders.data("datanode-2") / "current"
    kept.mkdir(parents=True)
    (kept / "VERSION").write_text("#Thu\nclusterID=CID-1f2e\ncTime=0\n")
    fake = Java(home=folders.home / "java", version=17)
    fake.program.parent.mkdir(parents=True)
    fake.program.write_text('#!/bin/sh\necho "$@"\n')
    fake.program.chmod(0o755)
    (namenode,) = (one for one in all_programs(settings, folders, fake) if one.name == "namenode")
    done = subprocess.run(["/bin/sh", "-euc", namenode.setup], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("-format -nonInteractive -clusterid CID-1f2e")


def test_airflows_database_is_created_again_if_it_is_missing(settings: Settings, folders: Folders) -> None:
    """The stamp file of an earlier set-up is not enough."""
    (step,) = (one for one in all_programs(settings, folders, JAVA) if one.name == "airflow-setup")
    assert f"[ -s {folders.airflow}/airflow.db ] && exit 0" in step.command[-1]


@pytest.mark.parametrize("name", ["a", "b", "별마루", "with space"])
def test_kafkas_cluster_id_never_looks_like_an_option(name: str) -> None:
    """It consists of 22 characters, does not begin with a dash, and is the same each time."""
    first, second = cluster_id(Path("/") / name), cluster_id(Path("/") / name)
    assert first == second
    assert len(first) == 22
    assert not first.startswith("-")


def test_hadoop_files_are_xml_with_the_right_addresses(settings: Settings, folders: Folders) -> None:
    """Each DataNode has its own address, and special characters are escaped."""
    first, second = (datanode_site(settings, folders, number) for number in (1, 2))
    assert first["dfs.datanode.address"] == "127.0.0.1:9966"
    assert second["dfs.datanode.address"] == "127.0.0.1:9976"
    assert namenode_site(settings, folders)["dfs.replication"] == "2"
    root = ET.fromstring(site_xml({**core_site(settings), "odd": "<&별>"}))  # noqa: S314
    found = {row.findtext("name"): row.findtext("value") for row in root}
    assert found["fs.defaultFS"] == "hdfs://127.0.0.1:9100"
    assert found["odd"] == "<&별>"


def test_elasticsearch_binds_to_the_host(settings: Settings, folders: Folders) -> None:
    """It is a single node on the stack's host and port."""
    text = elasticsearch_yml(settings, folders)
    assert "network.host: 127.0.0.1\nnetwork.bind_host: 127.0.0.1\nhttp.port: 9300\n" in text
    assert "discovery.type: single-node" in text


def test_hdfs_and_elasticsearch_leave_disk_space_for_kafka(settings: Settings, folders: Folders) -> None:
    """All use ``keep_free_mb``. HDFS does not reserve the additional gigabyte of its default."""
    kept = settings.model_copy(update={"stack": settings.stack.model_copy(update={"keep_free_mb": 300})})
    assert namenode_site(kept, folders)["dfs.namenode.resource.du.reserved"] == str(300 << 20)
    datanode = datanode_site(kept, folders, 1)
    assert datanode["dfs.datanode.du.reserved"] == str(300 << 20)
    assert datanode["dfs.datanode.round-robin-volume-choosing-policy.additional-available-space"] == "0"
    node = yaml.safe_load(elasticsearch_yml(kept, folders))
    marks = {node[f"cluster.routing.allocation.disk.watermark.{name}"] for name in ("low", "high", "flood_stage")}
    assert marks == {"300mb"}


def test_airflows_secrets_are_generated_once(settings: Settings, folders: Folders) -> None:
    """There is no default password. Only this user can read the files."""
    write_secrets(settings, folders)
    password = read_password(settings.home, settings.airflow.username)
    assert password
    assert len(password) >= 12
    kept = {path.name: path.read_text() for path in folders.airflow.iterdir()}
    assert {oct(path.stat().st_mode & 0o777) for path in folders.airflow.iterdir()} == {"0o600"}
    assert len(set(kept.values())) == 4
    write_secrets(settings, folders)
    assert {path.name: path.read_text() for path in folders.airflow.iterdir()} == kept


def test_a_configured_password_replaces_the_generated_one(settings: Settings, folders: Folders) -> None:
    """The setting has priority."""
    write_secrets(settings, folders)
    configured = Settings(home=settings.home, stack={"airflow_password": "골라 준 암호"})
    write_secrets(configured, folders)
    assert read_password(configured.home, configured.airflow.username) == "골라 준 암호"


def test_airflow_uses_the_configured_database(settings: Settings, folders: Folders) -> None:
    """The default is SQLite in the home."""
    assert airflow_environment(settings, folders)["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].startswith("sqlite:////")
    other = Settings(home=settings.home, stack={"airflow_database": "postgresql://u@h/db"})
    assert airflow_environment(other, folders)["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] == "postgresql://u@h/db"


@pytest.mark.parametrize(
    ("setting", "memory_mb", "slots"), [(0, 24_000, 2), (0, 16_000, 1), (1, 64_000, 1), (3, 8_000, 3)]
)
def test_two_trainings_run_in_parallel_if_the_memory_is_large_enough(setting, memory_mb, slots):
    """A setting overrides this default."""
    settings = Settings(stack={"trainings_at_once": setting})
    assert airflow_pools(settings, memory_mb)["training"]["slots"] == slots


def test_programs_get_the_settings_of_up(tmp_path: Path) -> None:
    """Settings loaded from the environment of a program equal those of ``up``, including secrets and tuples."""
    given = Settings(
        home=tmp_path,
        cache=tmp_path / "cache",
        kafka={"sasl_password": "비밀 'x'"},
        ports={"offset": 7, "datanode": (1, 2)},
        learning={"auto_review": True},
        serving={"sampling": {"ChatbotA": {}}, "uncertain": {"ChatbotB": "notice"}},
    )
    environment = settings_environment(given)
    assert environment["KOGPT2_LEARNING__AUTO_REVIEW"] == "true"
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        assert load_settings() == given


def test_a_server_of_another_user_gets_no_settings(settings: Settings) -> None:
    """Settings may contain secrets. Elasticsearch gets only the mark and its own variables."""
    program = Program(name="elasticsearch", group="x", command=("true",), user="nobody", environment={"A": "b"})
    assert program_environment(program, settings, settings.home) == {MARK: f"elasticsearch@{settings.home}", "A": "b"}


def test_start_scripts_keep_special_characters(tmp_path: Path) -> None:
    """Quotes, dollar signs, newlines and Korean text reach the program unchanged."""
    value = "a'b\"c $HOME `x`\n별"
    script = tmp_path / "start.sh"
    script.write_text(
        start_script(Program(name="x", group="x", command=("sh", "-c", 'printf %s "$ODD"')), {"ODD": value})
    )
    assert subprocess.run(["/bin/sh", script], capture_output=True, text=True, check=True).stdout == value


def test_supervisor_can_parse_its_configuration(tmp_path: Path) -> None:
    """The path of the home is escaped. Servers are restarted, and set-up steps are not.

    A worker is not restarted if it was stopped, has invalid settings or was fenced. Two processes with the same ordinal
    would fence each other forever.
    """
    settings = Settings(home=tmp_path / "100% 별", cache=tmp_path)
    folders = folders_of(settings)
    parser = configparser.RawConfigParser(inline_comment_prefixes=(";",))
    parser.read_string(configuration(folders, all_programs(settings, folders, JAVA)))
    kafka = dict(parser["program:kafka"])
    assert shlex.split(kafka["command"].replace("%%", "%")) == ["/bin/sh", str(folders.conf("kafka") / "start.sh")]
    assert kafka["autorestart"] == "true"
    assert parser["program:airflow-setup"]["autorestart"] == "false"
    worker = parser["program:worker-1"]
    assert (worker["autorestart"], worker["exitcodes"]) == ("unexpected", f"0,2,{FENCED}")
    assert "inet_http_server" not in parser


def test_a_home_with_a_long_path_gets_a_short_socket_path(tmp_path: Path) -> None:
    """The path of a Unix socket is limited to about 100 bytes, and the path of the home may be longer."""
    long = Folders(home=tmp_path / ("x" * 120), open_home=tmp_path)
    assert len(os.fsencode(long.socket)) <= 100
    assert long.socket != Folders(home=tmp_path / ("y" * 120), open_home=tmp_path).socket


def test_a_folder_that_others_cannot_enter_is_detected(tmp_path: Path) -> None:
    """Elasticsearch's user must be able to enter every parent of its folders."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    assert not others_can_enter(closed / "home")


def test_services_are_selected_by_name_or_group(settings: Settings, folders: Folders) -> None:
    """``hdfs`` selects its three servers. A component of Airflow also selects the set-up step."""
    programs = all_programs(settings, folders, JAVA)
    assert [one.name for one in select_programs(programs, ["hdfs"])] == ["namenode", "datanode-1", "datanode-2"]
    assert {one.name for one in select_programs(programs, ["airflow-scheduler"])} == {
        "airflow-setup",
        "airflow-scheduler",
    }
    assert select_programs(programs, None) == programs
    with pytest.raises(InvalidInput, match="unknown service: kafak; expected: .*kafka"):
        select_programs(programs, ["kafak"])


def test_workers_and_spark_follow_their_settings(settings: Settings, folders: Folders) -> None:
    """Each worker has its own ordinal and port. A Spark cluster is started only if it is configured."""
    configured = Settings(home=settings.home, stack={"workers": 2, "spark": "standalone"})
    by_name = {one.name: one for one in all_programs(configured, folders, JAVA)}
    assert by_name["worker-2"].environment["KOGPT2_SERVING__ORDINAL"] == "2"
    assert by_name["worker-2"].port == 9102
    assert by_name["spark-master"].ports["rpc"] == 7077
    assert "spark-master" not in {one.name for one in all_programs(settings, folders, JAVA)}


def test_sparks_workers_need_no_checkout(settings: Settings, folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has its own port and folder. As another user, a worker gets no settings, which may contain secrets."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    stack = {"spark": "standalone", "spark_workers": 2, "spark_user": "nobody"}
    configured = Settings(home=settings.home, stack=stack, hdfs={"webhdfs_password": "s3cret"})
    by_name = {one.name: one for one in all_programs(configured, folders, JAVA)}
    workers = [by_name["spark-worker"], by_name["spark-worker-2"]]
    assert [one.port for one in workers] == [8082, 8083]
    assert len({one.folders for one in workers}) == 2
    for one in workers:
        assert one.user == "nobody"
        written = start_script(one, program_environment(one, configured, folders.home))
        assert "s3cret" not in written
        assert "PYTHONPATH" not in written
        assert f"cd {shlex.quote(str(one.folders[0]))}" in written
    assert by_name["spark-master"].user == ""
