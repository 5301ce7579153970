"""Mute a bot: what is published, which workers are waited for, and what happens if one does not answer."""

import getpass
import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kogpt2_chat.cli import app
from kogpt2_chat.cli.operate import mute_text
from kogpt2_chat.domain.chat.topics import ROLLOUT_TOPIC, WORKER_TOPIC
from kogpt2_chat.domain.rollout.recovery import FROM_WORKERS
from kogpt2_chat.domain.rollout.states import RolloutState, SlotReport, SlotState, WorkerState
from kogpt2_chat.errors import AlreadyRunning, Superseded, Unavailable
from kogpt2_chat.fleet.fleet import Clock
from kogpt2_chat.jobs.mute import MuteResult, mute
from kogpt2_chat.jobs.rollout import rollout
from kogpt2_chat.ports import Outgoing
from kogpt2_chat.settings import Rollout, Settings
from tests.fleet_harness import FleetHarness, RacingTopics, SimulatedWorker, Survivor
from tests.one_worker import OneWorker

BOT = "ChatbotB"
ROLLED_OUT = RolloutState(
    bot=BOT, epoch=7, champion=4, previous=3, candidate=5, phase="canary", percent=10, reason="rolled out", by="rollout"
)


def worker(name: str) -> SimulatedWorker:
    return SimulatedWorker(bot=BOT, name=name)


@dataclass
class World(FleetHarness):
    """Everything that a mute touches."""

    bot: str = BOT
    workers: list[SimulatedWorker] = field(default_factory=lambda: [worker("worker-1"), worker("worker-2")])

    def mute(self, *, muted: bool = True, reason: str = "") -> MuteResult:
        return mute(
            bot=BOT,
            topics=self.topics,
            settings=self.settings,
            progress=self.lines.append,
            muted=muted,
            reason=reason,
            by="지기",
            clock=self.clock,
        )


@pytest.fixture
def world() -> World:
    return World()


def test_only_muted_changes(world: World) -> None:
    """Champion, previous and phase stay as the rollout set them; epoch, reason, by and at are new."""
    world.publish(ROLLED_OUT)

    result = world.mute(reason="이상한 답을 한다")

    assert world.states()[1:] == [
        replace(
            ROLLED_OUT,
            epoch=8,
            muted=True,
            reason="이상한 답을 한다",
            by="지기",
            at="2026-11-24T09:00:00.000+00:00",
        )
    ]
    workers = ("worker-1", "worker-2")
    assert result == MuteResult(bot=BOT, muted=True, epoch=8, changed=True, workers=workers)


def test_unmute_lets_the_same_version_answer_again(world: World) -> None:
    """After mute and unmute the state differs only in epoch and signature."""
    world.publish(ROLLED_OUT)
    world.mute()

    result = world.mute(muted=False)

    last = world.states()[-1]
    assert replace(last, epoch=7, reason=ROLLED_OUT.reason, by=ROLLED_OUT.by, at="") == ROLLED_OUT
    assert (last.reason, result.muted, result.epoch, result.changed) == ("not muted", False, 9, True)


@pytest.mark.parametrize("muted", [True, False])
def test_a_repeated_command_publishes_once(world: World, *, muted: bool) -> None:
    """The second call reports that nothing changed, with the same epoch."""
    world.publish(replace(ROLLED_OUT, muted=not muted))
    first = world.mute(muted=muted)

    second = world.mute(muted=muted)

    assert len(world.states()) == 2
    assert (first.changed, second.changed) == (True, False)
    assert (second.epoch, second.workers) == (8, ("worker-1", "worker-2"))
    assert any("already" in line for line in world.lines)
    assert "is already" in mute_text(second)


def test_it_waits_until_the_last_live_worker_has_acted(world: World) -> None:
    """One acknowledgement is not enough; progress shows who is waited for once, not at each poll."""
    world.publish(ROLLED_OUT)
    world.workers[1].stuck = True

    def listen() -> None:
        world.workers[1].stuck = world.waits < 6

    world.meanwhile = listen

    result = world.mute()

    assert world.waits == 6
    assert result.workers == ("worker-1", "worker-2")
    assert world.lines == [
        f"{BOT}: is now muted (epoch 8)",
        f"{BOT}: no worker is alive",
        f"{BOT}: acknowledged by worker-1; waiting for worker-2",
        f"{BOT}: acknowledged by worker-1, worker-2",
    ]


