"""The workers as a command sees them: which ones are alive, and when a wait ends."""

from collections.abc import Callable

import pytest

from kogpt2_chat import bootstrap
from kogpt2_chat.cli import status
from kogpt2_chat.domain.chat.topics import WORKER_TOPIC
from kogpt2_chat.domain.rollout.acknowledgements import Acknowledgements, version_acknowledgements
from kogpt2_chat.domain.rollout.states import HEARTBEAT_S, RolloutState, SlotReport, SlotState, WorkerState
from kogpt2_chat.errors import ChangeSuperseded
from kogpt2_chat.fleet.fleet import Fleet
from kogpt2_chat.settings import Rollout, Settings
from tests.fleet_harness import FleetHarness

BOT = "ChatbotA"
STATE = RolloutState(bot=BOT, epoch=2, champion=4)


class HeartbeatHarness(FleetHarness):
    """A fleet in which the test sends each heartbeat."""

    def send_heartbeat(self, name: str, epoch: int = 2, state: SlotState = "ready") -> None:
        slots = (SlotReport(bot=BOT, version=4, state=state, detail="왜냐하면"),)
        report = WorkerState(worker=name, epoch_by_bot={BOT: epoch}, slots=slots, at=self.time.isoformat())
        self.send(WORKER_TOPIC, name, report.to_json())

    @property
    def elapsed_s(self) -> float:
        return (self.time - FleetHarness.time).total_seconds()

    @property
    def fleet(self) -> Fleet:
        return Fleet(topics=self.topics, settings=self.settings, progress=self.lines.append, clock=self.clock)

    def wait(self, require: Callable[[RolloutState], None] = lambda _: None) -> tuple[Acknowledgements, RolloutState]:
        self.publish(STATE)
        return self.fleet.wait_for_workers(STATE, group=version_acknowledgements, require=require)


@pytest.fixture
def harness() -> HeartbeatHarness:
    return HeartbeatHarness(bot=BOT, workers=[], settings=Settings(rollout=Rollout(ready_timeout_s=20, poll_s=1)))


def test_a_worker_whose_heartbeat_arrives_is_alive(harness: HeartbeatHarness) -> None:
    """The record of a crashed worker stays, so one heartbeat interval must pass before it counts as gone."""
    harness.send_heartbeat("worker-1")
    harness.send_heartbeat("crashed")
    harness.on_wait = lambda: harness.send_heartbeat("worker-1")
    assert [worker.worker for worker in harness.fleet.live_workers()] == ["worker-1"]
    assert harness.elapsed_s == HEARTBEAT_S + 1


def test_live_workers_are_known_as_soon_as_all_have_reported(harness: HeartbeatHarness) -> None:
    """If each worker of the topic has sent a new heartbeat, nothing else is waited for."""
    harness.send_heartbeat("worker-1")
    harness.on_wait = lambda: harness.send_heartbeat("worker-1")
    assert [worker.worker for worker in harness.fleet.live_workers()] == ["worker-1"]
    assert harness.elapsed_s == 1
    harness.lose_topics()
    assert harness.fleet.live_workers() == ()
    assert harness.elapsed_s == 1


def test_an_unreadable_report_is_skipped(harness: HeartbeatHarness) -> None:
    """Any client may have written it."""
    harness.send_heartbeat("worker-1")
    harness.send(WORKER_TOPIC, "worker-2", "{}")
    assert [worker.worker for worker in harness.fleet.worker_states()] == ["worker-1"]


def test_a_wait_ends_when_every_worker_is_ready(harness: HeartbeatHarness) -> None:
    """Each change is reported once."""
    harness.send_heartbeat("worker-1", epoch=1)
    harness.on_wait = lambda: harness.send_heartbeat("worker-1", epoch=2 if harness.elapsed_s >= 3 else 1)
    acknowledgements, state = harness.wait()
    assert (acknowledgements.complete, state, harness.elapsed_s) == (True, STATE, 3)
    assert harness.lines == [f"{BOT}: waiting for worker-1", f"{BOT}: ready worker-1"]


def test_a_wait_ends_when_a_worker_is_degraded(harness: HeartbeatHarness) -> None:
    """The rollout has failed, even if the other worker is still loading."""
    harness.send_heartbeat("worker-1", epoch=1)
    harness.send_heartbeat("worker-2", epoch=1)
    harness.on_wait = lambda: harness.send_heartbeat("worker-2", state="degraded")
    acknowledgements, _ = harness.wait()
    assert (acknowledgements.degraded, acknowledgements.waiting, harness.elapsed_s) == (("worker-2",), ("worker-1",), 1)


def test_a_wait_ends_after_the_timeout(harness: HeartbeatHarness) -> None:
    """The result lists the workers that have not acknowledged."""
    harness.on_wait = lambda: harness.send_heartbeat("worker-1", epoch=1)
    acknowledgements, _ = harness.wait()
    assert (acknowledgements.complete, acknowledgements.waiting, harness.elapsed_s) == (False, ("worker-1",), 20)


def test_a_wait_ends_when_another_state_is_followed(harness: HeartbeatHarness) -> None:
    """An error that the caller raises about the new state ends the wait at the next poll."""

    def publish_another() -> None:
        harness.publish(RolloutState(bot=BOT, epoch=3, champion=9))

    def require(state: RolloutState) -> None:
        if state.champion != STATE.champion:
            raise ChangeSuperseded(f"version {state.champion}")

    harness.on_wait = publish_another
    with pytest.raises(ChangeSuperseded, match="version 9"):
        harness.wait(require)
    assert harness.elapsed_s == 1


def test_a_state_that_workers_would_ignore_is_published_again(harness: HeartbeatHarness) -> None:
    """A worker that was offline may remember a higher epoch. The returned state has the epoch published last."""
    harness.on_wait = lambda: harness.send_heartbeat("worker-1", epoch=max(7, _last_epoch(harness)))
    acknowledgements, state = harness.wait()
    assert (acknowledgements.ready, state.epoch, state.champion) == (("worker-1",), 8, 4)


def _last_epoch(harness: HeartbeatHarness) -> int:
    state = harness.published()
    assert state is not None
    return state.epoch


def test_status_shows_the_worst_slot_of_the_live_workers(
    harness: HeartbeatHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It uses ``Fleet.live_workers``, as a rollout does."""
    monkeypatch.setattr(bootstrap, "topics", lambda _: harness.topics)
    harness.send_heartbeat("worker-1")
    harness.send_heartbeat("worker-2")
    live = harness.fleet.worker_states()
    live[1] = WorkerState(
        worker="worker-2",
        epoch_by_bot={BOT: 3},
        slots=(SlotReport(bot=BOT, version=3, state="degraded", detail="해시가 다름"),),
        at=live[1].at,
    )
    monkeypatch.setattr(Fleet, "live_workers", lambda _: tuple(live))
    found = {row.bot: row for row in status.bots(Settings())}
    assert found[BOT] == status.BotStatus(bot=BOT, version=3, epoch=3, state="degraded", detail="해시가 다름")
    assert found["ChatbotB"].state == "no live worker"
