"""The status of a stack, for people and programs. Reading it starts nothing."""

from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kogpt2_chat.airflow_password import read_password
from kogpt2_chat.errors import Unavailable
from kogpt2_chat.operator_login import shown_password
from kogpt2_chat.settings import Settings
from kogpt2_chat.stack.disk_space import full_disks
from kogpt2_chat.stack.folders import Folders, folders_of
from kogpt2_chat.stack.health import Health, worker_counters
from kogpt2_chat.stack.parts import StackParts
from kogpt2_chat.stack.program import Program
from kogpt2_chat.stack.supervision import State, Supervisor

_SAFETY: Final = "safety_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One line of ``status``."""

    name: str
    pid: int | None
    port: int | None
    healthy: bool
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The status of a stack.

    Attributes:
        services: one per server.
        urls: the addresses of the servers' pages, by name.
        airflow_user: the user name for Airflow.
        airflow_password: the password for Airflow; None before the first start, which generates it.
        operator_user: the user name for the operators' pages.
        operator_password: the password for them; None before the first start, which generates it.
        full_disks: one message per full disk.
    """

    services: tuple[Service, ...]
    urls: dict[str, str]
    airflow_user: str
    airflow_password: str | None
    operator_user: str
    operator_password: str | None
    full_disks: tuple[str, ...]


def status(settings: Settings, parts: StackParts | None = None) -> Status:
    """Check every service of this stack."""
    parts, folders = parts or StackParts(), folders_of(settings)
    programs = [program for program in parts.known_programs(settings, folders) if not program.once]
    states, absent = _states(parts.supervisor(folders))

    def service(program: Program) -> Service:
        state = states.get(program.name)
        health = parts.wait.check(settings, program, state) if state else Health(healthy=False, detail=absent)
        return Service(
            name=program.name,
            pid=state.pid if state else None,
            port=program.port,
            healthy=health.healthy,
            detail=health.detail,
        )

    with ThreadPoolExecutor(max_workers=8) as pool:
        services = tuple(pool.map(service, programs))
    return Status(
        services=services,
        urls={
            "world": settings.world_url,
            "operators": settings.operators_url,
            "airflow": settings.airflow_url,
            "mlflow": settings.mlflow_url,
            "elasticsearch": settings.elastic_url,
            "namenode": f"{settings.webhdfs_url}/jmx",
        },
        airflow_user=settings.airflow.username,
        airflow_password=read_password(folders.home, settings.airflow.username),
        operator_user=settings.ops.username,
        operator_password=shown_password(settings),
        full_disks=tuple(full_disks(_filled(folders, programs), settings.stack.keep_free_mb)),
    )


def safety_counts(settings: Settings) -> dict[str, int]:
    """Return how many vetted answers of each kind this machine's workers have sent since they started.

    Workers that do not answer are left out.
    """
    counts: Counter[str] = Counter()
    for ordinal in range(1, settings.stack.workers + 1):
        totals = worker_counters(settings, ordinal)
        counts.update({name.removeprefix(_SAFETY): count for name, count in totals.items() if name.startswith(_SAFETY)})
    return dict(counts)


def _filled(folders: Folders, programs: Iterable[Program]) -> list[Path]:
    return [folders.home, *(program.fills for program in programs if program.fills is not None)]


def _states(supervisor: Supervisor) -> tuple[dict[str, State], str]:
    """Return the state per program, and the detail to show for a program without a state."""
    if client := supervisor.find():
        with suppress(Unavailable):
            return client.states(), "not started"
    process = supervisor.unresponsive()
    return {}, supervisor.unresponsive_message(process) if process else "not started"
