"""The compose file, held against the code: it cannot be run where there is no Docker."""

import re
import shlex
import stat

import pytest
import yaml

from kogpt2_chat.settings import CHECKOUT, Settings
from kogpt2_chat.stack.folders import folders_of
from kogpt2_chat.stack.servers.airflow import airflow_environment

DOCKER = CHECKOUT / "docker"
COMPOSE = yaml.safe_load((DOCKER / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]


def test_every_setting_that_compose_sets_exists() -> None:
    """A misspelt ``KOGPT2_`` variable would be ignored in silence."""
    names = {
        name for service in SERVICES.values() for name in service.get("environment", {}) if name.startswith("KOGPT2_")
    }
    assert len(names) >= 6
    for name in names:
        tree: object = Settings
        for part in name.removeprefix("KOGPT2_").lower().split("__"):
            fields = tree.model_fields  # type: ignore[attr-defined]
            assert part in fields, f"{name}: no setting {part}"
            tree = fields[part].annotation


def test_airflow_is_set_up_as_on_one_machine() -> None:
    """The variables that decide how DAGs behave are those of the local stack on PostgreSQL."""
    settings = Settings(stack={"airflow_database": "postgresql://postgres/airflow"})
    local = airflow_environment(settings, folders_of(settings))
    here = SERVICES["airflow-scheduler"]["environment"]
    for name in (
        "EXECUTOR",
        "PARALLELISM",
        "LOAD_EXAMPLES",
        "DAGS_ARE_PAUSED_AT_CREATION",
        "SIMPLE_AUTH_MANAGER_USERS",
    ):
        assert here[f"AIRFLOW__CORE__{name}"].lower() == local[f"AIRFLOW__CORE__{name}"].lower()
    name = "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME"
    assert here[name] == local[name]


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
