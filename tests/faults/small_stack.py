"""A separate stack on a small disk. Its servers must recover from a full disk without a restart by hand."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import requests

from kogpt2_chat import bootstrap
from kogpt2_chat.domain.chat.topics import TURN_TOPIC
from kogpt2_chat.domain.search.fields import TURN_INDEX
from kogpt2_chat.jobs.build_dataset import build_dataset
from kogpt2_chat.jobs.index import index
from kogpt2_chat.jobs.ingest import ingest
from kogpt2_chat.settings import Hdfs, Ports, Serving, Settings, Stack
from kogpt2_chat.stack.folders import folders_of
from kogpt2_chat.stack.java import Java
from kogpt2_chat.stack.processes import port_is_free
from kogpt2_chat.stack.programs import all_programs
from kogpt2_chat.stack.stack import down, up
from kogpt2_chat.stack.status import Service, Status, status
from tests.faults.broker_process import install_versions, topics_with_champions
from tests.small_disk import SmallDisk

KEEP_FREE_MB = 48
# Between those of the session's stack and those of the fault tests' broker.
OFFSETS = range(20185, 50000, 250)


class SmallStack:
    """A running stack.

    Args:
        settings: the stack's settings.
        disk: the disk with the stack's home.
    """

    def __init__(self, settings: Settings, disk: SmallDisk) -> None:
        self.settings, self.disk = settings, disk

    def status(self) -> Status:
        """Return the stack's status, as `kogpt2-chat status` does."""
        return status(self.settings)

    def services(self) -> dict[str, Service]:
        """Return the services that were started, by name."""
        return {one.name: one for one in self.status().services if one.pid or one.detail != "stopped: Not started"}

    def pid(self, name: str) -> int | None:
        """Return the process id of a server."""
        return self.services()[name].pid

    def unhealthy(self) -> list[str]:
        """Return the services that are not healthy, with the reason."""
        return [f"{one.name}: {one.detail}" for one in self.services().values() if not one.healthy]

    def fill_lake(self) -> None:
        """Run one ingest, as Airflow would."""
        ingest(topics=bootstrap.topics(self.settings), tables=bootstrap.tables(self.settings), settings=self.settings)

    def build_dataset(self) -> str:
        """Build one bot's dataset with spark-submit, and return its id."""
        built = build_dataset(
            bots=["ChatbotA"],
            spark=bootstrap.spark(self.settings),
            tables=bootstrap.tables(self.settings),
            files=bootstrap.files(self.settings),
            settings=self.settings,
            progress=_print_progress,
        )
        return str(built.datasets["ChatbotA"].dataset_id)

    def lake(self) -> list[str]:
        """Return the turn ids in the lake, including duplicates."""
        return [str(row["turn_id"]) for row in bootstrap.tables(self.settings).read("turns", ["turn_id"])]

    def lake_is_complete(self) -> bool:
        """Run an ingest, and return whether the lake has then read the topic of turns to its end."""
        result = ingest(
            topics=bootstrap.topics(self.settings), tables=bootstrap.tables(self.settings), settings=self.settings
        )
        ends = bootstrap.topics(self.settings).end_positions(TURN_TOPIC)
        return result.turns.positions == ends

    def write_everywhere(self) -> None:
        """Write to each server that was started and stores data."""
        bootstrap.files(self.settings).write("/Chatbot/probe", os.urandom(1000))
        names = self.services()
        if "elasticsearch" in names:
            index(tables=bootstrap.tables(self.settings), index=bootstrap.index(self.settings), rebuild=False)
            assert bootstrap.index(self.settings).count(TURN_INDEX) == len(set(self.lake()))
        if "mlflow" in names:
            url = f"{self.settings.mlflow_url}/api/2.0/mlflow/experiments/create"
            response = requests.post(url, json={"name": os.urandom(8).hex()}, timeout=30)
            assert response.status_code == requests.codes.ok, response.text


@contextmanager
def small_stack(disk: SmallDisk, only: Sequence[str]) -> Iterator[SmallStack]:
    """Start servers with the topics and one tiny champion per bot, and stop them at the end.

    Args:
        disk: the disk for the stack's home.
        only: names or groups of the servers to start.
    """
    home = disk.folder / "home"
    settings = Settings(
        home=home,
        ports=Ports(offset=_free_offset(home)),
        stack=Stack(min_memory_mb=500, min_disk_mb=100, keep_free_mb=KEEP_FREE_MB, stop_timeout_s=20),
        # With fewer retries, a full disk becomes an error sooner.
        hdfs=Hdfs(retries=1),
        serving=Serving(threads=1, session_timeout_s=6),
    )
    install_versions(home, ordinals=(1,))
    try:
        up(settings, only=only, progress=_print_progress, on_ready=lambda: _prepare(settings, only))
        yield SmallStack(settings, disk)
    finally:
        disk.clear()
        down(settings, progress=_print_progress)


def _prepare(settings: Settings, only: Sequence[str]) -> None:
    topics_with_champions(settings)
    if "elasticsearch" in only:
        bootstrap.index(settings).ensure()


def _free_offset(home: Path) -> int:
    """Return the first offset at which all ports of a complete stack are free."""
    for offset in OFFSETS:
        settings = Settings(home=home, ports=Ports(offset=offset))
        programs = all_programs(settings, folders_of(settings), Java(home=Path("/"), version=17))
        ports = [port for program in programs for port in program.ports.values()]
        if all(port_is_free(settings.stack.host, port) for port in ports):
            return offset
    raise RuntimeError(f"no free block of ports in {OFFSETS}")


def _print_progress(line: str) -> None:
    print(f"faults: {line}", flush=True)
