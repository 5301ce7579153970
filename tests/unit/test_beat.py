"""Scripts report progress while one of their commands is silent, and stop it when they are interrupted."""

import os
import shutil
import subprocess

import psutil
import pytest

from kogpt2_chat.settings import CHECKOUT


@pytest.mark.parametrize(("command", "code"), [(["sleep", "1.5"], 0), (["sh", "-c", "sleep 1.5; exit 7"], 7)])
def test_a_script_reports_that_a_silent_command_is_running(command, code):
    """It does so without a terminal, and returns the command's exit code."""
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
    """No process is left in the background, even if the command has only just started."""
    signal_at_start = "[[ $BASH_COMMAND == work=* && $BASHPID == $$ ]] && kill -TERM $$ || true"
    script = (
        "source scripts/beat.sh; trap 'end_work; exit 130' TERM; set -T; "
        f"trap '{signal_at_start}' DEBUG; with_beat packages sh -c 'echo $$; exec sleep 600'"
    )
    with subprocess.Popen(["bash", "-c", script], cwd=CHECKOUT, stdout=subprocess.PIPE, text=True) as process:
        assert process.wait(timeout=30) == 130
        pid = process.stdout.readline()  # empty if the command was stopped before it printed its process id
    assert not pid or not psutil.pid_exists(int(pid))


@pytest.mark.parametrize("python", ["/nowhere/python3", "/bin/false"])
def test_an_unsuitable_python_is_reported_before_anything_is_created(tmp_path, python):
    """The set-up does not silently use another Python than the one in the setting."""
    shutil.copytree(CHECKOUT / "scripts", tmp_path / "scripts")
    for name in ("requirements.lock", "requirements-uv.lock", "pyproject.toml"):
        (tmp_path / name).write_text("")
    environment = {**os.environ, "KOGPT2_PYTHON": python}
    done = subprocess.run(["bash", tmp_path / "scripts" / "setup.sh"], env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert f"KOGPT2_PYTHON={python} is not Python 3.11, 3.12 or 3.13" in done.stderr
    assert not (tmp_path / ".venv").exists()
