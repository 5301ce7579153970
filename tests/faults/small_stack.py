"""Servers of a test's own on a small disk, which nobody touches while it is full or afterwards."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import requests

from kogpt2_chat import bootstrap
from kogpt2_chat.domain.chat.topics import TURN_TOPIC
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
from tests.faults.broker_process import fill_shelves, topics_with_champions
from tests.small_disk import SmallDisk

KEEP_FREE_MB = 48
# Between those of the session's stack and of the tests' lone broker.
OFFSETS = range(20185, 50000, 250)


class SmallStack:
    """The running servers.

    Args:
        settings: of the stack.
        disk: where its home is.
        only: names or groups of what was started.
    """

    def __init__(self, settings: Settings, disk: SmallDisk, only: Sequence[str]) -> None:
        self.settings, self.disk, self.only = settings, disk, only

    def status(self) -> Status:
        """As `kogpt2-chat status` finds it, of what was started."""
        return status(self.settings)

    def services(self) -> dict[str, Service]:
        """What was started, by name."""
        return {one.name: one for one in self.status().services if one.pid or one.detail != "stopped: Not started"}

    def pid(self, name: str) -> int | None:
        """A server's process now."""
        return self.services()[name].pid

    def unwell(self) -> list[str]:
        """Who is not healthy, and why."""
        return [f"{one.name}: {one.detail}" for one in self.services().values() if not one.healthy]

    def fill_lake(self) -> None:
        """One ingest, as Airflow would run it."""
        ingest(topics=bootstrap.topics(self.settings), tables=bootstrap.tables(self.settings), settings=self.settings)

    def build_dataset(self) -> str:
        """One bot's dataset by spark-submit; its id."""
        built = build_dataset(
            bots=["ChatbotA"],
            spark=bootstrap.spark(self.settings),
            tables=bootstrap.tables(self.settings),
            files=bootstrap.files(self.settings),
            settings=self.settings,
            progress=_tell,
        )
        return str(built.datasets["ChatbotA"].version)

    def lake(self) -> list[str]:
        """Turn ids in the lake, doubles included."""
        return [str(row["turn_id"]) for row in bootstrap.tables(self.settings).read("turns", ["turn_id"])]

    def lake_is_complete(self) -> bool:
        """Whether the lake has read its topic to the end."""
        result = ingest(
            topics=bootstrap.topics(self.settings), tables=bootstrap.tables(self.settings), settings=self.settings
        )
        ends = bootstrap.topics(self.settings).end_positions(TURN_TOPIC)
        return result.turns.positions == ends

    def write_everywhere(self) -> None:
        """One write to each server that was started and keeps data."""
        bootstrap.files(self.settings).write("/Chatbot/probe", os.urandom(1000))
        names = self.services()
        if "elasticsearch" in names:
            index(tables=bootstrap.tables(self.settings), index=bootstrap.index(self.settings), rebuild=False)
            assert bootstrap.index(self.settings).count() == len(set(self.lake()))
        if "mlflow" in names:
            url = f"{self.settings.mlflow_url}/api/2.0/mlflow/experiments/create"
            made = requests.post(url, json={"name": os.urandom(8).hex()}, timeout=30)
            assert made.status_code == requests.codes.ok, made.text


@contextmanager
def small_stack(disk: SmallDisk, only: Sequence[str]) -> Iterator[SmallStack]:
    """Start them, with topics and a tiny champion a bot; stop them again."""
    home = disk.folder / "home"
    settings = Settings(
        home=home,
        ports=Ports(offset=_free_offset(home)),
        stack=Stack(min_memory_mb=500, min_disk_mb=100, keep_free_mb=KEEP_FREE_MB, stop_timeout_s=20),
        # Whoever meets a full disk should say so soon.
        hdfs=Hdfs(retries=1),
        serving=Serving(threads=1, session_timeout_s=6),
    )
    fill_shelves(home, slots=(1,))
    try:
        up(settings, only=only, progress=_tell, on_ready=lambda: _prepare(settings, only))
        yield SmallStack(settings, disk, only)
    finally:
        disk.make_room()
        down(settings, progress=_tell)


def _prepare(settings: Settings, only: Sequence[str]) -> None:
    topics_with_champions(settings)
    if "elasticsearch" in only:
        bootstrap.index(settings).ensure()


def _free_offset(home: Path) -> int:
    """All ports of a whole stack are free there."""
    for offset in OFFSETS:
        settings = Settings(home=home, ports=Ports(offset=offset))
        programs = all_programs(settings, folders_of(settings), Java(home=Path("/"), version=17))
        ports = [port for program in programs for port in program.ports.values()]
        if all(port_is_free(settings.stack.host, port) for port in ports):
            return offset
    raise RuntimeError(f"no free block of ports in {OFFSETS}")


def _tell(line: str) -> None:
    print(f"faults: {line}", flush=True)
