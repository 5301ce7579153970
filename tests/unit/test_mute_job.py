"""Muting a bot: what is published, who is waited for, and what is said when somebody does not answer."""

import getpass
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kogpt2_chat.cli import app
from kogpt2_chat.cli.operate import mute_text
from kogpt2_chat.domain.chat.topics import ROLLOUT_TOPIC, WORKER_TOPIC
from kogpt2_chat.domain.rollout.states import RolloutState, SlotReport, SlotState, WorkerState
from kogpt2_chat.errors import Conflict, Unavailable
from kogpt2_chat.fleet.fleet import Clock
from kogpt2_chat.jobs.mute import mute
from kogpt2_chat.jobs.rollout import rollout
from kogpt2_chat.ports import Outgoing
from kogpt2_chat.settings import Rollout, Settings
from kogpt2_chat.testing.kafka import Broker, MemoryTopics
from tests.one_worker import OneWorker

BOT = "ChatbotB"
SPEAKING = RolloutState(
    bot=BOT, epoch=7, champion=4, previous=3, candidate=5, phase="canary", percent=10, reason="rolled out", by="rollout"
)


@dataclass
class Worker:
    """Acts on what it is told, each time the job waits."""

    name: str = "worker-1"
    deaf: bool = False
    degraded: bool = False
    epoch: int = 0

    def report(self, state: RolloutState | None, at: datetime) -> WorkerState:
        if state is not None and not self.deaf:
            self.epoch = state.epoch
        slot = SlotReport(bot=BOT, version=0 if self.degraded else 4, state="degraded" if self.degraded else "ready")
        return WorkerState(worker=self.name, epoch_by_bot={BOT: self.epoch}, slots=(slot,), at=at.isoformat())


@dataclass
class World:
    """Everything a mute touches, and a clock that only moves when the job waits."""

    topics: MemoryTopics = field(default_factory=lambda: MemoryTopics(Broker()))
    settings: Settings = field(default_factory=Settings)
    workers: list[Worker] = field(default_factory=lambda: [Worker(), Worker(name="worker-2")])
    lines: list[str] = field(default_factory=list)
    time: datetime = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
    waits: int = 0
    meanwhile: Callable[[], None] = lambda: None

    def seconds(self) -> float:
        return self.time.timestamp()

    def pause(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)
        self.waits += 1
        self.meanwhile()
        for worker in self.workers:
            self.send(WORKER_TOPIC, worker.name, worker.report(self.states()[-1], self.time).to_json())

    def send(self, topic: str, key: str, value: str) -> None:
        self.topics.send([Outgoing(topic=topic, key=key.encode(), value=value.encode())])

    def tell(self, state: RolloutState) -> None:
        self.send(ROLLOUT_TOPIC, BOT, state.to_json())

    def states(self) -> list[RolloutState]:
        end = self.topics.end_positions(ROLLOUT_TOPIC)[0]
        return [RolloutState.from_json(record.value or b"") for record in self.topics.read(ROLLOUT_TOPIC, 0, 0, end)]

    def mute(self, *, muted: bool = True, reason: str = "") -> dict[str, object]:
        return mute(
            bot=BOT,
            topics=self.topics,
            settings=self.settings,
            progress=self.lines.append,
            muted=muted,
            reason=reason,
            by="지기",
            clock=Clock(now=lambda: self.time, monotonic=self.seconds, pause=self.pause),
        )


@pytest.fixture
def world() -> World:
    made = World()
    made.topics.ensure()
    return made


def test_only_muted_changes(world: World) -> None:
    """Champion, previous and phase stay as the rollout left them; epoch, reason, by and at are new."""
    world.tell(SPEAKING)

    result = world.mute(reason="이상한 답을 한다")

    assert world.states()[1:] == [
        replace(
            SPEAKING,
            epoch=8,
            muted=True,
            reason="이상한 답을 한다",
            by="지기",
            at="2026-11-24T09:00:00.000+00:00",
        )
    ]
    assert result == {
        "bot": BOT,
        "muted": True,
        "epoch": 8,
        "changed": True,
        "workers": ["worker-1", "worker-2"],
    }


