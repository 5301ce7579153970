"""No silent minute: whoever waits is told that work goes on."""

import os
import shutil
import subprocess

import psutil
import pytest

from kogpt2_chat.settings import CHECKOUT


@pytest.mark.parametrize(("command", "code"), [(["sleep", "1.5"], 0), (["sh", "-c", "sleep 1.5; exit 7"], 7)])
def test_a_silent_command_of_a_script_is_spoken_for(command, code):
    """The shell's steps too, without a terminal; the command's exit code comes through."""
    script = 'set -euo pipefail; source <(sed s/BEAT_S=10/BEAT_S=1/ scripts/beat.sh); with_beat packages "$@"'
    done = subprocess.run(
        ["bash", "-c", script, "setup", *command],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == code
    assert "setup: packages: 1 s so far" in done.stderr


def test_a_signal_ends_the_script_and_its_command():
    """Nothing goes on in the background after an interruption, not even of a command that has only just begun."""
    at_once = "[[ $BASH_COMMAND == work=* && $BASHPID == $$ ]] && kill -TERM $$ || true"
    script = (
        "source scripts/beat.sh; trap 'end_work; exit 130' TERM; set -T; "
        f"trap '{at_once}' DEBUG; with_beat packages sh -c 'echo $$; exec sleep 600'"
    )
    with subprocess.Popen(["bash", "-c", script], cwd=CHECKOUT, stdout=subprocess.PIPE, text=True) as process:
        assert process.wait(timeout=30) == 130
        words = process.stdout.readline()  # none: it was ended before its first word
    assert not words or not psutil.pid_exists(int(words))


@pytest.mark.parametrize("named", ["/nowhere/python3", "/bin/false"])
def test_a_python_that_does_not_fit_is_named_before_anything_is_made(tmp_path, named):
    """The setting is not passed over in silence for another Python."""
    shutil.copytree(CHECKOUT / "scripts", tmp_path / "scripts")
    for name in ("requirements.lock", "requirements-uv.lock", "pyproject.toml"):
        (tmp_path / name).write_text("")
    environment = {**os.environ, "KOGPT2_PYTHON": named}
    done = subprocess.run(["bash", tmp_path / "scripts" / "setup.sh"], env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert f"KOGPT2_PYTHON={named} is not Python 3.11, 3.12 or 3.13" in done.stderr
    assert not (tmp_path / ".venv").exists()
