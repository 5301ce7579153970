"""The benchmark of the idle stack: CPU seconds and the table."""

import os
import subprocess
import sys

from benchmarks.idle import table
from kogpt2_chat.stack.processes import cpu_seconds


def test_cpu_seconds_count_children_that_have_ended() -> None:
    """Otherwise the scheduler's tasks that ended during the measurement would be missing."""
    before = cpu_seconds(os.getpid())
    subprocess.run([sys.executable, "-c", "sum(range(5_000_000))"], check=True)
    times = os.times()
    assert cpu_seconds(os.getpid()) >= before + 0.05
    assert cpu_seconds(os.getpid()) >= times.children_user


def test_cpu_seconds_of_an_ended_process_are_zero() -> None:
    """A server may end during the measurement."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    assert cpu_seconds(process.pid) == 0


def test_the_table_is_sorted_by_cpu_and_ends_with_a_sum() -> None:
    """It has percent of one core. A restarted server is named and not counted."""
    before = {"kafka": (1, 10.0), "mlflow": (2, 5.0), "worker-1": (3, 50.0)}
    after = {"kafka": (1, 13.0), "mlflow": (2, 11.0), "worker-1": (4, 2.0)}
    lines = table(before, after, 600.0).splitlines()
    assert lines[4:7] == ["| mlflow | 6.0 | 1.0 |", "| kafka | 3.0 | 0.5 |", "| all | 9.0 | 1.5 |"]
    assert lines[-1] == "restarted, not counted: worker-1"
