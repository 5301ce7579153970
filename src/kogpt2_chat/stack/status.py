"""How a stack is, for people and machines. Asking starts nothing and waits for nobody."""

from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from kogpt2_chat.errors import Unavailable
from kogpt2_chat.settings import Settings
from kogpt2_chat.stack.folders import Folders, folders_of
from kogpt2_chat.stack.health import check, worker_tally
from kogpt2_chat.stack.java import Java
from kogpt2_chat.stack.program import Program
from kogpt2_chat.stack.room import full_disks
from kogpt2_chat.stack.roster import all_programs
from kogpt2_chat.stack.servers.airflow import read_password
from kogpt2_chat.stack.supervision import State, find_supervision, silence, silent_supervisor

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
    """A stack at one moment.

    Attributes:
        services: one for each server.
        urls: the pages a person may open, by name.
        airflow_user: who logs in to Airflow.
        airflow_password: generated at first start; None before it.
        full_disks: a sentence for each disk without room.
    """

    services: tuple[Service, ...]
    urls: dict[str, str]
    airflow_user: str
    airflow_password: str | None
    full_disks: tuple[str, ...]

    @property
    def healthy(self) -> bool:
        """Whether every service is."""
        return all(service.healthy for service in self.services)

    def as_json(self) -> dict[str, object]:
        """As ``status --json`` prints it."""
        return {
            "services": [asdict(service) for service in self.services],
            "urls": self.urls,
            "airflow": {"user": self.airflow_user, "password": self.airflow_password},
            "full_disks": list(self.full_disks),
        }


def status(settings: Settings) -> Status:
    """Ask every service of this stack how it is."""
    folders = folders_of(settings)
    programs = [one for one in all_programs(settings, folders, Java(home=Path("/"), version=17)) if not one.once]
    states, absent = _states(folders)
    with ThreadPoolExecutor(max_workers=8) as pool:
        services = tuple(
            pool.map(lambda program: _service(settings, program, states.get(program.name), absent), programs)
        )
    return Status(
        services=services,
        urls={
            "airflow": settings.airflow_url,
            "mlflow": settings.mlflow_url,
            "elasticsearch": settings.elastic_url,
            "namenode": f"{settings.webhdfs_url}/jmx",
        },
        airflow_user=settings.airflow.username,
        airflow_password=read_password(settings, folders),
        full_disks=tuple(full_disks(_filled(folders, programs), settings.stack.keep_free_mb)),
    )


def safety_counts(settings: Settings) -> dict[str, int]:
    """Vetted answers by kind since the workers of this machine started; a worker that does not answer is left out."""
    counts: Counter[str] = Counter()
    for slot in range(1, settings.stack.workers + 1):
        tally = worker_tally(settings, slot)
        counts.update({name.removeprefix(_SAFETY): count for name, count in tally.items() if name.startswith(_SAFETY)})
    return dict(counts)


def _filled(folders: Folders, programs: Iterable[Program]) -> list[Path]:
    return [folders.home, *(program.fills for program in programs if program.fills is not None)]


def _states(folders: Folders) -> tuple[dict[str, State], str]:
    """What the supervisor says, and what is to be said of a program that it does not name."""
    if supervision := find_supervision(folders):
        with suppress(Unavailable):
            return supervision.states(), "not started"
    supervisor = silent_supervisor(folders)
    return {}, silence(supervisor) if supervisor else "not started"


def _service(settings: Settings, program: Program, state: State | None, absent: str) -> Service:
    if state is None:
        return Service(name=program.name, pid=None, port=program.port, healthy=False, detail=absent)
    health = check(settings, program, state)
    return Service(name=program.name, pid=state.pid, port=program.port, healthy=health.healthy, detail=health.detail)