def test_unmute_lets_the_same_version_speak_again(world: World) -> None:
    """There and back: the state differs in its epoch and signature only."""
    world.tell(SPEAKING)
    world.mute()

    result = world.mute(muted=False)

    last = world.states()[-1]
    assert replace(last, epoch=7, reason=SPEAKING.reason, by=SPEAKING.by, at="") == SPEAKING
    assert (last.reason, result["muted"], result["epoch"], result["changed"]) == ("not muted", False, 9, True)


@pytest.mark.parametrize("muted", [True, False])
def test_saying_it_twice_publishes_once(world: World, *, muted: bool) -> None:
    """The second call says that it is so already, under the same epoch."""
    world.tell(replace(SPEAKING, muted=not muted))
    first = world.mute(muted=muted)

    second = world.mute(muted=muted)

    assert len(world.states()) == 2
    assert (first["changed"], second["changed"]) == (True, False)
    assert (second["epoch"], second["workers"]) == (8, ["worker-1", "worker-2"])
    assert any("already" in line for line in world.lines)
    assert "is already" in mute_text(second)


def test_it_waits_until_the_last_live_worker_has_acted(world: World) -> None:
    """One worker's word is not enough; who is waited for is said once, not at each look."""
    world.tell(SPEAKING)
    world.workers[1].deaf = True

    def listen() -> None:
        world.workers[1].deaf = world.waits < 6

    world.meanwhile = listen

    result = world.mute()

    assert world.waits == 6
    assert result["workers"] == ["worker-1", "worker-2"]
    assert world.lines == [
        f"{BOT}: is now muted (epoch 8)",
        f"{BOT}: no worker is alive",
        f"{BOT}: heard by worker-1; waiting for worker-2",
        f"{BOT}: heard by worker-1, worker-2",
    ]


def test_a_worker_that_never_answers_is_named_and_the_mute_stays(world: World) -> None:
    """Silence is no success, and no reason to let the bot speak again; the second call publishes nothing."""
    world.tell(SPEAKING)
    world.workers[1].deaf = True
    started = world.time

    with pytest.raises(Unavailable, match=r"epoch 8.*waiting for worker-2.*stays published"):
        world.mute()

    assert (world.time - started).total_seconds() == pytest.approx(world.settings.rollout.ready_timeout_s, abs=1)
    assert [state.muted for state in world.states()] == [False, True]
    world.workers[1].deaf = False
    again = world.mute()
    assert (again["epoch"], again["changed"], len(again["workers"])) == (8, False, 2)
    assert len(world.states()) == 2


def test_no_live_worker_is_no_success(world: World) -> None:
    """The old heartbeat of a worker that is gone, and an unreadable one, confirm nothing."""
    world.tell(SPEAKING)
    ghost = Worker(name="worker-9").report(replace(SPEAKING, epoch=99), world.time - timedelta(minutes=5))
    world.send(WORKER_TOPIC, "worker-9", ghost.to_json())
    world.send(WORKER_TOPIC, "worker-8", "이것은 JSON이 아니다")
    world.workers.clear()

    with pytest.raises(Unavailable, match="no worker is alive"):
        world.mute()

    assert world.states()[-1].muted


def test_a_degraded_worker_has_heard_it_too(world: World) -> None:
    """A bot whose version would not load can still be silenced: a notice needs no model."""
    world.tell(SPEAKING)
    world.workers[0].degraded = True

    assert world.mute()["workers"] == ["worker-1", "worker-2"]


def test_a_bot_that_was_never_rolled_out_is_muted_too(world: World) -> None:
    """Workers answer for it like for any other; a later state goes on from this epoch."""
    result = world.mute()

    (state,) = world.states()
    assert (state.epoch, state.champion, state.muted, state.by) == (1, None, True, "지기")
    assert (result["epoch"], result["workers"]) == (1, ["worker-1", "worker-2"])
    assert world.mute(muted=False)["epoch"] == 2


def test_unmuting_a_bot_of_which_nothing_is_known_publishes_nothing(world: World) -> None:
    """It speaks, or would: there is nothing to change."""
    result = world.mute(muted=False)

    assert world.states() == []
    assert (result["epoch"], result["changed"]) == (0, False)
    assert "nothing was ever published" in mute_text(result)


