"""The compose file, compared with the code, because it cannot be run without Docker."""

import json
import os
import re
import shlex
import stat
import subprocess
import sys
from fnmatch import fnmatchcase
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from kogpt2_chat.dashboards.logstash import pipeline
from kogpt2_chat.health_server import HealthServer
from kogpt2_chat.settings import CHECKOUT, Settings, World, load_settings
from kogpt2_chat.stack.folders import folders_of
from kogpt2_chat.stack.servers.airflow import airflow_environment
from kogpt2_chat.stack.servers.hdfs import namenode_site
from kogpt2_chat.stack.servers.kafka import server_properties
from kogpt2_chat.stack.servers.mlflow import mlflow_programs
from serving.health import HealthReport
from world.gateway.from_settings import gateway_settings

DOCKER = CHECKOUT / "docker"
COMPOSE = yaml.safe_load((DOCKER / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]


def test_every_setting_that_compose_sets_exists() -> None:
    """A misspelt ``KOGPT2_`` variable would be ignored silently."""
    names = {
        name for service in SERVICES.values() for name in service.get("environment", {}) if name.startswith("KOGPT2_")
    }
    assert names
    for name in names:
        tree: object = Settings
        for part in name.removeprefix("KOGPT2_").lower().split("__"):
            fields = tree.model_fields  # type: ignore[attr-defined]
            assert part in fields, f"{name}: no setting {part}"
            tree = fields[part].annotation


def test_airflow_has_the_settings_of_the_local_stack() -> None:
    """All variables of the local stack's Airflow on PostgreSQL are set, except for addresses and folders."""
    settings = Settings(stack={"airflow_database": "postgresql://postgres/airflow"})
    local = airflow_environment(settings, folders_of(settings))
    composed = SERVICES["airflow-scheduler"]["environment"]
    differing = re.compile(r"_(FOLDER|FILE|URL|CONN|PORT|HOST|HOME|DIRECTORY)$|^SPT_NOENV$")
    expected = {name: value.lower() for name, value in local.items() if not differing.search(name)}
    assert expected
    assert {name: str(composed.get(name)).lower() for name in expected} == expected


def test_servers_have_the_settings_of_the_local_stack() -> None:
    """Only addresses, folders and the settings that keep the local servers small differ."""
    settings = Settings()
    small = re.compile(r"^(num|log)\.|\.num\.partitions$|handler\.count$")
    differing = re.compile(r"listener|log\.dirs|voters|node\.id|process\.roles")
    lines = [line.split("=", 1) for line in server_properties(settings, Path("/logs")).splitlines() if line[0] != "#"]
    expected = {name: value for name, value in lines if not small.search(name) and not differing.search(name)}
    composed = SERVICES["kafka"]["environment"]
    assert {name: composed.get("KAFKA_" + name.upper().replace(".", "_")) for name in expected} == expected
    site = namenode_site(settings, folders_of(settings))
    expected = {name: value for name, value in site.items() if not re.search(r"\.dir$|-host$|-address$", name)}
    for name in ("namenode", "datanode-2"):
        composed = SERVICES[name]["environment"]
        assert {key: composed.get(f"HDFS-SITE.XML_{key}") for key in expected if not small.search(key)} == {
            key: value for key, value in expected.items() if not small.search(key)
        }
    mlflow = mlflow_programs(settings, folders_of(settings))[0]
    assert SERVICES["mlflow"]["environment"] == mlflow.environment
    assert "localhost:*,127.0.0.1:*" in SERVICES["mlflow"]["command"]


def test_dependencies_between_services_have_no_cycle() -> None:
    """A NameNode with blocks is healthy only after DataNodes have reported them, so they must not wait for it."""
    for name in ("datanode-1", "datanode-2"):
        assert SERVICES[name]["depends_on"]["namenode"]["condition"] == "service_started"
    waits = {name: set(service.get("depends_on", {})) for name, service in SERVICES.items()}
    while waits:
        ready = {name for name, needs in waits.items() if not needs}
        assert ready, waits
        waits = {name: needs - ready for name, needs in waits.items() if name not in ready}


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_restarted_and_has_limited_logs(name: str) -> None:
    """Set-up steps are not restarted. By default, Docker's logs grow without limit."""
    service = SERVICES[name]
    assert service["restart"] == (
        "no" if name in {"prepare", "airflow-setup", "kibana-dashboard"} else "unless-stopped"
    )
    assert service["logging"]["options"] == {"max-size": "10m", "max-file": "3"}


def test_workers_can_be_scaled() -> None:
    """Two workers with the same fixed ordinal would fence each other forever, since Docker restarts them."""
    worker = SERVICES["worker"]
    assert worker["environment"]["KOGPT2_SERVING__ORDINAL"] == "0"
    assert worker["volumes"] == ["worker:/var/lib/kogpt2"]
    assert "ports" not in worker


def test_gateway_workers_and_ingest_share_the_keys_of_the_world(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each reads the same list, the newest key first. No other service has it."""
    keys = ["new-key-" + "n" * 32, "old-key-" + "o" * 32]
    having = {name for name, service in SERVICES.items() if "KOGPT2_WORLD__KEYS" in service.get("environment", {})}
    assert having == {"gateway", "worker", "indexer", *(name for name in SERVICES if name.startswith("airflow-"))}
    monkeypatch.setenv("KOGPT2_ENV_FILE", "")
    for name in having:
        value = re.sub(
            r"\$\{WORLD_KEYS:\?[^}]*\}", json.dumps(keys), SERVICES[name]["environment"]["KOGPT2_WORLD__KEYS"]
        )
        monkeypatch.setenv("KOGPT2_WORLD__KEYS", value)
        assert [key.get_secret_value() for key in load_settings().world.keys] == keys


def test_the_gateway_serves_the_published_port(monkeypatch: pytest.MonkeyPatch) -> None:
    """It listens on all addresses of its container. Variables that are not set in docker/.env mean the defaults."""
    gateway = SERVICES["gateway"]
    assert gateway["command"] == ["python", "-m", "world.gateway"]
    monkeypatch.setenv("KOGPT2_ENV_FILE", "")
    for name, value in gateway["environment"].items():
        assert isinstance(value, str), f"{name}: YAML must not read it as another type"
        monkeypatch.setenv(name, re.sub(r"\$\{\w+:(-|\?[^}]*)\}", "", value))
    found = gateway_settings(load_settings().model_copy(update={"world": World(keys=("k" * 32,))}))
    port = urlsplit(found.url).port
    assert load_settings().stack.host == "0.0.0.0"
    assert load_settings().world == World()
    assert gateway["ports"] == [f"127.0.0.1:{port}:{port}"]
    assert f"http://127.0.0.1:{port}/health" in gateway["healthcheck"]["test"][-1]


def test_operators_can_log_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the gateway knows their password. Its links are addresses on this host, which a browser can open."""
    environment = SERVICES["gateway"]["environment"]
    having = {name for name, service in SERVICES.items() if "KOGPT2_OPS__PASSWORD" in service.get("environment", {})}
    assert having == {"gateway"}
    example = (CHECKOUT / "docker" / "env.example").read_text().splitlines()
    for name in ("OPS_PASSWORD", "OPS_KEY"):
        assert f"{name}=" in example
        assert any(f"${{{name}:" in str(value) for value in environment.values())
    monkeypatch.setenv("KOGPT2_ENV_FILE", "")
    for name in ("KOGPT2_OPS__MLFLOW_URL", "KOGPT2_OPS__AIRFLOW_URL", "KOGPT2_OPS__INDEXER_URL"):
        monkeypatch.setenv(name, environment[name])
    ops = load_settings().ops
    assert f"{ops.mlflow_url.removeprefix('http://')}:5000" in SERVICES["mlflow"]["ports"]
    assert f"{ops.airflow_url.removeprefix('http://')}:8080" in SERVICES["airflow-api-server"]["ports"]
    assert ops.indexer_url == f"http://indexer:{load_settings().ports.indexer}"


def test_the_indexer_is_checked_on_its_port() -> None:
    """It listens inside its container only."""
    indexer = SERVICES["indexer"]
    assert indexer["command"] == ["python", "-m", "indexer"]
    assert f"http://127.0.0.1:{Settings().ports.indexer}/health" in indexer["healthcheck"]["test"][-1]
    assert "ports" not in indexer


@pytest.mark.parametrize(("ready", "code"), [(True, 0), (False, 1), (None, 1)])
def test_a_worker_is_healthy_if_it_reports_that_it_is_ready(ready: bool | None, code: int, tmp_path: Path) -> None:
    """The ordinal does not matter. A worker that does not listen is not healthy."""
    report = HealthReport(ready=bool(ready), worker="worker-3", tally={}, slots=(), epoch={}, silent_s=0.1)
    server = HealthServer("127.0.0.1", 0, lambda: report, lambda: b"")
    if ready is not None:
        server.start()
    environment = {**os.environ, "KOGPT2_PORTS__WORKER_METRICS": str(server.port - 2), "KOGPT2_ENV_FILE": ""}
    environment["PYTHONPATH"] = f"{CHECKOUT / 'src'}:{CHECKOUT}"
    done = subprocess.run([sys.executable, DOCKER / "healthy.py"], env=environment)
    server.close()
    assert done.returncode == code


def test_airflows_password_is_written_unchanged_and_is_private(tmp_path: Path) -> None:
    """It may contain any character. An existing file is replaced atomically. Then the command replaces the shell."""
    passwords = tmp_path / "에어 플로" / "passwords.json"
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "AIRFLOW_ADMIN_PASSWORD": "비밀 'q\" $(x) #1",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
    }  # fmt: skip
    for _ in range(2):
        done = subprocess.run(
            [DOCKER / "entrypoint.sh", "echo", "a  b"], env=environment, capture_output=True, text=True, check=True
        )
        assert done.stdout == "a  b\n"
    assert json.loads(passwords.read_text()) == {"admin": "비밀 'q\" $(x) #1"}
    assert stat.S_IMODE(passwords.stat().st_mode) == 0o600
    assert [path.name for path in passwords.parent.iterdir()] == ["passwords.json"]


def sent_to_docker(path: str) -> bool:
    """Return whether ``.dockerignore`` lets a file through: the last rule for it or one of its folders counts."""
    sent, parts = True, path.split("/")
    paths = ["/".join(parts[:end]) for end in range(1, len(parts) + 1)]
    for line in (CHECKOUT / ".dockerignore").read_text().splitlines():
        rule = line.removeprefix("!")
        if not line or line.startswith("#"):
            continue
        anywhere = rule.removeprefix("**/")
        names = parts if anywhere != rule else paths
        if any(fnmatchcase(name, anywhere) and ("/" not in name or "/" in anywhere) for name in names):
            sent = line.startswith("!")
    return sent


@pytest.mark.parametrize(
    "path",
    [
        ".env", ".env.production", "docker/.env", "src/kogpt2_chat/.env", "var/airflow/passwords.json", "shared/x",
        "var-kogpt2/data/kafka/0.log", ".git/config", ".venv/bin/python", "내 대화.csv", "deploy/systemd/worker.env",
        "src/kogpt2_chat/__pycache__/cli.pyc", "src/kogpt2_chat.egg-info/PKG-INFO", "core.1234", "mlruns/0/meta.yaml",
        "world/client/node_modules/three/package.json", "world/client/dist/index.html",
    ],
)  # fmt: skip
def test_private_and_generated_files_do_not_get_into_an_image(path: str) -> None:
    """These are secrets, players' texts, build outputs and other homes, such as the one that `make demo` suggests."""
    assert not sent_to_docker(path)


def test_an_image_contains_every_file_that_the_code_reads() -> None:
    """These are the files of the folders with code and data, and those that the Dockerfile and the packaging name."""
    folders = ("base", "corpora", "dags", "plugins", "serving", "spark_jobs", "src", "world")
    done = subprocess.run(["git", "ls-files", "-z", *folders], cwd=CHECKOUT, capture_output=True, text=True)
    files = done.stdout.split("\0")[:-1] or ["src/kogpt2_chat/settings.py", "corpora/ChatbotA/seed.csv"]
    files += ["pyproject.toml", "README.md", "LICENSE", "THIRD_PARTY_NOTICES.md", "requirements.lock"]
    files += ["requirements-uv.lock", "docker/entrypoint.sh", "docker/healthy.py"]
    assert [path for path in files if not sent_to_docker(path)] == []


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_can_be_resolved(name: str) -> None:
    """Its dependencies exist and have health checks, its volumes are declared, and its ports are bound to loopback."""
    service = SERVICES[name]
    assert service.get("image")
    for need, how in service.get("depends_on", {}).items():
        assert need in SERVICES
        if how["condition"] == "service_healthy":
            assert "test" in SERVICES[need]["healthcheck"]
    for volume in service.get("volumes", []):
        source = volume.split(":")[0]
        assert source in COMPOSE["volumes"] or (DOCKER / source).is_dir()
        assert source[0] != "." or volume.endswith(":ro")
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_kibana_and_logstash_find_the_generated_files() -> None:
    """Neither starts without its profile."""
    kibana, loader, logstash = (SERVICES[name] for name in ("kibana", "kibana-dashboard", "logstash"))
    assert [one["profiles"] for one in (kibana, loader, logstash)] == [["kibana"], ["kibana"], ["logstash"]]
    mounted = dict(volume.split(":")[1::-1] for volume in (*loader["volumes"], *logstash["volumes"]))
    named = re.findall(r"@(/\S+)/(\S+\.ndjson)", loader["command"][0])
    named += re.findall(r'"(/usr/share/logstash/kogpt2/\w+)/(\S+)"', pipeline())
    assert {name.split(".")[-1] for _, name in named} == {"ndjson", "rb", "json"}
    assert all((DOCKER / mounted[folder] / name).is_file() for folder, name in named)
    assert (DOCKER / mounted["/usr/share/logstash/pipeline"] / "kogpt2.conf").is_file()
    assert set(re.findall(r"\$\{(\w+):", pipeline())) <= logstash["environment"].keys()


def test_secrets_have_no_default() -> None:
    """Every secret must be set in docker/.env. The example lists them without values."""
    expected = set(re.findall(r"\$\{(\w+):\?", (DOCKER / "compose.yaml").read_text()))
    rows = [line.split("=") for line in (DOCKER / "env.example").read_text().splitlines() if line and line[0] != "#"]
    assert {name for name, _ in rows} == expected
    assert {value for _, value in rows} == {""}


def test_the_files_that_the_image_needs_exist() -> None:
    """The entry point is executable, and the Dockerfile copies only existing files."""
    assert (DOCKER / "entrypoint.sh").stat().st_mode & stat.S_IXUSR
    for line in (DOCKER / "Dockerfile").read_text().splitlines():
        if line.startswith("COPY ") and not line.startswith("COPY --from="):
            assert all((CHECKOUT / source).exists() for source in shlex.split(line)[1:-1])
