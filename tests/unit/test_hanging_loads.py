"""While a load hangs, everything that does not need it happens without delay, and its late result changes nothing."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from kogpt2_chat.domain.chat.topics import ROLLOUT_TOPIC, WORKER_TOPIC
from kogpt2_chat.domain.rollout.states import RolloutState, WorkerState
from kogpt2_chat.errors import Unavailable
from kogpt2_chat.fleet.fleet import Clock
from kogpt2_chat.fleet.rollout_plan import RolloutResult
from kogpt2_chat.inference.engine import BotModel
from kogpt2_chat.jobs.mute import mute
from kogpt2_chat.jobs.rollback import rollback
from kogpt2_chat.jobs.rollout import rollout
from kogpt2_chat.ports import Outgoing
from kogpt2_chat.settings import Rollout, Settings
from serving.slot import WARM_FOR_S
from tests.one_worker import OneWorker

BOT, OTHER = "ChatbotA", "ChatbotB"


class HangingWorker(OneWorker):
    """One worker that acts each time a job waits. Downloads and loads of a version can be made to hang.

    Attributes:
        gates: for each hanging call, the event that lets it return.
        reached: released each time a hanging call begins.
        loads: all loads that began.
        served: all versions that were in a slot.
        lines: progress lines of the jobs.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.gates: dict[str, threading.Event] = {}
        self.reached = threading.Semaphore(0)
        self.loads: list[str] = []
        self.served: set[str] = set()
        self.lines: list[str] = []
        fetch = self.registry.download

        def download(bot: str, version: int, target: Path) -> Path:
            self._hang(f"fetch {bot} {version}")
            return fetch(bot, version, target)

        self.registry.download = download  # type: ignore[method-assign]

    def _hang(self, what: str) -> None:
        gate = self.gates.get(what)
        if gate is not None:
            self.reached.release()
            assert gate.wait(30)

    def load(self, folder: Path) -> BotModel:
        self.loads.append(f"{folder.parent.name} {folder.name}")
        self._hang(f"load {folder.parent.name} {folder.name}")
        return super().load(folder)

    def pause(self, seconds: float) -> None:
        super().pause(seconds)
        loaded_by_bot = {bot: self.slots.route(bot).loaded for bot in (BOT, OTHER)}
        self.served |= {f"{bot} {loaded.version}" for bot, loaded in loaded_by_bot.items() if loaded is not None}

    @contextmanager
    def hanging(self, what: str) -> Iterator[None]:
        """Let a call hang until the end of the block."""
        gate = self.gates[what] = threading.Event()
        try:
            yield
        finally:
            gate.set()
            del self.gates[what]

    def settings(self, ready_timeout_s: float) -> Settings:
        return Settings(rollout=Rollout(ready_timeout_s=ready_timeout_s, poll_s=0.01))

    def roll_out(self, bot: str = BOT, version: int | None = None, ready_timeout_s: float = 20) -> RolloutResult:
        return rollout(
            bot=bot,
            topics=self.topics,
            registry=self.registry,
            settings=self.settings(ready_timeout_s),
            progress=self.lines.append,
            version=self.train(bot) if version is None else version,
            clock=Clock(pause=self.pause),
        )

    def roll_back(self) -> RolloutResult:
        return rollback(
            bot=BOT,
            topics=self.topics,
            registry=self.registry,
            settings=self.settings(20),
            progress=self.lines.append,
            clock=Clock(pause=self.pause),
        )

    def begin_rollout(self, what: str = "fetch") -> AbstractContextManager[None]:
        """Start a rollout whose fetch or load hangs until the returned context exits."""
        version = self.train(BOT)
        hang = self.hanging(f"{what} {BOT} {version}")
        hang.__enter__()
        with pytest.raises(Unavailable):
            self.roll_out(version=version, ready_timeout_s=0.05)
        assert self.reached.acquire(timeout=10)
        return hang

    def served_version(self, bot: str = BOT) -> str:
        return str(self.slots.route(bot).loaded.model.label)

    def publish(self, champion: int | None, epoch: int, **fields: object) -> None:
        state = RolloutState(bot=BOT, epoch=epoch, champion=champion, **fields)  # type: ignore[arg-type]
        self.topics.send([Outgoing(topic=ROLLOUT_TOPIC, key=BOT.encode(), value=state.to_json().encode())])

    def report(self) -> WorkerState:
        return WorkerState.from_json(self.topics.latest_by_key(WORKER_TOPIC)["worker-1"])

    def wait_until(self, condition: Callable[[], bool]) -> None:
        for _ in range(1000):
            if condition():
                return
            self.pause(0.01)
        pytest.fail("the condition never became true")


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[HangingWorker]:
    worker = HangingWorker(tmp_path)
    yield worker
    worker.follower.stop()


@pytest.mark.parametrize("what", ["fetch", "load"])
def test_a_rollback_to_a_warm_version_does_not_wait_for_a_hanging_load(worker: HangingWorker, what: str) -> None:
    """While version 3 is loading, the worker returns from version 2 to version 1 in its next round."""
    worker.roll_out()
    worker.roll_out()
    hang = worker.begin_rollout(what)
    try:
        result = worker.roll_back()
        assert (result.version, worker.served_version()) == (1, "1")
        reports = {slot.bot: (slot.version, slot.state) for slot in worker.report().slots}
        assert reports[BOT] == (1, "ready")
    finally:
        hang.__exit__(None, None, None)