def test_another_bots_state_is_not_taken_for_this_ones(world: World) -> None:
    """Bots share the topic; each has its own epochs and its own mute."""
    other = replace(SPEAKING, bot="ChatbotC", epoch=40, muted=True)
    world.send(ROLLOUT_TOPIC, "ChatbotC", other.to_json())
    world.send(ROLLOUT_TOPIC, BOT, "읽을 수 없다")
    world.tell(SPEAKING)
    world.workers.clear()

    with pytest.raises(Unavailable, match="epoch 8"):
        world.mute()


class RacingTopics(MemoryTopics):
    """Somebody else's state lands right before ours, under the same epoch: workers ignore ours."""

    rivals: list[RolloutState]

    def send(self, records: Iterable[Outgoing]) -> None:
        for item in records:
            if item.topic == ROLLOUT_TOPIC and self.rivals:
                rival = self.rivals.pop(0).to_json().encode()
                super().send([Outgoing(topic=ROLLOUT_TOPIC, key=item.key, value=rival)])
            super().send([item])


def racing(world: World, *champions: int) -> None:
    world.tell(SPEAKING)
    topics = RacingTopics(world.topics._broker)
    topics.rivals = [replace(SPEAKING, epoch=8 + turn, champion=champion) for turn, champion in enumerate(champions)]
    world.topics = topics


def test_a_mute_that_lost_a_race_is_published_again(world: World) -> None:
    """A rollout took the epoch first: the mute comes on top of it, and its champion is kept."""
    racing(world, 5)

    result = world.mute()

    last = world.states()[-1]
    assert (last.epoch, last.champion, last.muted) == (9, 5, True)
    assert (result["epoch"], result["changed"]) == (9, True)


def test_races_that_do_not_end_are_given_up(world: World) -> None:
    """No endless contest of epochs with another program."""
    racing(world, 5, 6, 7, 8)

    with pytest.raises(Conflict, match="a rollout is at work"):
        world.mute()


def test_somebody_who_says_the_opposite_meanwhile_counts(world: World) -> None:
    """No success is claimed for a mute that is over before it was confirmed; it is not fought about."""
    world.tell(SPEAKING)

    def unmute() -> None:
        if world.waits == 1:
            world.tell(replace(SPEAKING, epoch=9, by="하늘"))

    world.meanwhile = unmute

    with pytest.raises(Conflict, match=r"epoch 8 \(muted\) was overtaken by epoch 9 \(by '하늘'\)"):
        world.mute()

    assert len(world.states()) == 3