def test_a_worker_that_never_answers_is_named_and_the_mute_stays(world: World) -> None:
    """The error does not undo the mute; a second call publishes nothing."""
    world.publish(ROLLED_OUT)
    world.workers[1].stuck = True
    started = world.time

    with pytest.raises(Unavailable, match=r"epoch 8.*waiting for worker-2.*stays published"):
        world.mute()

    assert (world.time - started).total_seconds() == pytest.approx(world.settings.rollout.ready_timeout_s, abs=1)
    assert [state.muted for state in world.states()] == [False, True]
    world.workers[1].stuck = False
    again = world.mute()
    assert (again.epoch, again.changed, len(again.workers)) == (8, False, 2)
    assert len(world.states()) == 2


def test_a_mute_fails_if_no_worker_is_alive(world: World) -> None:
    """Neither the old heartbeat of a dead worker nor an unreadable one acknowledges it."""
    world.publish(ROLLED_OUT)
    ghost = worker("worker-9").report(replace(ROLLED_OUT, epoch=99), world.time - timedelta(minutes=5))
    world.send(WORKER_TOPIC, "worker-9", ghost.to_json())
    world.send(WORKER_TOPIC, "worker-8", "이것은 JSON이 아니다")
    world.workers.clear()

    with pytest.raises(Unavailable, match="no worker is alive"):
        world.mute()

    assert world.states()[-1].muted


def test_a_degraded_worker_acknowledges_too(world: World) -> None:
    """A bot whose version did not load can still be muted: a notice needs no model."""
    world.publish(ROLLED_OUT)
    world.workers[0].broken = {4}

    assert world.mute().workers == ("worker-1", "worker-2")


def test_a_bot_that_was_never_rolled_out_is_muted_too(world: World) -> None:
    """Workers act on it as for any other bot; later epochs continue from this one."""
    result = world.mute()

    (state,) = world.states()
    assert (state.epoch, state.champion, state.muted, state.by) == (1, None, True, "지기")
    assert (result.epoch, result.workers) == (1, ("worker-1", "worker-2"))
    assert world.mute(muted=False).epoch == 2


def test_unmuting_an_unpublished_bot_publishes_nothing(world: World) -> None:
    """It is not muted, so nothing changes."""
    result = world.mute(muted=False)

    assert world.states() == []
    assert (result.epoch, result.changed) == (0, False)
    assert "nothing was ever published" in mute_text(result)


def test_states_of_other_bots_are_ignored(world: World) -> None:
    """Bots share the topic; each has its own epochs and its own mute."""
    other = replace(ROLLED_OUT, bot="ChatbotC", epoch=40, muted=True)
    world.send(ROLLOUT_TOPIC, "ChatbotC", other.to_json())
    world.send(ROLLOUT_TOPIC, BOT, "읽을 수 없다")
    world.publish(ROLLED_OUT)
    world.workers.clear()

    with pytest.raises(Unavailable, match="epoch 8"):
        world.mute()


def racing(world: World, *champions: int) -> None:
    world.publish(ROLLED_OUT)
    rivals = [replace(ROLLED_OUT, epoch=8 + turn, champion=champion) for turn, champion in enumerate(champions)]
    world.topics = RacingTopics(world.topics, rivals)


def test_a_mute_that_lost_a_race_is_published_again(world: World) -> None:
    """A rollout took the epoch first: the mute is published after it, and keeps its champion."""
    racing(world, 5)

    result = world.mute()

    last = world.states()[-1]
    assert (last.epoch, last.champion, last.muted) == (9, 5, True)
    assert (result.epoch, result.changed) == (9, True)


def test_repeated_races_end_with_a_conflict(world: World) -> None:
    """The job does not compete for epochs forever."""
    racing(world, 5, 6, 7, 8)

    with pytest.raises(AlreadyRunning, match="another rollout of this bot is in progress"):
        world.mute()


