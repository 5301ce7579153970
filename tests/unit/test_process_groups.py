"""A subprocess is ended together with all processes that it has started."""

import os
import signal
import subprocess
from pathlib import Path

from kogpt2_chat.machine.process_groups import end_group


def start(script: str, pipe: Path) -> "subprocess.Popen[bytes]":
    """Start a shell script that writes a line to the pipe when it is ready; its children inherit the pipe."""
    os.mkfifo(pipe)
    return subprocess.Popen(["/bin/sh", "-c", f"exec 3> '{pipe}'; {script}"], start_new_session=True)


def test_a_group_ends_with_its_leader(tmp_path: Path) -> None:
    """The leader ends on SIGTERM. Its child ignores the signal and is killed."""
    kills = []
    script = "(trap '' TERM; echo ready >&3; exec sleep 60) & wait"
    leader = start(script, tmp_path / "pipe")
    with (tmp_path / "pipe").open() as output:
        assert output.readline() == "ready\n"
        end_group(leader, 30, lambda: kills.append(True))
        assert output.read() == ""  # end of file: the child has ended too
    assert leader.returncode == -signal.SIGTERM
    assert kills == []


def test_a_leader_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    """Its group is killed too, and the callback is called before that."""
    kills = []
    leader = start("trap '' TERM; echo ready >&3; while :; do sleep 60; done", tmp_path / "pipe")
    with (tmp_path / "pipe").open() as output:
        assert output.readline() == "ready\n"
        end_group(leader, 0.1, lambda: kills.append(leader.poll()))
        assert output.read() == ""
    assert leader.returncode == -signal.SIGKILL
    assert kills == [None]


def test_nothing_happens_to_a_group_that_has_ended() -> None:
    """The exit code is unchanged, and the callback is not called."""
    kills = []
    leader = subprocess.Popen(["/bin/sh", "-c", "exit 3"], start_new_session=True)
    leader.wait()
    end_group(leader, 30, lambda: kills.append(True))
    assert leader.returncode == 3
    assert kills == []
