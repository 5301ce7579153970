"""The driver learns from its connections which rank of a training failed first, and how."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from multiprocessing import AuthenticationError

import psutil
import pytest

from kogpt2_chat.stack.processes import wait_until
from kogpt2_chat.training import rank_watch
from kogpt2_chat.training.rank_watch import RankLine, RankWatch

RANK = """
import json, sys, time
from kogpt2_chat.training.rank_watch import RankLine
with RankLine(json.loads(sys.argv[1]), int(sys.argv[2])) as line:
    line.line(f"rank {sys.argv[2]} is ready")
    time.sleep(120)
"""


class Watched:
    """A driver, and the lines that it was sent."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.watch = RankWatch("127.0.0.1", self.lines.append)
        self.processes: list[subprocess.Popen[bytes]] = []

    @property
    def connections_ended(self) -> int:
        """How many ranks are gone."""
        return len(self.watch._ended)

    def start(self, rank: int) -> "subprocess.Popen[bytes]":
        """Start a rank in a process of its own, and wait until it is connected."""
        address = json.dumps(self.watch.address)
        process = subprocess.Popen([sys.executable, "-c", RANK, address, str(rank)])
        self.processes.append(process)
        assert wait_until(lambda: f"rank {rank} is ready" in self.lines, deadline_in(60))
        return process


def deadline_in(seconds: float) -> float:
    return time.monotonic() + seconds


@pytest.fixture
def watched() -> Iterator[Watched]:
    made = Watched()
    yield made
    made.watch.close()
    for process in made.processes:
        process.kill()
        process.wait()


def test_a_killed_rank_is_named_although_another_one_only_lost_it(watched: Watched) -> None:
    """Rank 0 fails too, and may be the first that Spark reports."""
    victim = watched.start(1)
    survivor = RankLine(watched.watch.address, 0)
    os.kill(victim.pid, signal.SIGKILL)
    survivor.failed("peer", ConnectionError("connection closed by peer"))
    survivor.__exit__(ConnectionError, ConnectionError(), None)
    told = watched.watch.first_failure(2)
    assert told is not None
    assert told.startswith(f"rank 1 (of 0 to 1; process {victim.pid} on ")
    assert "it was killed" in told


def test_the_first_of_two_that_were_killed_is_named(watched: Watched) -> None:
    """The other one is killed by Spark, since the first one is gone."""
    first, second = watched.start(1), watched.start(0)
    first.kill()
    assert str(watched.watch.first_failure(2)).startswith("rank 1 ")
    second.kill()
    second.wait()
    assert wait_until(lambda: watched.connections_ended == 2, deadline_in(10))
    assert str(watched.watch.first_failure(2)).startswith("rank 1 ")


def test_an_error_of_a_rank_is_its_failure(watched: Watched) -> None:
    """Also if the other rank ended first, since it lost this one."""
    watched.start(0).kill()
    line = RankLine(watched.watch.address, 1)
    line.failed("error", MemoryError("1 GB"))
    assert wait_until(lambda: "MemoryError" in str(watched.watch.first_failure(2)), deadline_in(10))
    assert str(watched.watch.first_failure(2)).endswith("failed: MemoryError: 1 GB")


def test_a_frozen_rank_is_named(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its connection stays open, but nothing comes from it any more, while the other one waits for it in vain."""
    monkeypatch.setattr(rank_watch, "SILENT_S", 3)
    monkeypatch.setattr(rank_watch, "_SETTLE_S", 6)
    frozen = watched.start(1)
    other = watched.start(0)
    os.kill(frozen.pid, signal.SIGSTOP)
    try:
        told = watched.watch.first_failure(2)
    finally:
        os.kill(frozen.pid, signal.SIGCONT)
    assert other.poll() is None
    assert told is not None
    assert told.startswith("rank 1 ")
    assert "has not answered for" in told


def test_unusable_input_is_not_a_failure_of_a_rank(watched: Watched) -> None:
    """The message goes to the caller as it is: running it again would not help."""
    with RankLine(watched.watch.address, 0) as line:
        line.failed("input", ValueError("training diverged at step 7"))
    assert wait_until(lambda: watched.watch.rejection() is not None, deadline_in(10))
    assert watched.watch.rejection() == "training diverged at step 7"


def test_a_rank_that_is_done_has_not_failed(watched: Watched) -> None:
    """Its connection ends too. Lines and checkpoints of a rank are known to the driver."""
    with RankLine(watched.watch.address, 0) as line:
        line.line("epoch 1")
        line.checkpoint(200)
    assert wait_until(lambda: watched.watch.checkpoint == 200, deadline_in(10))
    assert watched.lines == ["epoch 1"]
    assert watched.watch.first_failure(2) is None


def test_nobody_connects_without_the_key(watched: Watched) -> None:
    """And the ranks that know it still can."""
    with pytest.raises(AuthenticationError):
        RankLine(watched.watch.address | {"key": "00" * 32}, 0)
    with RankLine(watched.watch.address, 0) as line:
        line.line("hello")
    assert wait_until(lambda: watched.lines == ["hello"], deadline_in(10))


def test_a_rank_ends_with_its_driver() -> None:
    """It does not train on for nobody, and keeps no core from the next run."""
    driver = """
import json, subprocess, sys, time
from kogpt2_chat.training.rank_watch import RankWatch
ready = []
watch = RankWatch("127.0.0.1", ready.append)
rank = subprocess.Popen([sys.executable, "-c", sys.argv[1], json.dumps(watch.address), "0"], start_new_session=True)
while not ready:
    time.sleep(0.05)
print(rank.pid, flush=True)
time.sleep(120)
"""
    process = subprocess.Popen([sys.executable, "-c", driver, RANK], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    rank = int(process.stdout.readline())
    process.kill()
    process.wait()
    assert wait_until(
        lambda: not psutil.pid_exists(rank) or psutil.Process(rank).status() == psutil.STATUS_ZOMBIE, deadline_in(30)
    )