def test_an_opposite_publication_in_the_meantime_is_a_conflict(world: World) -> None:
    """A mute undone before it was acknowledged is not a success, and is not published again."""
    world.publish(ROLLED_OUT)

    def unmute() -> None:
        if world.waits == 1:
            world.publish(replace(ROLLED_OUT, epoch=9, by="하늘"))

    world.meanwhile = unmute

    with pytest.raises(Superseded, match=r"epoch 8 \(muted\) was superseded by epoch 9 \(by '하늘'\)"):
        world.mute()

    assert len(world.states()) == 3


class Machine(OneWorker):
    """A real worker that acts each time the job waits."""

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

    def mute(self, *, muted: bool = True) -> MuteResult:
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


def test_a_real_worker_acknowledges_a_mute_once_it_has_acted(machine: Machine) -> None:
    """Both sides of `rollout_state` agree; neither mute nor unmute loads a model."""
    machine.roll_out()

    muted = machine.mute()
    assert (muted.workers, machine.is_muted()) == (("worker-1",), True)

    spoken = machine.mute(muted=False)
    assert (spoken.workers, machine.is_muted()) == (("worker-1",), False)
    assert machine.slots.route(BOT).loaded.model.version == "1"


def test_a_real_worker_acts_on_the_mute_of_a_bot_without_version(machine: Machine) -> None:
    """The first version, rolled out later, does not unmute the bot."""
    muted = machine.mute()
    assert (muted.workers, machine.is_muted()) == (("worker-1",), True)

    machine.roll_out()
    assert machine.is_muted()
    assert machine.mute().changed is False


def test_a_mute_reaches_workers_that_survived_the_topic(machine: Machine) -> None:
    """Their epochs are above those of the new topic; the state keeps the version that they serve."""
    machine.roll_out()
    machine.roll_out()
    machine.topics._broker.create(ROLLOUT_TOPIC, 1)

    muted = machine.mute()
    assert (muted.workers, muted.epoch, machine.is_muted()) == (("worker-1",), 3, True)

    machine.mute(muted=False)
    assert (machine.is_muted(), machine.slots.route(BOT).loaded.model.version) == (False, "2")
    assert machine.slots.route(BOT).loaded is not None
    machine.roll_out()
    assert machine.slots.route(BOT).loaded.model.version == "3"


def test_a_mute_that_is_stale_for_workers_is_published_again(machine: Machine) -> None:
    """An earlier release published it into a recreated topic with an epoch that workers ignore."""
    machine.roll_out()
    machine.roll_out()
    machine.topics._broker.create(ROLLOUT_TOPIC, 1)
    stale = RolloutState(bot=BOT, epoch=1, champion=2, muted=True)
    machine.topics.send([Outgoing(topic=ROLLOUT_TOPIC, key=BOT.encode(), value=stale.to_json().encode())])
    machine.pause(0)
    assert not machine.is_muted()

    machine.mute()

    assert machine.is_muted()


def test_an_epoch_alone_does_not_acknowledge_a_mute(world: World) -> None:
    """The mute that a worker reports counts; its epoch alone counts only if it reports none."""
    world.publish(ROLLED_OUT)
    honest = world.workers[0].report

    def contrary(state: RolloutState | None, at: datetime) -> WorkerState:
        said = honest(state, at)
        return replace(said, slots=tuple(replace(slot, muted=False) for slot in said.slots))

    world.workers[0].report = contrary  # type: ignore[method-assign]

    with pytest.raises(Unavailable, match="acknowledged by worker-2; waiting for worker-1"):
        world.mute()


@pytest.mark.parametrize("hours", [1, -1])
def test_clock_skew_does_not_matter(world: World, hours: int) -> None:
    """A worker is alive while its heartbeat changes, whatever time the heartbeat contains."""
    world.publish(ROLLED_OUT)
    skew = timedelta(hours=hours)
    gone = worker("worker-9").report(ROLLED_OUT, world.time + skew)
    world.send(WORKER_TOPIC, "worker-9", gone.to_json())
    for one in world.workers:
        world.send(WORKER_TOPIC, one.name, one.report(ROLLED_OUT, world.time + skew).to_json())
        one.report = lambda state, at, own=one.report: own(state, at + skew)  # type: ignore[method-assign, misc]
    started = world.time

    assert world.mute().workers == ("worker-1", "worker-2")
    assert (world.time - started).total_seconds() == pytest.approx(15, abs=1.5), "as long as the dead one may yet live"


