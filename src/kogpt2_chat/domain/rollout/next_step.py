"""Decide what a worker does next so that one bot serves the version that is rolled out for it.

Pure functions: what is in memory, what is being loaded, what has failed and the time are arguments.
"""

from dataclasses import dataclass
from typing import Final, Literal

from kogpt2_chat.domain.rollout.states import SlotState, VersionKey

RETRY_S: Final = (2.0, 5.0, 15.0, 60.0)
"""Waiting times before a version that did not load is tried again."""

NextAction = Literal["withdraw", "activate", "load", "wait"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadFailure:
    """How the target version has failed to load.

    Attributes:
        times: how often in a row.
        retry_at_s: when it may be tried again, in monotonic seconds.
        reason: why the last attempt failed.
    """

    times: int
    retry_at_s: float
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadProgress:
    """Progress in loading the target version.

    Attributes:
        is_loading: whether a load is running.
        failure: how earlier loads have failed; None if none has.
    """

    is_loading: bool = False
    failure: LoadFailure | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NextStep:
    """What to do, and what the slot reports until it is done.

    Attributes:
        action: ``withdraw`` the version that answers, ``activate`` the target, start to ``load`` it, or ``wait``.
        state: the state of the slot.
        detail: for people: what is being loaded, or why it did not load.
    """

    action: NextAction
    state: SlotState
    detail: str = ""


def next_step(target: VersionKey | None, *, is_in_memory: bool, progress: LoadProgress, now_s: float) -> NextStep:
    """Decide the next step of one bot.

    Args:
        target: the version that is rolled out; None while there is none.
        is_in_memory: whether the target can be activated at once.
        progress: progress in loading it.
        now_s: monotonic seconds.

    Returns:
        The step. A version that has failed stays degraded while it is tried again.
    """
    if target is None:
        return NextStep(action="withdraw", state="degraded")
    if is_in_memory:
        return NextStep(action="activate", state="ready")
    failure = progress.failure
    must_wait = progress.is_loading or (failure is not None and now_s < failure.retry_at_s)
    return NextStep(
        action="wait" if must_wait else "load",
        state="loading" if failure is None else "degraded",
        detail=f"loading version {target.number}" if failure is None else failure.reason,
    )


def failed_again(failure: LoadFailure | None, reason: str, now_s: float) -> LoadFailure:
    """Count another failure, and decide when to try again: later each time, up to a minute.

    Args:
        failure: the failures so far.
        reason: why this attempt failed.
        now_s: monotonic seconds.

    Returns:
        The failures including this one.
    """
    times = 0 if failure is None else failure.times
    return LoadFailure(times=times + 1, retry_at_s=now_s + RETRY_S[min(times, len(RETRY_S) - 1)], reason=reason)