class Machine(OneWorker):
    """It acts each time the job waits."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.settings = Settings(rollout=Rollout(ready_timeout_s=20, poll_s=0.01))
        self.clock = Clock(pause=self.pause)

    def roll_out(self) -> None:
        rollout(
            bot=BOT,
            topics=self.topics,
            registry=self.registry,
            settings=self.settings,
            progress=lambda _line: None,
            version=self.train(BOT),
            clock=self.clock,
        )

    def mute(self, *, muted: bool = True) -> dict[str, object]:
        return mute(
            bot=BOT,
            topics=self.topics,
            settings=self.settings,
            progress=lambda _line: None,
            muted=muted,
            clock=self.clock,
        )

    def is_muted(self) -> bool:
        return self.slots.route(BOT).muted


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path)
    yield made
    made.control.stop()


def test_a_real_worker_confirms_a_mute_once_it_has_acted(machine: Machine) -> None:
    """Both sides of `rollout_state` mean the same: confirmed is muted, and back, without another load."""
    machine.roll_out()

    muted = machine.mute()
    assert (muted["workers"], machine.is_muted()) == (["worker-1"], True)

    spoken = machine.mute(muted=False)
    assert (spoken["workers"], machine.is_muted()) == (["worker-1"], False)
    assert machine.slots.route(BOT).loaded.model.version == "1"


def test_a_real_worker_acts_on_the_mute_of_a_bot_without_version(machine: Machine) -> None:
    """And a first version that is rolled out later does not let the bot speak."""
    muted = machine.mute()
    assert (muted["workers"], machine.is_muted()) == (["worker-1"], True)

    machine.roll_out()
    assert machine.is_muted()
    assert machine.mute()["changed"] is False


def test_a_mute_reaches_workers_that_outlived_the_topic(machine: Machine) -> None:
    """Their epochs are above those of the new topic; the version that speaks is told along with it."""
    machine.roll_out()
    machine.roll_out()
    machine.topics._broker.create(ROLLOUT_TOPIC, 1)

    muted = machine.mute()
    assert (muted["workers"], muted["epoch"], machine.is_muted()) == (["worker-1"], 3, True)

    machine.mute(muted=False)
    assert (machine.is_muted(), machine.slots.route(BOT).loaded.model.version) == (False, "2")
    assert machine.slots.route(BOT).loaded is not None
    machine.roll_out()
    assert machine.slots.route(BOT).loaded.model.version == "3"


def test_a_mute_that_workers_take_for_stale_is_said_again(machine: Machine) -> None:
    """Published by an earlier release into a topic made anew: it stands there as muted, and nobody follows it."""
    machine.roll_out()
    machine.roll_out()
    machine.topics._broker.create(ROLLOUT_TOPIC, 1)
    stale = RolloutState(bot=BOT, epoch=1, champion=2, muted=True)
    machine.topics.send([Outgoing(topic=ROLLOUT_TOPIC, key=BOT.encode(), value=stale.to_json().encode())])
    machine.pause(0)
    assert not machine.is_muted()

    machine.mute()

    assert machine.is_muted()


def test_an_epoch_alone_confirms_no_mute(world: World) -> None:
    """The worker's own word on whether the bot is muted counts; from a worker that does not say, the epoch does."""
    world.tell(SPEAKING)
    honest = world.workers[0].report

    def contrary(state: RolloutState | None, at: datetime) -> WorkerState:
        said = honest(state, at)
        return replace(said, slots=tuple(replace(slot, muted=False) for slot in said.slots))

    world.workers[0].report = contrary  # type: ignore[method-assign]

    with pytest.raises(Unavailable, match="heard by worker-2; waiting for worker-1"):
        world.mute()


@pytest.mark.parametrize("hours", [1, -1])
def test_clocks_that_differ_by_an_hour_change_nothing(world: World, hours: int) -> None:
    """A worker is alive while its heartbeat changes, and gone when it does not; whatever time stands in it."""
    world.tell(SPEAKING)
    skew = timedelta(hours=hours)
    gone = Worker(name="worker-9").report(SPEAKING, world.time + skew)
    world.send(WORKER_TOPIC, "worker-9", gone.to_json())
    for worker in world.workers:
        world.send(WORKER_TOPIC, worker.name, worker.report(SPEAKING, world.time + skew).to_json())
        worker.report = lambda state, at, own=worker.report: own(state, at + skew)  # type: ignore[method-assign, misc]
    started = world.time

    assert world.mute()["workers"] == ["worker-1", "worker-2"]
    assert (world.time - started).total_seconds() == pytest.approx(15, abs=1.5), "as long as the dead one may yet live"


def test_a_clock_that_is_set_meanwhile_ends_no_wait(world: World) -> None:
    """Deadlines are counted in seconds that passed."""
    world.tell(SPEAKING)
    world.workers[1].deaf = True
    base = world.time

    def jump() -> None:
        world.workers[1].deaf = world.waits < 6

    world.meanwhile = jump
    result = mute(
        bot=BOT,
        topics=world.topics,
        settings=world.settings,
        progress=world.lines.append,
        clock=Clock(now=lambda: world.time + timedelta(hours=world.waits), monotonic=world.seconds, pause=world.pause),
    )
    assert (result["workers"], world.time > base) == (["worker-1", "worker-2"], True)


