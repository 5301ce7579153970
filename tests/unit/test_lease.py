"""Two processes on one machine never share an ordinal, and an ordinal is free as soon as its process has ended."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kogpt2_chat.errors import OrdinalTaken
from kogpt2_chat.settings import CHECKOUT
from serving.lease import ORDINALS, Lease, lease_ordinal

HOLD = """
import sys
from pathlib import Path
from serving.lease import lease_ordinal
lease = lease_ordinal(Path(sys.argv[1]), int(sys.argv[2]))
print(lease.ordinal, flush=True)
sys.stdin.read()
"""


@contextmanager
def another_process(home: Path, ordinal: int) -> Iterator[tuple[subprocess.Popen, int]]:
    """Run a process that holds a lease; yield it with its ordinal."""
    arguments = [sys.executable, "-c", HOLD, str(home), str(ordinal)]
    with subprocess.Popen(arguments, cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process, int(process.stdout.readline())
        finally:
            process.kill()


def test_a_taken_ordinal_is_refused_with_its_owner_and_a_remedy(tmp_path):
    """Other ordinals, and the same ordinal in another home, are free."""
    with another_process(tmp_path, 4) as (owner, _):
        with pytest.raises(OrdinalTaken, match=rf"ordinal 4 is taken by process {owner.pid} .*KOGPT2_SERVING__ORDINAL"):
            lease_ordinal(tmp_path, 4)
        assert lease_ordinal(tmp_path, 5).ordinal == 5
        assert lease_ordinal(tmp_path / "other home", 4).ordinal == 4


def test_the_ordinal_of_a_killed_process_is_free_at_once(tmp_path):
    """No file has to be removed first, even though the lock file still has the process id of the old owner."""
    with another_process(tmp_path, 4) as (owner, _):
        owner.kill()
        owner.wait(timeout=10)
        successor = lease_ordinal(tmp_path, 4)
    assert (tmp_path / "run" / "worker-4.lock").read_text() == f"{os.getpid()}\n"
    del successor
    assert lease_ordinal(tmp_path, 4).ordinal == 4


def test_ordinal_0_takes_the_first_free_one(tmp_path):
    """The successor of a dead process gets its ordinal, and with it its transactional id."""
    with another_process(tmp_path, 0) as (_, first), another_process(tmp_path, 0) as (second_process, second):
        third = lease_ordinal(tmp_path, 0)
        assert (first, second, third.ordinal) == (1, 2, 3)
        second_process.kill()
        second_process.wait(timeout=10)
        assert lease_ordinal(tmp_path, 0).ordinal == 2


def test_there_are_no_more_ordinals_than_partitions(tmp_path):
    """Another worker would get no partition."""
    leases = [Lease(tmp_path, ordinal) for ordinal in ORDINALS]
    assert len(leases) == 12
    with pytest.raises(OrdinalTaken, match="all 12 ordinals are taken"):
        lease_ordinal(tmp_path, 0)


def test_a_worker_whose_ordinal_is_taken_exits(tmp_path):
    """Exit code 1: a supervisor may restart it, since the ordinal may be free by then."""
    with another_process(tmp_path, 7) as (owner, _):
        done = run_worker(tmp_path, 7, "-m", "serving")
    line = json.loads(done.stderr.splitlines()[-1])
    assert done.returncode == 1
    assert line["event"] == "worker_failed"
    assert f"ordinal 7 is taken by process {owner.pid}" in line["error"]


FENCED = """
from kogpt2_chat.errors import Fenced
from serving.__main__ import run
from serving.app import WorkerParts

def consumer(*_):
    raise Fenced("kogpt2-worker-2: another process (/10.0.0.7) runs with this ordinal")

run(WorkerParts(consumer=consumer))
"""


def test_a_fenced_worker_exits_with_the_code_that_prevents_a_restart(tmp_path):
    """Exit code 3: after a restart the two processes would fence each other forever."""
    done = run_worker(tmp_path, 2, "-c", FENCED)
    line = json.loads(done.stderr.splitlines()[-1])
    assert done.returncode == 3
    assert (line["event"], line["worker"]) == ("ordinal_taken", "worker-2")
    assert "/10.0.0.7" in line["error"]


def run_worker(home: Path, ordinal: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "KOGPT2_HOME": str(home), "KOGPT2_SERVING__ORDINAL": str(ordinal)}
    return subprocess.run(
        [sys.executable, *arguments], cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=60
    )
