"""Ctrl-C and SIGTERM in a process that has loaded and unloaded a version, as a worker does."""

import subprocess
import sys
from pathlib import Path

import pytest

from kogpt2_chat.testing.tiny_gpt2 import tiny_version

PROGRAM = """
import gc, os, signal, sys
from pathlib import Path
from kogpt2_chat.inference.loading import load_for_players
from kogpt2_chat.settings import Settings

folder, home, number = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
loaded = load_for_players(folder, Settings(home=home, cache=home / "cache", serving={"threads": 1}))
del loaded
gc.collect()
signal.signal(number, lambda *_: print("handled", flush=True))
os.kill(os.getpid(), number)
"""


@pytest.mark.parametrize("number", ["2", "15"])
def test_a_signal_after_a_version_was_unloaded_is_handled(tmp_path: Path, number: str) -> None:
    """OpenVINO changes the signal stack of the thread that compiles a graph, and frees it with the model."""
    version = tiny_version(tmp_path / "1", calibrated=True)
    program = [sys.executable, "-c", PROGRAM, version, tmp_path, number]
    done = subprocess.run(program, capture_output=True, text=True, check=False, timeout=300)
    assert (done.returncode, done.stdout) == (0, "handled\n"), done.stderr