def test_the_commands_say_what_players_read(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """For a person: the bot's name and the notice; for a machine: the facts, and who asked in the state."""
    monkeypatch.setattr("kogpt2_chat.bootstrap.topics", lambda _settings: world.topics)
    monkeypatch.setattr(
        "kogpt2_chat.jobs.mute.Clock", lambda: Clock(now=lambda: world.time, monotonic=world.seconds, pause=world.pause)
    )

    said = CliRunner().invoke(app, ["mute", BOT, "--reason", "점검"]).stdout
    facts = json.loads(CliRunner().invoke(app, ["unmute", BOT, "--json"]).stdout)

    assert f"{BOT} (온유) is now muted, epoch 1" in said
    assert "지금은 잠시 쉬고 있어요" in said
    assert (facts["muted"], facts["epoch"]) == (False, 2)
    assert [(state.reason, state.by) for state in world.states()] == [
        ("점검", getpass.getuser()),
        ("not muted", getpass.getuser()),
    ]


def heartbeat(name: str, epoch: int, version: int, state: SlotState = "ready", *, muted: bool = False) -> WorkerState:
    slot = SlotReport(bot=BOT, version=version, state=state, muted=muted)
    return WorkerState(worker=name, epoch_by_bot={BOT: epoch}, slots=(slot,), at="2026-11-24T08:59:00+00:00")


@pytest.mark.parametrize(
    ("heartbeats", "champion"),
    [
        ([heartbeat("worker-1", 7, 0, "degraded"), heartbeat("worker-2", 7, 5)], 5),
        ([heartbeat("worker-1", 7, 5), heartbeat("worker-2", 7, 0, "loading")], 5),
        ([heartbeat("worker-1", 7, 4, "degraded"), heartbeat("worker-2", 7, 5)], 5),
        ([heartbeat("worker-1", 7, 0, "loading"), heartbeat("worker-2", 6, 4)], 4),
        ([heartbeat("worker-1", 6, 4), heartbeat("worker-2", 7, 5)], 5),
    ],
)
def test_a_mute_after_a_lost_topic_takes_no_version_from_anybody(
    world: World, heartbeats: list[WorkerState], champion: int
) -> None:
    """A worker that speaks says what the topic said; one that speaks nothing says nothing of it."""
    for state in heartbeats:
        world.send(WORKER_TOPIC, state.worker, state.to_json())

    world.mute()

    (told,) = world.states()
    assert (told.champion, told.epoch, told.muted) == (champion, 8, True)
    assert world.lines[0] == (
        f"{BOT}: the topic rollout_state was lost; going by what the workers speak, version {champion}. "
        "What was before it, and its digest, are not known any more"
    )


def test_a_mute_after_a_lost_topic_says_where_no_version_is_known(world: World) -> None:
    """Nobody speaks, so silence costs nobody a version; whoever lets the bot speak again has to roll one out."""
    world.send(WORKER_TOPIC, "worker-1", heartbeat("worker-1", 7, 0, "loading").to_json())

    world.mute()

    assert [(told.champion, told.epoch, told.muted) for told in world.states()] == [(None, 8, True)]
    assert f"`kogpt2-chat rollout {BOT}`" in world.lines[0]


def test_what_was_muted_when_the_topic_was_lost_stays_so(world: World) -> None:
    """Saying it again publishes it, under the epoch that is told."""
    for state in (heartbeat("worker-1", 7, 0, "degraded", muted=True), heartbeat("worker-2", 7, 5, muted=True)):
        world.send(WORKER_TOPIC, state.worker, state.to_json())

    result = world.mute()

    (told,) = world.states()
    assert (told.champion, told.epoch, told.muted) == (5, 8, True)
    assert (result["epoch"], result["changed"]) == (8, True)


class Survivor(Worker):
    """Remembers what it was told before the topic was lost, and takes a lower epoch for stale."""

    muted = False

    def report(self, state: RolloutState | None, at: datetime) -> WorkerState:
        if state is not None and state.epoch > self.epoch:
            self.epoch, self.muted = state.epoch, state.muted
        slot = SlotReport(bot=BOT, version=4, state="ready", muted=self.muted)
        return WorkerState(worker=self.name, epoch_by_bot={BOT: self.epoch}, slots=(slot,), at=at.isoformat())


def test_a_mute_reaches_workers_that_come_back_after_it_was_said(world: World) -> None:
    """A broker that lost its disk knows of no worker and no epoch; the first heartbeat says what is left of both."""
    world.workers = [Survivor(epoch=7)]

    result = world.mute(reason="이상한 답을 한다")

    first, last = world.states()
    assert (first.epoch, first.champion, first.muted) == (1, None, True)
    assert (last.epoch, last.champion, last.muted, last.reason) == (8, 4, True, "이상한 답을 한다")
    assert (result["epoch"], result["workers"]) == (8, ["worker-1"])
