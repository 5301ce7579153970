"""How long a server that starts is waited for, and what long work says meanwhile: decisions on a clock of the test."""

from itertools import pairwise

import pytest

from kogpt2_chat.domain.servers.silence import Silence
from kogpt2_chat.domain.servers.startup import Sample, Verdict, Watch, judge
from kogpt2_chat.heartbeat import Heartbeat

Look = tuple[float, int, float, bool]


def watch(*looks: Look) -> Watch:
    samples = [Sample(at_s=at, log_bytes=log, cpu_s=cpu, healthy=healthy) for at, log, cpu, healthy in looks]
    found = Watch.begin(samples[0])
    for sample in samples[1:]:
        found = found.after(sample)
    return found


def verdict(*looks: Look) -> Verdict:
    return judge(watch(*looks), stall_s=30, hard_end_s=900)


def test_a_healthy_server_is_ready_however_long_it_took() -> None:
    """Health decides before any clock does."""
    assert verdict((0, 0, 0.0, False), (1000, 0, 0.0, True)) == "ready"


@pytest.mark.parametrize(
    "looks",
    [
        [(at, 100 * at, 1.0, False) for at in range(0, 600, 20)],
        [(at, 100, 0.01 * at, False) for at in range(0, 600, 20)],
    ],
    ids=["its log grows", "its CPU time grows"],
)
def test_a_slow_server_that_makes_progress_is_waited_for(looks: list[Look]) -> None:
    """Ten minutes of a busy machine are no failure: either sign of life is enough."""
    assert verdict(*looks) == "wait"


def test_a_server_that_stands_still_is_given_up_after_thirty_seconds() -> None:
    """Neither log nor CPU time changed: it is not the machine that is slow."""
    assert verdict((0, 5, 1.0, False), (29, 5, 1.0, False)) == "wait"
    assert verdict((0, 5, 1.0, False), (30, 5, 1.0, False)) == "stalled"


def test_standing_still_counts_from_the_last_progress() -> None:
    """What it did at the start does not help it later, and an earlier pause does not harm it."""
    assert verdict((0, 0, 0.0, False), (25, 9, 0.0, False), (50, 9, 0.0, False)) == "wait"
    assert verdict((0, 0, 0.0, False), (25, 9, 0.0, False), (55, 9, 0.0, False)) == "stalled"


def test_a_server_that_was_started_anew_makes_progress() -> None:
    """The new process has less CPU time than the old one, and a log that was turned over is shorter."""
    assert verdict((0, 9, 40.0, False), (20, 9, 40.0, False), (35, 9, 0.1, False), (60, 9, 0.1, False)) == "wait"
    assert verdict((0, 9, 1.0, False), (20, 2, 1.0, False), (45, 2, 1.0, False)) == "wait"


def test_the_hard_end_comes_whatever_a_server_does() -> None:
    """A server that writes its log for ever is not waited for ever."""
    looks = [(at, at, float(at), False) for at in range(0, 900, 10)]
    assert verdict(*looks) == "wait"
    assert verdict(*looks, (900, 900, 900.0, False)) == "over"


def test_what_is_slow_is_said_with_its_latest_sign_of_life() -> None:
    """How long already, what moved, and when."""
    assert watch((0, 0, 0.0, False), (38, 9, 1.0, False), (40, 9, 1.0, False)).sentence() == (
        "40 s, its log grew 2 s ago"
    )
    assert watch((0, 0, 0.0, False), (40, 0, 1.0, False)).sentence() == "40 s, its CPU time grew 0 s ago"


def test_silence_is_broken_every_ten_seconds() -> None:
    """The last line comes again, with the time since the work said it."""
    silence = Silence(line="정리하는 중", since_s=0.0, every_s=10)
    spoken = [(at, line) for at in range(41) if (line := silence.due(at))]
    assert spoken == [(at, f"still at it, {at} s: 정리하는 중") for at in (10, 20, 30, 40)]


def test_work_that_speaks_is_not_repeated() -> None:
    """Each line of the work begins the ten seconds anew: no gap is longer, and no line is said twice."""
    silence, spoken = Silence(line="start", since_s=0.0, every_s=10), []
    for at in range(60):
        if at in (5, 14, 23, 47):
            silence.said(f"epoch {at}", at)
            spoken.append(at)
        elif silence.due(at):
            spoken.append(at)
    assert spoken == [5, 14, 23, 33, 43, 47, 57]
    assert max(after - before for before, after in pairwise(spoken)) <= 10


def test_a_heartbeat_hands_lines_on_and_fills_the_gaps() -> None:
    """What the work says comes at once; what it does not say comes by itself, until the end."""
    now, said = [0.0], []
    heartbeat = Heartbeat(said.append, "fetching jars", every_s=10, clock=lambda: now[0])
    now[0] = 10.0
    heartbeat.look()
    heartbeat.say("jars: kafka is there")
    now[0] = 25.0
    heartbeat.look()
    heartbeat.look()
    heartbeat.stop()
    now[0] = 100.0
    heartbeat.look()
    assert said == [
        "still at it, 10 s: fetching jars",
        "jars: kafka is there",
        "still at it, 15 s: jars: kafka is there",
    ]
