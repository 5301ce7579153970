"""One folder, one training."""

import subprocess
import sys
from pathlib import Path

import pytest

from kogpt2_chat.errors import AlreadyRunning
from kogpt2_chat.training.one_training import only_training_in

HOLD = """
import sys
from pathlib import Path
from kogpt2_chat.training.one_training import only_training_in
with only_training_in(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_training_in_the_same_folder_is_told_who_is_there(tmp_path: Path) -> None:
    """It names the process that holds the folder; when that one is killed, the folder is free."""
    folder = tmp_path / "0123456789abcdef"
    first = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"
        with (
            pytest.raises(AlreadyRunning, match=rf"process {first.pid}, started 2.*wait until it has finished"),
            only_training_in(folder),
        ):
            pass
    finally:
        first.kill()
        first.wait()

    with only_training_in(folder):
        folder.mkdir()
        folder.rmdir()  # as a finished training leaves it: the lock does not lie in it
    with only_training_in(folder):
        pass
