"""A worker whose disk is full: a small tmpfs that the test fills and frees again."""

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
    with small_disk(tmp_path / "disk", "256k") as mounted:
        yield mounted.folder


def fill(disk: Path) -> None:
    SmallDisk(disk).fill()
    with pytest.raises(OSError, match="No space left"):
        (disk / "more").write_bytes(bytes(4096))
    (disk / "more").unlink()


class SmallDiskWorker(OneWorker):
    """One worker with its version cache and crash log on the small disk. The test runs its loop step by step."""

    def __init__(self, disk: Path, home: Path) -> None:
        super().__init__(disk / "models")
        self.harness = WorkerHarness(home, models=False)
        self.harness.worker.crashes = CrashLog(
            disk / "run" / "crashes.json", lambda trouble: self.slots.note("crashes", trouble)
        )
        self.topics, self.slots, self.engine = (
            InMemoryTopics(self.harness.broker),
            self.harness.slots,
            self.harness.engine,
        )
        versions = VersionCache(
            folder=self.folder, registry=lambda: self.registry, load=self.load, make_engine=type(self.engine)
        )
        self.follower = RolloutFollower(
            topics=self.topics, slots=self.slots, versions=versions, worker="worker-1", every_s=0.01
        )

    def publish(self, bot: str, champion: int | None, epoch: int, *, muted: bool = False) -> None:
        state = RolloutState(bot=bot, epoch=epoch, champion=champion, muted=muted)
        self.topics.send([Outgoing(topic=ROLLOUT_TOPIC, key=bot.encode(), value=state.to_json().encode())])

    def report(self, bot: str = BOT) -> SlotReport:
        slot = WorkerState.from_json(self.topics.latest_by_key(WORKER_TOPIC)["worker-1"]).slot(bot)
        assert slot is not None
        return slot

    def until_serving(self, bot: str, version: int) -> None:
        for _ in range(500):
            self.pause(0.01)
            loaded = self.slots.route(bot).loaded
            if loaded is not None and loaded.version == version:
                return
        pytest.fail(f"{bot} never served {version}: {self.report(bot)}")

    def answer(self) -> str:
        before = len(self.harness.texts())
        self.harness.ask(legacy_text("하늘", BOT, "안녕?"))
        self.harness.drain()
        assert len(self.harness.texts()) == before + 1
        return self.harness.texts()[-1]


def test_a_worker_survives_a_full_disk(disk: Path, tmp_path: Path) -> None:
    """It answers and mutes. A version that does not fit is degraded, and loads once the disk has space again."""
    worker = SmallDiskWorker(disk, tmp_path / "home")
    worker.train(BOT)
    worker.publish(BOT, 1, 1)
    worker.until_serving(BOT, 1)
    big = worker.train(BOT)
    worker.registry.runs[worker.registry.get(BOT, big).run_id].files["version/weights"] = bytes(64 * 1024)
    fill(disk)

    assert worker.answer() == "안녕?"
    worker.pause(0)
    assert worker.report().detail == "", "the crash log needs no more space"
    worker.harness.worker.crashes.begin([f"bot_question-0-{number}" for number in range(400)])
    worker.pause(0)
    assert "No space left" in worker.report().detail
    assert worker.answer() == "안녕?"
    worker.publish("ChatbotB", None, 1, muted=True)
    worker.publish(BOT, big, 2)
    worker.pause(0.2)
    worker.pause(0)
    route = worker.slots.route("ChatbotB")
    assert (route.rollout_epoch, route.muted) == (1, True)
    assert (worker.report().state, worker.report().version) == ("degraded", 1)
    assert worker.answer() == "안녕?"
    assert lease_ordinal(disk, 1).ordinal == 1
    CrashLog(disk / "run" / "crashes.json")

    (disk / "filler").unlink()
    worker.follower._monotonic = lambda: 1e9
    worker.until_serving(BOT, big)
    assert worker.answer() == "안녕?"
    worker.pause(0)
    assert (worker.report().state, worker.report().detail) == ("ready", "")
