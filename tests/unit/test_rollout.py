"""Decisions of a rollout: which state is newer, which workers are alive, and whether all serve the version."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from kogpt2_chat.domain.rollout.acknowledgements import mute_acknowledgements, version_acknowledgements
from kogpt2_chat.domain.rollout.liveness import LIVE_FOR_S, LivenessReport, LivenessTracker
from kogpt2_chat.domain.rollout.states import (
    RolloutState,
    SlotReport,
    WorkerState,
    is_newer,
    next_epoch,
)
from kogpt2_chat.errors import InvalidMessage

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


ROLLED_OUT = RolloutState(bot="ChatbotA", epoch=2, champion=2)


def worker(name: str, version: int, state="ready", epoch: int = 2, age_s: float = 0, muted=None) -> WorkerState:
    return WorkerState(
        worker=name,
        epoch_by_bot={"ChatbotA": epoch},
        slots=(SlotReport(bot="ChatbotA", version=version, state=state, detail="왜냐하면", muted=muted),),
        at=(NOW - timedelta(seconds=age_s)).isoformat(),
    )


def report(*live: WorkerState, maybe_alive: tuple[str, ...] = ()) -> LivenessReport:
    return LivenessReport(live=live, maybe_alive=maybe_alive)


def test_states_are_read_back_as_they_were_written():
    """The job and the workers use the same JSON."""
    state = RolloutState(
        bot="ChatbotA", epoch=3, champion=2, previous=1, muted=True, reason="시험", by="test", at=NOW.isoformat()
    )
    assert RolloutState.from_json(state.to_json()) == state
    assert WorkerState.from_json(worker("worker-1", 2).to_json().encode()) == worker("worker-1", 2)


def test_a_heartbeat_of_the_previous_release_is_read():
    """It has neither `form` nor `muted`."""
    body = json.loads(worker("worker-1", 2).to_json())
    for slot in body["slots"]:
        del slot["form"], slot["muted"]
    assert WorkerState.from_json(json.dumps(body)) == worker("worker-1", 2)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"bot": "ChatbotA", "epoch": true}',
        '{"bot":"A","epoch":1,"champion":"2"}',
        '{"bot":"A","epoch":1,"phase":"party"}',
    ],
)
def test_an_unreadable_rollout_state_is_refused(text):
    """A worker skips it and continues to serve."""
    with pytest.raises(InvalidMessage):
        RolloutState.from_json(text)


@pytest.mark.parametrize(
    "change",
    [
        {"slots": [1]},
        {"slots": [{"bot": "A", "version": 1, "state": "odd"}]},
        {"epoch_by_bot": {"A": "1"}},
        {"at": None},
        {"slots": [{"bot": "A", "version": 1, "state": "ready", "muted": "yes"}]},
    ],
    ids=str,
)
def test_an_unreadable_worker_state_is_refused(change):
    """Otherwise it could acknowledge a rollout."""
    with pytest.raises(InvalidMessage):
        WorkerState.from_json(json.dumps({**json.loads(worker("w", 1).to_json()), **change}))


def test_only_a_higher_epoch_is_newer():
    """After compaction and retries an old state may be read again."""
    first = RolloutState(bot="ChatbotA", epoch=next_epoch("ChatbotA", None), champion=1)
    second = RolloutState(bot="ChatbotA", epoch=next_epoch("ChatbotA", first), champion=2)
    assert is_newer(first, None)
    assert is_newer(second, first)
    assert not is_newer(first, second)
    assert not is_newer(second, second)


def test_the_next_epoch_is_above_what_any_worker_remembers():
    """After the loss of the topic, epochs would start at 1 again, and running workers would ignore them as stale."""
    known = RolloutState(bot="ChatbotA", epoch=2, champion=1)
    assert next_epoch("ChatbotA", None) == 1
    assert next_epoch("ChatbotA", known, [worker("worker-1", 2, epoch=7), worker("worker-2", 2, epoch=1)]) == 8
    assert next_epoch("ChatbotB", known, [worker("worker-1", 2, epoch=7)]) == 3


def test_a_worker_is_alive_if_its_heartbeat_changes():
    """The first observation only records heartbeats. A worker that was silent for too long counts as gone."""
    tracker = LivenessTracker()
    one, gone = worker("worker-1", 2), worker("worker-2", 2)
    assert tracker.observe([one, gone], 100.0) == LivenessReport(live=(), maybe_alive=("worker-1", "worker-2"))
    later = worker("worker-1", 2, age_s=-3)
    assert tracker.observe([later, gone], 103.0) == LivenessReport(live=(later,), maybe_alive=("worker-2",))
    new = worker("worker-3", 2)
    assert tracker.observe([later, gone, new], 100.1 + LIVE_FOR_S) == LivenessReport(live=(later, new), maybe_alive=())
    assert tracker.observe([later, gone, new], 103.1 + LIVE_FOR_S) == LivenessReport(live=(new,), maybe_alive=())
    assert tracker.observe([], 103.2 + LIVE_FOR_S) == LivenessReport(live=(), maybe_alive=()), "signed off"


@pytest.mark.parametrize("skew_s", [3600, -3600, 20])
def test_a_workers_clock_does_not_affect_its_liveness(skew_s):
    """It is alive while its heartbeat changes, even if its clock is wrong or is set."""
    tracker = LivenessTracker()
    tracker.observe([worker("worker-1", 2, age_s=skew_s)], 0.0)
    alive = worker("worker-1", 2, age_s=skew_s - 3)
    assert tracker.observe([alive], 3.0).live == (alive,)
    jumped = worker("worker-1", 2, age_s=-skew_s)
    assert tracker.observe([jumped], 6.0).live == (jumped,)
    assert tracker.observe([jumped], 6.1 + LIVE_FOR_S) == LivenessReport(live=(), maybe_alive=())


def test_a_rollout_is_complete_when_every_live_worker_serves_the_version():
    """A worker that loads, reports an old epoch or serves another version is waited for. A degraded one is a failure."""
    live = [
        worker("w5", 1),
        worker("w1", 2),
        worker("w2", 1, "loading"),
        worker("w3", 2, epoch=1),
        worker("w4", 1, "degraded"),
    ]
    answers = version_acknowledgements(ROLLED_OUT, report(*live))
    assert (answers.ready, answers.degraded, answers.waiting) == (("w1",), ("w4",), ("w2", "w3", "w5"))
    assert (answers.complete, answers.decided) == (False, True)
    assert answers.sentence() == "ready w1; degraded w4 (왜냐하면); waiting for w2, w3, w5"
    all_ready = version_acknowledgements(ROLLED_OUT, report(worker("w1", 2)))
    assert (all_ready.complete, all_ready.decided) == (True, True)
    none = version_acknowledgements(ROLLED_OUT, report())
    assert (none.complete, none.decided, none.sentence()) == (False, False, "no worker is alive")
    maybe_alive = version_acknowledgements(ROLLED_OUT, report(worker("w1", 2), maybe_alive=("w2",)))
    assert (maybe_alive.waiting, maybe_alive.complete, maybe_alive.decided) == (("w2",), False, False)


def test_a_mute_is_complete_when_every_live_worker_has_acted_on_it():
    """A degraded slot can be muted. A worker of an earlier release does not report mutes, so its epoch counts."""
    state = replace(ROLLED_OUT, muted=True)
    live = [
        worker("w1", 2, muted=True),
        worker("w2", 0, "degraded", muted=True),
        worker("w3", 2, muted=None),
        worker("w4", 2, muted=False),
        worker("w5", 2, epoch=1, muted=True),
    ]
    answers = mute_acknowledgements(state, report(*live, maybe_alive=("w0",)))
    assert (answers.ready, answers.degraded, answers.waiting) == (("w1", "w2", "w3"), (), ("w0", "w4", "w5"))
    assert answers.sentence("acknowledged by") == "acknowledged by w1, w2, w3; waiting for w0, w4, w5"
    assert mute_acknowledgements(state, report(*live[:3])).complete
    assert not mute_acknowledgements(state, report()).complete, "without a live worker"
