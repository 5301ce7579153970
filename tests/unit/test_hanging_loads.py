"""While a load hangs, everything that needs no load still happens at once, and a late result changes nothing."""

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


class Machine(OneWorker):
    """One worker that acts each time a job waits; downloads and loads of a version can hang."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.held: dict[str, threading.Event] = {}
        self.reached = threading.Semaphore(0)
        self.opened: list[str] = []
        self.spoken: set[str] = set()
        self.lines: list[str] = []
        fetch = self.registry.download

        def download(bot: str, version: int, target: Path) -> Path:
            self._hang(f"fetch {bot} {version}")
            return fetch(bot, version, target)

        self.registry.download = download  # type: ignore[method-assign]

    def _hang(self, what: str) -> None:
        gate = self.held.get(what)
        if gate is not None:
            self.reached.release()
            assert gate.wait(30)

    def load(self, folder: Path) -> BotModel:
        self.opened.append(f"{folder.parent.name} {folder.name}")
        self._hang(f"load {folder.parent.name} {folder.name}")
        return super().load(folder)

    def pause(self, seconds: float) -> None:
        super().pause(seconds)
        held = {bot: self.slots.route(bot).loaded for bot in (BOT, OTHER)}
        self.spoken |= {f"{bot} {loaded.version}" for bot, loaded in held.items() if loaded is not None}

    @contextmanager
    def hanging(self, what: str) -> Iterator[None]:
        """Context in which a call is reached and does not return before the block ends."""
        gate = self.held[what] = threading.Event()
        try:
            yield
        finally:
            gate.set()
            del self.held[what]

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
        """Publish version 3 with a job that is not waited for; its load hangs."""
        version = self.train(BOT)
        hang = self.hanging(f"{what} {BOT} {version}")
        hang.__enter__()
        with pytest.raises(Unavailable):
            self.roll_out(version=version, ready_timeout_s=0.05)
        assert self.reached.acquire(timeout=10)
        return hang

    def serves(self, bot: str = BOT) -> str:
        return str(self.slots.route(bot).loaded.model.version)

    def tell(self, champion: int | None, epoch: int, **fields: object) -> None:
        state = RolloutState(bot=BOT, epoch=epoch, champion=champion, **fields)  # type: ignore[arg-type]
        self.topics.send([Outgoing(topic=ROLLOUT_TOPIC, key=BOT.encode(), value=state.to_json().encode())])

    def said(self) -> WorkerState:
        return WorkerState.from_json(self.topics.latest_by_key(WORKER_TOPIC)["worker-1"])

    def until(self, holds: Callable[[], bool]) -> None:
        for _ in range(1000):
            if holds():
                return
            self.pause(0.01)
        pytest.fail("it never came about")


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path)
    yield made
    made.control.stop()


@pytest.mark.parametrize("what", ["fetch", "load"])
def test_a_rollback_to_a_warm_version_does_not_wait_for_a_load_that_hangs(machine: Machine, what: str) -> None:
    """Version 2 is bad and version 3 still loads: the worker returns to version 1 in its next round."""
    machine.roll_out()
    machine.roll_out()
    hang = machine.begin_rollout(what)
    try:
        result = machine.roll_back()
        assert (result.version, machine.serves()) == (1, "1")
        reports = {slot.bot: (slot.version, slot.state) for slot in machine.said().slots}
        assert reports[BOT] == (1, "ready")
    finally:
        hang.__exit__(None, None, None)


@pytest.mark.parametrize("what", ["fetch", "load"])
def test_a_version_no_longer_wanted_is_dropped_when_its_load_ends(machine: Machine, what: str) -> None:
    """It answers no batch, and if only its files have arrived, it is not loaded."""
    machine.roll_out()
    machine.roll_out()
    hang = machine.begin_rollout(what)
    machine.roll_back()
    hang.__exit__(None, None, None)
    machine.until(lambda: not machine.control._loads)
    assert machine.serves() == "1"
    assert f"{BOT} 3" not in machine.spoken
    assert (f"{BOT} 3" in machine.opened) == (what == "load")


def test_a_cached_version_loads_while_another_load_hangs(machine: Machine) -> None:
    """The previous version is no longer warm, but its files are on disk, which is sufficient."""
    machine.roll_out()
    machine.roll_out()
    machine.slots._slot_by_bot[BOT].warm_until = 0
    machine.pause(0)
    hang = machine.begin_rollout()
    try:
        assert machine.roll_back().version == 1
        assert machine.serves() == "1"
    finally:
        hang.__exit__(None, None, None)


def test_a_mute_is_acknowledged_while_a_load_hangs(machine: Machine) -> None:
    """An unmute is acknowledged too."""
    machine.roll_out()
    version = machine.train(BOT)
    with machine.hanging(f"fetch {BOT} {version}"):
        machine.tell(version, epoch=5, previous=1)
        machine.pause(0)
        assert machine.reached.acquire(timeout=10)
        for muted in (True, False):
            result = mute(
                bot=BOT,
                topics=machine.topics,
                settings=machine.settings(5),
                progress=machine.lines.append,
                muted=muted,
                clock=Clock(pause=machine.pause),
            )
            assert result.workers == ("worker-1",)
            assert machine.slots.route(BOT).muted is muted


@pytest.mark.parametrize("what", ["fetch", "load"])
def test_another_bot_is_rolled_out_while_a_load_hangs(
    machine: Machine, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each bot has its own loader: a hanging load costs other bots a bounded wait."""
    monkeypatch.setattr("serving.version_cache.LOAD_LOCK_TIMEOUT_S", 0.05)
    machine.roll_out()
    machine.roll_out(OTHER)
    hang = machine.begin_rollout(what)
    try:
        assert machine.roll_out(OTHER).version == 2
        assert machine.serves(OTHER) == "2"
    finally:
        hang.__exit__(None, None, None)


