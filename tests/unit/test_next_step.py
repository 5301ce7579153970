"""The next step of a worker for one bot: load, wait, activate or withdraw."""

import pytest

from kogpt2_chat.domain.rollout.next_step import RETRY_S, LoadFailure, LoadProgress, NextStep, failed_again, next_step
from kogpt2_chat.domain.rollout.states import VersionKey

TARGET = VersionKey(7, "ab")
FAILED = LoadFailure(times=1, retry_at_s=100.0, reason="해시가 다름")
WITHDRAW = NextStep(action="withdraw", state="degraded")
ACTIVATE = NextStep(action="activate", state="ready")
LOADING = "loading version 7"


@pytest.mark.parametrize(
    ("target", "is_in_memory", "progress", "now_s", "expected"),
    [
        (None, False, LoadProgress(), 0.0, WITHDRAW),
        (None, False, LoadProgress(is_loading=True, failure=FAILED), 0.0, WITHDRAW),
        (TARGET, True, LoadProgress(), 0.0, ACTIVATE),
        (TARGET, True, LoadProgress(is_loading=True, failure=FAILED), 0.0, ACTIVATE),
        (TARGET, False, LoadProgress(), 0.0, NextStep(action="load", state="loading", detail=LOADING)),
        (TARGET, False, LoadProgress(is_loading=True), 0.0, NextStep(action="wait", state="loading", detail=LOADING)),
        (TARGET, False, LoadProgress(failure=FAILED), 99.9, NextStep(action="wait", state="degraded", detail="해시가 다름")),
        (TARGET, False, LoadProgress(failure=FAILED), 100.0, NextStep(action="load", state="degraded", detail="해시가 다름")),
        (
            TARGET, False, LoadProgress(is_loading=True, failure=FAILED), 100.0,
            NextStep(action="wait", state="degraded", detail="해시가 다름"),
        ),
    ],
)  # fmt: skip
def test_the_next_step_follows_from_target_memory_load_failure_and_time(
    target, is_in_memory, progress, now_s, expected
):
    """Cases: no version, in memory, load not begun, load running, failed recently, retry due, retry running."""
    assert next_step(target, is_in_memory=is_in_memory, progress=progress, now_s=now_s) == expected


def test_each_retry_waits_longer_up_to_a_minute():
    """A registry that is down is not called all the time, and its recovery is noticed within a minute."""
    failure, waits = None, []
    for _ in range(6):
        failure = failed_again(failure, "MLflow가 응답하지 않음", now_s=1000.0)
        waits.append(failure.retry_at_s - 1000.0)
    assert waits == [*RETRY_S, RETRY_S[-1], RETRY_S[-1]]
    assert waits == sorted(waits)
    assert (failure.times, failure.reason) == (6, "MLflow가 응답하지 않음")
