"""Mute and unmute a bot: what is published, which workers are waited for, and what happens after failures."""

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
from kogpt2_chat.errors import AlreadyRunning, ChangeSuperseded, Unavailable
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
class MuteHarness(FleetHarness):
    """The topics and the simulated workers of a mute."""

    bot: str = BOT
    workers: list[SimulatedWorker] = field(default_factory=lambda: [worker("worker-1"), worker("worker-2")])

    def let_the_last_worker_act_after(self, waits: int) -> None:
        """Keep the last worker from acting on states for some waits."""
        self.workers[-1].stuck = True

        def resume() -> None:
            self.workers[-1].stuck = self.waits < waits

        self.on_wait = resume

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
def harness() -> MuteHarness:
    return MuteHarness()


def test_only_muted_changes(harness: MuteHarness) -> None:
    """A mute keeps champion, previous and phase. The fields epoch, reason, by and at are new."""
    harness.publish(ROLLED_OUT)

    result = harness.mute(reason="이상한 답을 한다")

    assert harness.states()[1:] == [
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


def test_unmute_lets_the_same_version_answer_again(harness: MuteHarness) -> None:
    """After a mute and an unmute, only epoch, reason, by and at differ."""
    harness.publish(ROLLED_OUT)
    harness.mute()

    result = harness.mute(muted=False)

    last = harness.states()[-1]
    assert replace(last, epoch=7, reason=ROLLED_OUT.reason, by=ROLLED_OUT.by, at="") == ROLLED_OUT
    assert (last.reason, result.muted, result.epoch, result.changed) == ("not muted", False, 9, True)


@pytest.mark.parametrize("muted", [True, False])
def test_a_repeated_command_publishes_once(harness: MuteHarness, *, muted: bool) -> None:
    """The second call reports the same epoch, and that nothing changed."""
    harness.publish(replace(ROLLED_OUT, muted=not muted))
    first = harness.mute(muted=muted)

    second = harness.mute(muted=muted)

    assert len(harness.states()) == 2
    assert (first.changed, second.changed) == (True, False)
    assert (second.epoch, second.workers) == (8, ("worker-1", "worker-2"))
    assert any("already" in line for line in harness.lines)
    assert "is already" in mute_text(second)


def test_a_mute_waits_until_the_last_live_worker_has_acted(harness: MuteHarness) -> None:
    """One acknowledgement is not enough. The progress has one line per change, not one per poll."""
    harness.publish(ROLLED_OUT)
    harness.let_the_last_worker_act_after(6)

    result = harness.mute()

    assert harness.waits == 6
    assert result.workers == ("worker-1", "worker-2")
    assert harness.lines == [
        f"{BOT}: is now muted (epoch 8)",
        f"{BOT}: no worker is alive",
        f"{BOT}: acknowledged by worker-1; waiting for worker-2",
        f"{BOT}: acknowledged by worker-1, worker-2",
    ]


def test_a_worker_that_does_not_acknowledge_is_named_and_the_mute_stays(harness: MuteHarness) -> None:
    """The error does not undo the mute, and a second call publishes nothing."""
    harness.publish(ROLLED_OUT)
    harness.workers[1].stuck = True
    started = harness.time

    with pytest.raises(Unavailable, match=r"epoch 8.*waiting for worker-2.*stays published"):
        harness.mute()

    assert (harness.time - started).total_seconds() == pytest.approx(harness.settings.rollout.ready_timeout_s, abs=1)
    assert [state.muted for state in harness.states()] == [False, True]
    harness.workers[1].stuck = False
    again = harness.mute()
    assert (again.epoch, again.changed, len(again.workers)) == (8, False, 2)
    assert len(harness.states()) == 2


def test_a_mute_fails_if_no_worker_is_alive(harness: MuteHarness) -> None:
    """Neither the old heartbeat of a dead worker nor an unreadable heartbeat counts as an acknowledgement."""
    harness.publish(ROLLED_OUT)
    ghost = worker("worker-9").report(replace(ROLLED_OUT, epoch=99), harness.time - timedelta(minutes=5))
    harness.send(WORKER_TOPIC, "worker-9", ghost.to_json())
    harness.send(WORKER_TOPIC, "worker-8", "이것은 JSON이 아니다")
    harness.workers.clear()

    with pytest.raises(Unavailable, match="no worker is alive"):
        harness.mute()

    assert harness.states()[-1].muted


def test_a_degraded_worker_acknowledges_too(harness: MuteHarness) -> None:
    """A bot whose version did not load can be muted, because a notice needs no model."""
    harness.publish(ROLLED_OUT)
    harness.workers[0].broken = {4}

    assert harness.mute().workers == ("worker-1", "worker-2")


def test_a_bot_that_was_never_rolled_out_is_muted_too(harness: MuteHarness) -> None:
    """Workers act on it as for any other bot. Later epochs continue from this one."""
    result = harness.mute()

    (state,) = harness.states()
    assert (state.epoch, state.champion, state.muted, state.by) == (1, None, True, "지기")
    assert (result.epoch, result.workers) == (1, ("worker-1", "worker-2"))
    assert harness.mute(muted=False).epoch == 2


def test_unmuting_an_unpublished_bot_publishes_nothing(harness: MuteHarness) -> None:
    """It is not muted, so nothing changes."""
    result = harness.mute(muted=False)

    assert harness.states() == []
    assert (result.epoch, result.changed) == (0, False)
    assert "nothing was ever published" in mute_text(result)


def test_states_of_other_bots_are_ignored(harness: MuteHarness) -> None:
    """Bots share the topic, but each has its own epochs and its own mute."""
    other = replace(ROLLED_OUT, bot="ChatbotC", epoch=40, muted=True)
    harness.send(ROLLOUT_TOPIC, "ChatbotC", other.to_json())
    harness.send(ROLLOUT_TOPIC, BOT, "읽을 수 없다")
    harness.publish(ROLLED_OUT)
    harness.workers.clear()

    with pytest.raises(Unavailable, match="epoch 8"):
        harness.mute()


def racing(harness: MuteHarness, *champions: int) -> None:
    """Let a rollout publish these champions, each just before our state with the same epoch."""
    harness.publish(ROLLED_OUT)
    rivals = [replace(ROLLED_OUT, epoch=epoch, champion=champion) for epoch, champion in enumerate(champions, 8)]
    harness.topics = RacingTopics(harness.topics, rivals)


def test_a_mute_that_lost_a_race_is_published_again(harness: MuteHarness) -> None:
    """A rollout used the epoch first. The mute is published with the next epoch, and keeps the new champion."""
    racing(harness, 5)

    result = harness.mute()

    last = harness.states()[-1]
    assert (last.epoch, last.champion, last.muted) == (9, 5, True)
    assert (result.epoch, result.changed) == (9, True)


def test_repeated_races_end_with_a_conflict(harness: MuteHarness) -> None:
    """The job gives up after some attempts."""
    racing(harness, 5, 6, 7, 8)

    with pytest.raises(AlreadyRunning, match="another rollout of this bot is in progress"):
        harness.mute()


def test_a_mute_that_another_command_undoes_is_superseded(harness: MuteHarness) -> None:
    """If it is undone before it was acknowledged, the call fails, and the mute is not published again."""
    harness.publish(ROLLED_OUT)

    def unmute() -> None:
        if harness.waits == 1:
            harness.publish(replace(ROLLED_OUT, epoch=9, by="하늘"))

    harness.on_wait = unmute

    with pytest.raises(ChangeSuperseded, match=r"epoch 8 \(muted\) was superseded by epoch 9 \(by '하늘'\)"):
        harness.mute()

    assert len(harness.states()) == 3


class MutedWorker(OneWorker):
    """A real rollout follower that acts each time the job waits."""

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
def real_worker(tmp_path: Path) -> Iterator[MutedWorker]:
    made = MutedWorker(tmp_path)
    yield made
    made.follower.stop()


def test_a_real_worker_acknowledges_a_mute_once_it_has_acted(real_worker: MutedWorker) -> None:
    """Neither mute nor unmute loads a model."""
    real_worker.roll_out()
    loaded = real_worker.slots.route(BOT).loaded

    muted = real_worker.mute()
    assert (muted.workers, real_worker.is_muted()) == (("worker-1",), True)

    unmuted = real_worker.mute(muted=False)
    assert (unmuted.workers, real_worker.is_muted()) == (("worker-1",), False)
    assert loaded is not None
    assert real_worker.slots.route(BOT).loaded is loaded


def test_a_real_worker_acts_on_the_mute_of_a_bot_without_a_version(real_worker: MutedWorker) -> None:
    """A first version that is rolled out later does not unmute the bot."""
    muted = real_worker.mute()
    assert (muted.workers, real_worker.is_muted()) == (("worker-1",), True)

    real_worker.roll_out()
    assert real_worker.is_muted()
    assert real_worker.mute().changed is False


def test_a_mute_reaches_workers_that_survived_the_topic(real_worker: MutedWorker) -> None:
    """Their epoch is higher than those of the new topic. The state keeps the version that they serve."""
    real_worker.roll_out()
    real_worker.roll_out()
    real_worker.topics._broker.create(ROLLOUT_TOPIC, 1)

    muted = real_worker.mute()
    assert (muted.workers, muted.epoch, real_worker.is_muted()) == (("worker-1",), 3, True)

    real_worker.mute(muted=False)
    assert (real_worker.is_muted(), real_worker.slots.route(BOT).loaded.model.label) == (False, "2")
    real_worker.roll_out()
    assert real_worker.slots.route(BOT).loaded.model.label == "3"


def test_a_mute_that_is_stale_for_workers_is_published_again(real_worker: MutedWorker) -> None:
    """An earlier release published it into a recreated topic, with an epoch that workers ignore."""
    real_worker.roll_out()
    real_worker.roll_out()
    real_worker.topics._broker.create(ROLLOUT_TOPIC, 1)
    stale = RolloutState(bot=BOT, epoch=1, champion=2, muted=True)
    real_worker.topics.send([Outgoing(topic=ROLLOUT_TOPIC, key=BOT.encode(), value=stale.to_json().encode())])
    real_worker.pause(0)
    assert not real_worker.is_muted()

    real_worker.mute()

    assert real_worker.is_muted()


def test_an_epoch_alone_does_not_acknowledge_a_mute(harness: MuteHarness) -> None:
    """The reported mute counts. The epoch alone counts only for workers that do not report mutes."""
    harness.publish(ROLLED_OUT)
    report = harness.workers[0].report

    def report_as_unmuted(state: RolloutState | None, at: datetime) -> WorkerState:
        heartbeat = report(state, at)
        return replace(heartbeat, slots=tuple(replace(slot, muted=False) for slot in heartbeat.slots))

    harness.workers[0].report = report_as_unmuted  # type: ignore[method-assign]

    with pytest.raises(Unavailable, match="acknowledged by worker-2; waiting for worker-1"):
        harness.mute()


@pytest.mark.parametrize("hours", [1, -1])
def test_clock_skew_does_not_matter(harness: MuteHarness, hours: int) -> None:
    """A worker is alive while its heartbeat changes, whatever time the heartbeat contains."""
    harness.publish(ROLLED_OUT)
    skew = timedelta(hours=hours)
    gone = worker("worker-9").report(ROLLED_OUT, harness.time + skew)
    harness.send(WORKER_TOPIC, "worker-9", gone.to_json())
    for one in harness.workers:
        harness.send(WORKER_TOPIC, one.name, one.report(ROLLED_OUT, harness.time + skew).to_json())
        one.report = lambda state, at, own=one.report: own(state, at + skew)  # type: ignore[method-assign, misc]
    started = harness.time

    assert harness.mute().workers == ("worker-1", "worker-2")
    assert (harness.time - started).total_seconds() == pytest.approx(15, abs=1.5), (
        "the dead worker is waited for until it counts as gone"
    )


def test_setting_the_clock_does_not_end_the_wait(harness: MuteHarness) -> None:
    """Deadlines use monotonic time."""
    harness.publish(ROLLED_OUT)
    harness.let_the_last_worker_act_after(6)
    result = mute(
        bot=BOT,
        topics=harness.topics,
        settings=harness.settings,
        progress=harness.lines.append,
        clock=Clock(
            now=lambda: harness.time + timedelta(hours=harness.waits), monotonic=harness.seconds, pause=harness.pause
        ),
    )
    assert (result.workers, harness.waits) == (("worker-1", "worker-2"), 6)


def test_the_commands_show_what_players_receive(harness: MuteHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """The text has the bot's name and the notice, and the JSON has the result. The state records the user."""
    monkeypatch.setattr("kogpt2_chat.bootstrap.topics", lambda _settings: harness.topics)
    monkeypatch.setattr("kogpt2_chat.jobs.mute.Clock", lambda: harness.clock)

    text = CliRunner().invoke(app, ["mute", BOT, "--reason", "점검"]).stdout
    result = json.loads(CliRunner().invoke(app, ["unmute", BOT, "--json"]).stdout)

    assert f"{BOT} (온유) is now muted, epoch 1" in text
    assert "지금은 잠시 쉬고 있어요" in text
    assert (result["muted"], result["epoch"]) == (False, 2)
    assert [(state.reason, state.by) for state in harness.states()] == [
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
    harness: MuteHarness, heartbeats: list[WorkerState], champion: int
) -> None:
    """The champion is the version that a worker serves. Empty slots are ignored."""
    for state in heartbeats:
        harness.send(WORKER_TOPIC, state.worker, state.to_json())

    harness.mute()

    (published,) = harness.states()
    assert (published.champion, published.epoch, published.muted) == (champion, 8, True)
    assert harness.lines[0] == (
        f"{BOT}: the topic rollout_state was lost; its state is reconstructed from worker heartbeats: "
        f"version {champion}. Its previous version and its digest are unknown"
    )


def test_only_a_reconstructed_state_is_reported_as_reconstructed(harness: MuteHarness) -> None:
    """The reason of a published state does not matter, even if it is that of a reconstructed state."""
    state = replace(ROLLED_OUT, reason=FROM_WORKERS)
    for published in (state, replace(state, champion=5)):
        harness.send(ROLLOUT_TOPIC, BOT, published.to_json())

    harness.mute()

    assert harness.states()[-1].champion == state.champion
    assert not any("reconstructed" in line for line in harness.lines)


def test_a_mute_after_a_lost_topic_reports_that_no_worker_serves_a_version(harness: MuteHarness) -> None:
    """The message names the command that rolls one out."""
    harness.send(WORKER_TOPIC, "worker-1", heartbeat("worker-1", 7, 0, "loading").to_json())

    harness.mute()

    assert [(published.champion, published.epoch, published.muted) for published in harness.states()] == [
        (None, 8, True)
    ]
    assert f"`kogpt2-chat rollout {BOT}`" in harness.lines[0]


def test_a_bot_muted_before_the_topic_was_lost_stays_muted(harness: MuteHarness) -> None:
    """Another mute publishes this state again, with a higher epoch."""
    for state in (heartbeat("worker-1", 7, 0, "degraded", muted=True), heartbeat("worker-2", 7, 5, muted=True)):
        harness.send(WORKER_TOPIC, state.worker, state.to_json())

    result = harness.mute()

    (published,) = harness.states()
    assert (published.champion, published.epoch, published.muted) == (5, 8, True)
    assert (result.epoch, result.changed) == (8, True)


def test_a_mute_reaches_workers_that_return_after_its_publication(harness: MuteHarness) -> None:
    """The broker lost its disk. The epoch and the version continue from those of the first heartbeat."""
    harness.workers = [Survivor(bot=BOT, serving=4, epoch=7)]

    result = harness.mute(reason="이상한 답을 한다")

    first, last = harness.states()
    assert (first.epoch, first.champion, first.muted) == (1, None, True)
    assert (last.epoch, last.champion, last.muted, last.reason) == (8, 4, True, "이상한 답을 한다")
    assert (result.epoch, result.workers) == (8, ("worker-1",))
