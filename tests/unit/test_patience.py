"""Waiting for a server that starts, and progress messages of long work. The clock is simulated."""

from itertools import pairwise

import pytest

from kogpt2_chat.domain.servers.progress_reminder import ProgressReminder
from kogpt2_chat.domain.servers.startup import Sample, StartVerdict, Watch, judge
from kogpt2_chat.progress_thread import ProgressThread

Observation = tuple[float, int, float, bool]


def watch(*observations: Observation) -> Watch:
    samples = [Sample(at_s=at, log_bytes=log, cpu_s=cpu, healthy=healthy) for at, log, cpu, healthy in observations]
    state = Watch.begin(samples[0])
    for sample in samples[1:]:
        state = state.after(sample)
    return state


def verdict(*observations: Observation) -> StartVerdict:
    return judge(watch(*observations), stall_s=30, hard_end_s=900)


def test_a_healthy_server_is_ready_after_any_time() -> None:
    """A successful health check has priority over the time limits."""
    assert verdict((0, 0, 0.0, False), (1000, 0, 0.0, True)) == "ready"


@pytest.mark.parametrize(
    "observations",
    [
        [(at, 100 * at, 1.0, False) for at in range(0, 600, 20)],
        [(at, 100, 0.01 * at, False) for at in range(0, 600, 20)],
    ],
    ids=["its log grows", "its CPU time grows"],
)
def test_a_slow_server_that_makes_progress_is_waited_for(observations: list[Observation]) -> None:
    """Ten minutes on a busy machine are not a failure. Progress of the log or of the CPU time is enough."""
    assert verdict(*observations) == "wait"


def test_a_server_without_progress_has_stalled_after_thirty_seconds() -> None:
    """Neither its log nor its CPU time changed, so the cause is not a slow machine."""
    assert verdict((0, 5, 1.0, False), (29, 5, 1.0, False)) == "wait"
    assert verdict((0, 5, 1.0, False), (30, 5, 1.0, False)) == "stalled"


def test_a_stall_is_measured_from_the_last_progress() -> None:
    """Neither progress at the start nor an earlier pause changes the limit."""
    assert verdict((0, 0, 0.0, False), (25, 9, 0.0, False), (50, 9, 0.0, False)) == "wait"
    assert verdict((0, 0, 0.0, False), (25, 9, 0.0, False), (55, 9, 0.0, False)) == "stalled"


def test_a_restart_counts_as_progress() -> None:
    """The new process has less CPU time than the old one, and a rotated log is shorter."""
    assert verdict((0, 9, 40.0, False), (20, 9, 40.0, False), (35, 9, 0.1, False), (60, 9, 0.1, False)) == "wait"
    assert verdict((0, 9, 1.0, False), (20, 2, 1.0, False), (45, 2, 1.0, False)) == "wait"


def test_the_time_limit_applies_in_spite_of_progress() -> None:
    """Otherwise a server that keeps writing its log would be waited for forever."""
    observations = [(at, at, float(at), False) for at in range(0, 900, 10)]
    assert verdict(*observations) == "wait"
    assert verdict(*observations, (900, 900, 900.0, False)) == "over"


def test_the_message_has_the_waiting_time_and_the_latest_progress() -> None:
    """It names what changed last, and when."""
    assert watch((0, 0, 0.0, False), (38, 9, 1.0, False), (40, 9, 1.0, False)).sentence() == (
        "40 s, its log changed 2 s ago"
    )
    assert watch((0, 0, 0.0, False), (40, 0, 1.0, False)).sentence() == "40 s, its CPU time changed 0 s ago"


def test_a_reminder_is_due_every_ten_seconds() -> None:
    """It repeats the last message with the time since that message."""
    reminder = ProgressReminder(line="정리하는 중", since_s=0.0, every_s=10)
    reminders = [(at, line) for at in range(41) if (line := reminder.due(at))]
    assert reminders == [(at, f"still running after {at} s: 정리하는 중") for at in (10, 20, 30, 40)]


def test_a_message_of_the_work_postpones_the_reminder() -> None:
    """Each message restarts the ten seconds, so no gap between messages is longer."""
    reminder, shown = ProgressReminder(line="start", since_s=0.0, every_s=10), []
    for at in range(60):
        if at in (5, 14, 23, 47):
            reminder.record(f"epoch {at}", at)
            shown.append(at)
        elif reminder.due(at):
            shown.append(at)
    assert shown == [5, 14, 23, 33, 43, 47, 57]
    assert max(after - before for before, after in pairwise(shown)) <= 10


def test_a_progress_thread_forwards_messages_and_adds_reminders() -> None:
    """Messages of the work appear at once, and reminders appear between them until the work ends."""
    now, shown = [0.0], []
    progress_thread = ProgressThread(shown.append, "fetching jars", every_s=10, clock=lambda: now[0])
    now[0] = 10.0
    progress_thread.remind()
    progress_thread.say("jars: kafka is complete")
    now[0] = 25.0
    progress_thread.remind()
    progress_thread.remind()
    progress_thread.stop()
    now[0] = 100.0
    progress_thread.remind()
    assert shown == [
        "still running after 10 s: fetching jars",
        "jars: kafka is complete",
        "still running after 15 s: jars: kafka is complete",
    ]
