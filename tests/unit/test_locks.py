"""The lock that lets only one test session, benchmark or demo run at a time."""

import subprocess
import sys
from pathlib import Path

from kogpt2_chat.machine.locks import hold_lock

HOLDING = "import sys; from pathlib import Path; from kogpt2_chat.machine.locks import hold_lock\n"
HOLDING += "with hold_lock(Path(sys.argv[1]), print): print('held', flush=True); sys.stdin.read()"


def test_a_second_process_waits_for_the_first_and_reports_it(tmp_path: Path) -> None:
    """The lock is released when its holder ends, even if the holder was killed."""
    lock, lines = tmp_path / "자리" / "bench.lock", []
    command = [sys.executable, "-c", HOLDING, str(lock)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout
        assert first.stdout.readline() == "held\n"

        def kill_holder(line: str) -> None:
            lines.append(line)
            first.kill()

        with hold_lock(lock, kill_holder):
            assert first.wait(timeout=30) < 0
    assert lines == [f"another process holds the lock {lock}: waiting until it is released"]


def test_a_free_lock_is_acquired_without_a_message(tmp_path: Path) -> None:
    """This includes a lock that was released before."""
    for _ in range(2):
        with hold_lock(tmp_path / "bench.lock", refuse):
            pass


def refuse(line: str) -> None:
    raise AssertionError(line)