def test_a_hanging_rollout_is_acknowledged_at_once(machine: Machine) -> None:
    """The epoch shows that the state was read, and the slot state `loading` that it is not ready."""
    machine.roll_out()
    version = machine.train(BOT)
    with machine.hanging(f"fetch {BOT} {version}"):
        machine.tell(version, epoch=9, previous=1)
        machine.pause(0)
        slot = next(slot for slot in machine.said().slots if slot.bot == BOT)
        assert (machine.said().epoch_by_bot[BOT], slot.state, slot.version) == (9, "loading", 1)


def test_failures_are_counted_by_version(machine: Machine) -> None:
    """A version that failed often does not delay the next one."""
    now = [0.0]
    machine.control._monotonic = lambda: now[0]
    machine.roll_out()
    machine.corrupt |= {"2", "3"}
    machine.train(BOT)
    machine.train(BOT)

    def tries(version: int) -> int:
        return machine.opened.count(f"{BOT} {version}")

    machine.tell(2, epoch=5)
    for wait_s in (2, 5, 15, 60):
        before = tries(2)
        machine.until(lambda before=before: tries(2) > before and not machine.control._loads)  # type: ignore[misc]
        now[0] += wait_s
    machine.tell(3, epoch=6)
    machine.until(lambda: tries(3) > 0 and not machine.control._loads)
    first = tries(3)
    now[0] += 2
    machine.until(lambda: tries(3) > first)


def test_a_withdrawn_first_version_stops_answering(machine: Machine) -> None:
    """No earlier version exists, so the bot answers with notices until the next version."""
    machine.roll_out()
    machine.tell(None, epoch=2)
    machine.pause(0)
    route = machine.slots.route(BOT)
    assert (route.loaded, route.rollout_epoch) == (None, 2)
    machine.tell(1, epoch=3)
    machine.pause(0)
    assert machine.slots.route(BOT).loaded is not None


def test_the_previous_version_stays_on_disk(machine: Machine) -> None:
    """Long after it has left the memory: a rollback must not need the registry."""
    machine.roll_out()
    machine.roll_out()
    slot = machine.slots._slot_by_bot[BOT]
    assert slot.warm_until > WARM_FOR_S
    slot.warm_until = 0
    machine.pause(0)
    assert machine.slots.versions_in_use(BOT) == {2}
    machine.registry.download = None  # type: ignore[assignment, method-assign]
    assert machine.roll_back().version == 1
    assert machine.serves() == "1"
