"""One test session, one benchmark of a checkout, one demo of a home at a time."""

import subprocess
import sys
from pathlib import Path

from kogpt2_chat.machine.locks import hold_lock

HOLDING = "import sys; from pathlib import Path; from kogpt2_chat.machine.locks import hold_lock\n"
HOLDING += "with hold_lock(Path(sys.argv[1]), print): print('held', flush=True); sys.stdin.read()"


def test_a_second_one_waits_for_the_first_and_says_so(tmp_path: Path) -> None:
    """Its end, however it comes, lets the second begin."""
    lock, said = tmp_path / "자리" / "bench.lock", []
    command = [sys.executable, "-c", HOLDING, str(lock)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout
        assert first.stdout.readline() == "held\n"

        def heard(line: str) -> None:
            said.append(line)
            first.kill()

        with hold_lock(lock, heard):
            assert first.wait(timeout=30) < 0
    assert said == [f"another process holds the lock {lock}: waiting until it is released"]


def test_who_comes_alone_says_nothing(tmp_path: Path) -> None:
    """Again and again."""
    for _ in range(2):
        with hold_lock(tmp_path / "bench.lock", refuse):
            pass


def refuse(line: str) -> None:
    raise AssertionError(line)
