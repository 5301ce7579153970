"""The compose file, held against the code: it cannot be run where there is no Docker."""

import json
import os
import re
import shlex
import stat
import subprocess
import sys
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
import yaml

from kogpt2_chat.settings import CHECKOUT, Settings
from kogpt2_chat.stack.folders import folders_of
from kogpt2_chat.stack.servers.airflow import airflow_environment
from kogpt2_chat.stack.servers.hdfs import namenode_site
from kogpt2_chat.stack.servers.kafka import server_properties
from kogpt2_chat.stack.servers.mlflow import mlflow_programs
from serving.health import HealthReport, HealthServer

DOCKER = CHECKOUT / "docker"
COMPOSE = yaml.safe_load((DOCKER / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]


def test_every_setting_that_compose_sets_exists() -> None:
    """A misspelt ``KOGPT2_`` variable would be ignored in silence."""
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


def test_airflow_is_set_up_as_on_one_machine() -> None:
    """All of the local stack's variables on PostgreSQL, but for addresses and folders: no telemetry, the same pauses."""
    settings = Settings(stack={"airflow_database": "postgresql://postgres/airflow"})
    local = airflow_environment(settings, folders_of(settings))
    here = SERVICES["airflow-scheduler"]["environment"]
    places = re.compile(r"_(FOLDER|FILE|URL|CONN|PORT|HOST|HOME|DIRECTORY)$|^SPT_NOENV$")
    wanted = {name: value.lower() for name, value in local.items() if not places.search(name)}
    assert wanted
    assert {name: str(here.get(name)).lower() for name in wanted} == wanted


def test_servers_are_set_up_as_on_one_machine() -> None:
    """What keeps questions, positions and blocks is the same; only what makes servers small is not."""
    settings = Settings()
    small = re.compile(r"^(num|log)\.|\.num\.partitions$|handler\.count$")
    places = re.compile(r"listener|log\.dirs|voters|node\.id|process\.roles")
    lines = [line.split("=", 1) for line in server_properties(settings, Path("/logs")).splitlines() if line[0] != "#"]
    wanted = {name: value for name, value in lines if not small.search(name) and not places.search(name)}
    here = SERVICES["kafka"]["environment"]
    assert {name: here.get("KAFKA_" + name.upper().replace(".", "_")) for name in wanted} == wanted
    site = namenode_site(settings, folders_of(settings))
    wanted = {name: value for name, value in site.items() if not re.search(r"\.dir$|-host$|-address$", name)}
    for name in ("namenode", "datanode-2"):
        here = SERVICES[name]["environment"]
        assert {key: here.get(f"HDFS-SITE.XML_{key}") for key in wanted if not small.search(key)} == {
            key: value for key, value in wanted.items() if not small.search(key)
        }
    mlflow = mlflow_programs(settings, folders_of(settings))[0]
    assert SERVICES["mlflow"]["environment"] == mlflow.environment
    assert "localhost:*,127.0.0.1:*" in SERVICES["mlflow"]["command"]


def test_no_service_waits_for_one_that_waits_for_it() -> None:
    """A NameNode with blocks is healthy once DataNodes have told it of them: they may not wait for that."""
    for name in ("datanode-1", "datanode-2"):
        assert SERVICES[name]["depends_on"]["namenode"]["condition"] == "service_started"
    waits = {name: set(service.get("depends_on", {})) for name, service in SERVICES.items()}
    while waits:
        ready = {name for name, needs in waits.items() if not needs}
        assert ready, waits
        waits = {name: needs - ready for name, needs in waits.items() if name not in ready}


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_comes_back_and_does_not_fill_the_disk(name: str) -> None:
    """Steps that end do not; Docker keeps logs without bound unless it is told."""
    service = SERVICES[name]
    assert service["restart"] == ("no" if name in {"prepare", "airflow-setup"} else "unless-stopped")
    assert service["logging"]["options"] == {"max-size": "10m", "max-file": "3"}


def test_workers_can_be_scaled() -> None:
    """Two with one fixed ordinal would fence each other without end, since Docker restarts each."""
    worker = SERVICES["worker"]
    assert worker["environment"]["KOGPT2_SERVING__ORDINAL"] == "0"
    assert worker["volumes"] == ["worker:/var/lib/kogpt2"]
    assert "ports" not in worker


@pytest.mark.parametrize(("ready", "code"), [(True, 0), (False, 1), (None, 1)])
def test_a_worker_is_healthy_when_it_says_so(ready: bool | None, code: int, tmp_path: Path) -> None:
    """Whatever its ordinal; one that does not listen is not."""
    condition = HealthReport(ready=bool(ready), worker="worker-3", tally={}, slots=(), epoch={}, silent_s=0.1)
    server = HealthServer("127.0.0.1", 0, lambda: condition, lambda: b"")
    if ready is not None:
        server.start()
    environment = {**os.environ, "KOGPT2_PORTS__WORKER_METRICS": str(server.port - 2), "KOGPT2_ENV_FILE": ""}
    done = subprocess.run([sys.executable, DOCKER / "healthy.py"], env=environment | {"PYTHONPATH": str(CHECKOUT)})
    server.close()
    assert done.returncode == code


def test_airflows_password_is_kept_whole_and_private(tmp_path: Path) -> None:
    """Any characters; what was there is replaced at once; then the command takes the shell's place."""
    kept = tmp_path / "에어 플로" / "passwords.json"
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "AIRFLOW_ADMIN_PASSWORD": "비밀 'q\" $(x) #1",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(kept),
    }  # fmt: skip
    for _ in range(2):
        done = subprocess.run(
            [DOCKER / "entrypoint.sh", "echo", "a  b"], env=environment, capture_output=True, text=True, check=True
        )
        assert done.stdout == "a  b\n"
    assert json.loads(kept.read_text()) == {"admin": "비밀 'q\" $(x) #1"}
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert [path.name for path in kept.parent.iterdir()] == ["passwords.json"]


