"""Ending a subprocess with everything that it has started."""

import os
import signal
import subprocess
from pathlib import Path

from kogpt2_chat.machine.process_groups import end_group


def start(script: str, pipe: Path) -> "subprocess.Popen[bytes]":
    """Start a shell script that writes a line to the pipe when it is ready; its end of the pipe is inherited."""
    os.mkfifo(pipe)
    return subprocess.Popen(["/bin/sh", "-c", f"exec 3> '{pipe}'; {script}"], start_new_session=True)


def test_a_group_ends_with_its_leader(tmp_path: Path) -> None:
    """The leader obeys SIGTERM; its child ignores the signal and is killed."""
    asked_to_kill = []
    script = "(trap '' TERM; echo ready >&3; exec sleep 60) & wait"
    leader = start(script, tmp_path / "pipe")
    with (tmp_path / "pipe").open() as said:
        assert said.readline() == "ready\n"
        end_group(leader, 30, lambda: asked_to_kill.append(True))
        assert said.read() == ""  # the child does not hold the pipe any more
    assert leader.returncode == -signal.SIGTERM
    assert asked_to_kill == []


def test_a_leader_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    """The caller is told before."""
    asked_to_kill = []
    leader = start("trap '' TERM; echo ready >&3; while :; do sleep 60; done", tmp_path / "pipe")
    with (tmp_path / "pipe").open() as said:
        assert said.readline() == "ready\n"
        end_group(leader, 0.1, lambda: asked_to_kill.append(leader.poll()))
        assert said.read() == ""
    assert leader.returncode == -signal.SIGKILL
    assert asked_to_kill == [None]


def test_a_group_that_has_ended_is_left_alone() -> None:
    """Its exit code stays, and no one is told."""
    leader = subprocess.Popen(["/bin/sh", "-c", "exit 3"], start_new_session=True)
    leader.wait()
    end_group(leader, 30, lambda: None)
    assert leader.returncode == 3
