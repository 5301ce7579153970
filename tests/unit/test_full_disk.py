"""The worker's own files on a disk that is really full: a small tmpfs, filled and freed again."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from kogpt2_chat.domain.chat.topics import ROLLOUT_TOPIC, WORKER_TOPIC
from kogpt2_chat.domain.chat.wire import legacy_text
from kogpt2_chat.domain.rollout.states import RolloutState, SlotReport, WorkerState
from kogpt2_chat.ports import Outgoing
from kogpt2_chat.testing.kafka import InMemoryTopics
from serving.crashes import CrashLog
from serving.lease import lease_ordinal
from serving.rollout_follower import RolloutFollower
from serving.version_cache import VersionCache
from tests.one_worker import OneWorker
from tests.small_disk import SmallDisk, small_disk
from tests.worker_harness import WorkerHarness

BOT = "ChatbotA"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", "256k") as made:
        yield made.folder


def fill(disk: Path) -> None:
    SmallDisk(disk).fill()
    with pytest.raises(OSError, match="No space left"):
        (disk / "more").write_bytes(bytes(4096))
    (disk / "more").unlink()


class Machine(OneWorker):
    """One worker whose shelf lies on the small disk, and whose answering thread is turned by hand."""

    def __init__(self, disk: Path, home: Path) -> None:
        super().__init__(disk / "models")
        self.bench = WorkerHarness(home, models=False)
        self.bench.worker.crashes = CrashLog(
            disk / "run" / "crashes.json", lambda trouble: self.slots.note("crashes", trouble)
        )
        self.topics, self.slots, self.engine = InMemoryTopics(self.bench.broker), self.bench.slots, self.bench.engine
        versions = VersionCache(
            folder=self.folder, registry=lambda: self.registry, load=self.load, make_engine=type(self.engine)
        )
        self.control = RolloutFollower(
            topics=self.topics, slots=self.slots, versions=versions, worker="worker-1", every_s=0.01
        )

    def tell(self, bot: str, champion: int | None, epoch: int, *, muted: bool = False) -> None:
        state = RolloutState(bot=bot, epoch=epoch, champion=champion, muted=muted)
        self.topics.send([Outgoing(topic=ROLLOUT_TOPIC, key=bot.encode(), value=state.to_json().encode())])

    def said(self, bot: str = BOT) -> SlotReport:
        slot = WorkerState.from_json(self.topics.latest_by_key(WORKER_TOPIC)["worker-1"]).slot(bot)
        assert slot is not None
        return slot

    def until_serving(self, bot: str, version: int) -> None:
        for _ in range(500):
            self.pause(0.01)
            loaded = self.slots.route(bot).loaded
            if loaded is not None and loaded.version == version:
                return
        pytest.fail(f"{bot} never served {version}: {self.said(bot)}")

    def answer(self) -> str:
        before = len(self.bench.texts())
        self.bench.ask(legacy_text("하늘", BOT, "안녕?"))
        self.bench.drain()
        assert len(self.bench.texts()) == before + 1
        return self.bench.texts()[-1]


def test_a_worker_lives_through_a_full_disk(disk: Path, tmp_path: Path) -> None:
    """It answers, mutes and unmutes; a version that finds no room is degraded; all comes back with the room."""
    machine = Machine(disk, tmp_path / "home")
    machine.train(BOT)
    machine.tell(BOT, 1, 1)
    machine.until_serving(BOT, 1)
    big = machine.train(BOT)
    machine.registry.runs[machine.registry.get(BOT, big).run_id].files["version/weights"] = bytes(64 * 1024)
    fill(disk)

    assert machine.answer() == "안녕?"
    machine.pause(0)
    assert "No space left" in machine.said().detail
    machine.tell("ChatbotB", None, 1, muted=True)
    machine.tell(BOT, big, 2)
    machine.pause(0.2)
    machine.pause(0)
    route = machine.slots.route("ChatbotB")
    assert (route.rollout_epoch, route.muted) == (1, True)
    assert (machine.said().state, machine.said().version) == ("degraded", 1)
    assert machine.answer() == "안녕?"
    assert lease_ordinal(disk, 1).ordinal == 1
    CrashLog(disk / "run" / "crashes.json")

    (disk / "filler").unlink()
    machine.control._monotonic = lambda: 1e9
    machine.until_serving(BOT, big)
    assert machine.answer() == "안녕?"
    machine.pause(0)
    assert (machine.said().state, machine.said().detail) == ("ready", "")