def sent_to_docker(path: str) -> bool:
    """Whether ``.dockerignore`` lets a file into the image: the last rule that fits it or a folder of it decides."""
    sent, parts = True, path.split("/")
    places = ["/".join(parts[:end]) for end in range(1, len(parts) + 1)]
    for line in (CHECKOUT / ".dockerignore").read_text().splitlines():
        rule = line.removeprefix("!")
        if not line or line.startswith("#"):
            continue
        anywhere = rule.removeprefix("**/")
        names = parts if anywhere != rule else places
        if any(fnmatchcase(name, anywhere) and ("/" not in name or "/" in anywhere) for name in names):
            sent = line.startswith("!")
    return sent


@pytest.mark.parametrize(
    "path",
    [
        ".env", ".env.production", "docker/.env", "src/kogpt2_chat/.env", "var/airflow/passwords.json", "shared/x",
        "var-kogpt2/data/kafka/0.log", ".git/config", ".venv/bin/python", "내 대화.csv", "deploy/systemd/worker.env",
        "src/kogpt2_chat/__pycache__/cli.pyc", "src/kogpt2_chat.egg-info/PKG-INFO", "core.1234", "mlruns/0/meta.yaml",
    ],
)  # fmt: skip
def test_what_lies_in_a_checkout_does_not_get_into_an_image(path: str) -> None:
    """Secrets, players' words, and homes beside this one, as `make demo` itself offers them."""
    assert not sent_to_docker(path)


def test_an_image_has_all_that_the_code_reads() -> None:
    """Every file of the folders that run, and what the Dockerfile and the packaging name."""
    folders = ("base", "corpora", "dags", "plugins", "serving", "spark_jobs", "src")
    done = subprocess.run(["git", "ls-files", "-z", *folders], cwd=CHECKOUT, capture_output=True, text=True)
    files = done.stdout.split("\0")[:-1] or ["src/kogpt2_chat/settings.py", "corpora/ChatbotA/seed.csv"]
    files += ["pyproject.toml", "README.md", "LICENSE", "THIRD_PARTY_NOTICES.md", "requirements.lock"]
    files += ["requirements-uv.lock", "docker/entrypoint.sh", "docker/healthy.py"]
    assert [path for path in files if not sent_to_docker(path)] == []


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_can_be_resolved(name: str) -> None:
    """What it depends on exists and can be waited for; its volumes are declared; ports stay on loopback."""
    service = SERVICES[name]
    assert service.get("image")
    for need, how in service.get("depends_on", {}).items():
        assert need in SERVICES
        if how["condition"] == "service_healthy":
            assert "test" in SERVICES[need]["healthcheck"]
    for volume in service.get("volumes", []):
        assert volume.split(":")[0] in COMPOSE["volumes"]
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_secrets_have_no_default() -> None:
    """Every secret must come from docker/.env, and the example names each and fills in none."""
    wanted = set(re.findall(r"\$\{(\w+):\?", (DOCKER / "compose.yaml").read_text()))
    rows = [line.split("=") for line in (DOCKER / "env.example").read_text().splitlines() if line and line[0] != "#"]
    assert {name for name, _ in rows} == wanted
    assert {value for _, value in rows} == {""}


def test_the_image_starts_what_exists() -> None:
    """The entry point can be executed, and every file the Dockerfile copies is there."""
    assert (DOCKER / "entrypoint.sh").stat().st_mode & stat.S_IXUSR
    for line in (DOCKER / "Dockerfile").read_text().splitlines():
        if line.startswith("COPY "):
            assert all((CHECKOUT / source).exists() for source in shlex.split(line)[1:-1])