def test_setting_the_clock_does_not_end_the_wait(world: World) -> None:
    """Deadlines use monotonic seconds."""
    world.publish(ROLLED_OUT)
    world.workers[1].stuck = True
    base = world.time

    def jump() -> None:
        world.workers[1].stuck = world.waits < 6

    world.meanwhile = jump
    result = mute(
        bot=BOT,
        topics=world.topics,
        settings=world.settings,
        progress=world.lines.append,
        clock=Clock(now=lambda: world.time + timedelta(hours=world.waits), monotonic=world.seconds, pause=world.pause),
    )
    assert (result.workers, world.time > base) == (("worker-1", "worker-2"), True)


def test_the_commands_show_what_players_receive(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """As text: the bot's name and the notice; as JSON: the facts; the state records who asked."""
    monkeypatch.setattr("kogpt2_chat.bootstrap.topics", lambda _settings: world.topics)
    monkeypatch.setattr("kogpt2_chat.jobs.mute.Clock", lambda: world.clock)

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
def test_a_mute_after_a_lost_topic_keeps_the_served_version(
    world: World, heartbeats: list[WorkerState], champion: int
) -> None:
    """The champion is taken from a worker that serves a version, not from an empty slot."""
    for state in heartbeats:
        world.send(WORKER_TOPIC, state.worker, state.to_json())

    world.mute()

    (published,) = world.states()
    assert (published.champion, published.epoch, published.muted) == (champion, 8, True)
    assert world.lines[0] == (
        f"{BOT}: the topic rollout_state was lost; its state is reconstructed from worker heartbeats: "
        f"version {champion}. Its previous version and its digest are unknown"
    )


def test_only_a_reconstructed_state_is_called_so(world: World) -> None:
    """A published state may have any reason, also the one that a reconstructed state was published with."""
    state = replace(ROLLED_OUT, reason=FROM_WORKERS)
    for one in (state, replace(state, champion=5)):
        world.send(ROLLOUT_TOPIC, BOT, one.to_json())

    world.mute()

    assert world.states()[-1].champion == state.champion
    assert not any("reconstructed" in line for line in world.lines)


def test_a_mute_after_a_lost_topic_reports_an_unknown_version(world: World) -> None:
    """No worker serves a version, so the operator has to roll one out after the mute."""
    world.send(WORKER_TOPIC, "worker-1", heartbeat("worker-1", 7, 0, "loading").to_json())

    world.mute()

    assert [(published.champion, published.epoch, published.muted) for published in world.states()] == [(None, 8, True)]
    assert f"`kogpt2-chat rollout {BOT}`" in world.lines[0]


def test_a_bot_muted_before_the_topic_was_lost_stays_muted(world: World) -> None:
    """Muting it again publishes it, with a higher epoch."""
    for state in (heartbeat("worker-1", 7, 0, "degraded", muted=True), heartbeat("worker-2", 7, 5, muted=True)):
        world.send(WORKER_TOPIC, state.worker, state.to_json())

    result = world.mute()

    (published,) = world.states()
    assert (published.champion, published.epoch, published.muted) == (5, 8, True)
    assert (result.epoch, result.changed) == (8, True)


def test_a_mute_reaches_workers_that_return_after_its_publication(world: World) -> None:
    """The broker lost its disk: the first heartbeat shows the epoch and the version to continue from."""
    world.workers = [Survivor(bot=BOT, serving=4, epoch=7)]

    result = world.mute(reason="이상한 답을 한다")

    first, last = world.states()
    assert (first.epoch, first.champion, first.muted) == (1, None, True)
    assert (last.epoch, last.champion, last.muted, last.reason) == (8, 4, True, "이상한 답을 한다")
    assert (result.epoch, result.workers) == (8, ("worker-1",))