@pytest.mark.parametrize("what", ["fetch", "load"])
def test_a_version_that_is_no_longer_wanted_is_dropped_when_its_load_ends(worker: HangingWorker, what: str) -> None:
    """It never serves. If only its files were fetched, it is not even loaded."""
    worker.roll_out()
    worker.roll_out()
    hang = worker.begin_rollout(what)
    worker.roll_back()
    hang.__exit__(None, None, None)
    worker.wait_until(lambda: not worker.follower._loads)
    assert worker.served_version() == "1"
    assert f"{BOT} 3" not in worker.served
    assert (f"{BOT} 3" in worker.loads) == (what == "load")


def test_a_cached_version_loads_while_another_load_hangs(worker: HangingWorker) -> None:
    """The previous version is no longer warm, but its files are on disk."""
    worker.roll_out()
    worker.roll_out()
    worker.slots._slot_by_bot[BOT].warm_until = 0
    worker.pause(0)
    hang = worker.begin_rollout()
    try:
        assert worker.roll_back().version == 1
        assert worker.served_version() == "1"
    finally:
        hang.__exit__(None, None, None)


def test_a_mute_is_acknowledged_while_a_load_hangs(worker: HangingWorker) -> None:
    """An unmute is acknowledged too."""
    worker.roll_out()
    version = worker.train(BOT)
    with worker.hanging(f"fetch {BOT} {version}"):
        worker.publish(version, epoch=5, previous=1)
        worker.pause(0)
        assert worker.reached.acquire(timeout=10)
        for muted in (True, False):
            result = mute(
                bot=BOT,
                topics=worker.topics,
                settings=worker.settings(5),
                progress=worker.lines.append,
                muted=muted,
                clock=Clock(pause=worker.pause),
            )
            assert result.workers == ("worker-1",)
            assert worker.slots.route(BOT).muted is muted


@pytest.mark.parametrize("what", ["fetch", "load"])
def test_another_bot_is_rolled_out_while_a_load_hangs(
    worker: HangingWorker, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each bot has its own loader, so a hanging load delays other bots only for a limited time."""
    monkeypatch.setattr("serving.version_cache.LOAD_LOCK_TIMEOUT_S", 0.05)
    worker.roll_out()
    worker.roll_out(OTHER)
    hang = worker.begin_rollout(what)
    try:
        assert worker.roll_out(OTHER).version == 2
        assert worker.served_version(OTHER) == "2"
    finally:
        hang.__exit__(None, None, None)


def test_a_hanging_rollout_is_acknowledged_at_once(worker: HangingWorker) -> None:
    """The epoch shows that the state was read, and the slot state `loading` that it is not ready."""
    worker.roll_out()
    version = worker.train(BOT)
    with worker.hanging(f"fetch {BOT} {version}"):
        worker.publish(version, epoch=9, previous=1)
        worker.pause(0)
        slot = next(slot for slot in worker.report().slots if slot.bot == BOT)
        assert (worker.report().epoch_by_bot[BOT], slot.state, slot.version) == (9, "loading", 1)


def test_failures_are_counted_by_version(worker: HangingWorker) -> None:
    """A version that failed often does not delay the next one."""
    now = [0.0]
    worker.follower._monotonic = lambda: now[0]
    worker.roll_out()
    worker.corrupt |= {"2", "3"}
    worker.train(BOT)
    worker.train(BOT)

    def attempts(version: int) -> int:
        return worker.loads.count(f"{BOT} {version}")

    worker.publish(2, epoch=5)
    for wait_s in (2, 5, 15, 60):
        before = attempts(2)
        worker.wait_until(lambda before=before: attempts(2) > before and not worker.follower._loads)  # type: ignore[misc]
        now[0] += wait_s
    worker.publish(3, epoch=6)
    worker.wait_until(lambda: attempts(3) > 0 and not worker.follower._loads)
    first = attempts(3)
    now[0] += 2
    worker.wait_until(lambda: attempts(3) > first)


def test_a_withdrawn_first_version_stops_answering(worker: HangingWorker) -> None:
    """No earlier version exists, so the bot answers with notices until the next version."""
    worker.roll_out()
    worker.publish(None, epoch=2)
    worker.pause(0)
    route = worker.slots.route(BOT)
    assert (route.loaded, route.rollout_epoch) == (None, 2)
    worker.publish(1, epoch=3)
    worker.pause(0)
    assert worker.slots.route(BOT).loaded is not None


def test_the_previous_version_stays_on_disk(worker: HangingWorker) -> None:
    """It stays after it has left memory, so that a rollback does not need the registry."""
    worker.roll_out()
    worker.roll_out()
    slot = worker.slots._slot_by_bot[BOT]
    assert slot.warm_until > WARM_FOR_S
    slot.warm_until = 0
    worker.pause(0)
    assert worker.slots.versions_in_use(BOT) == {2}
    worker.registry.download = None  # type: ignore[assignment, method-assign]
    assert worker.roll_back().version == 1
    assert worker.served_version() == "1"
