"""Only one training at a time can use a folder."""

import subprocess
import sys
from pathlib import Path

import pytest

from kogpt2_chat.errors import AlreadyRunning
from kogpt2_chat.training.one_training import only_training_in

LOCK_FOLDER = """
import sys
from pathlib import Path
from kogpt2_chat.training.one_training import only_training_in
with only_training_in(Path(sys.argv[1])):
    print("locked", flush=True)
    sys.stdin.read()
"""


def test_a_second_training_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    """The error names the process that holds the lock. When that process is killed, the folder can be used again."""
    folder = tmp_path / "0123456789abcdef"
    first = subprocess.Popen(
        [sys.executable, "-c", LOCK_FOLDER, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert first.stdout is not None
        assert first.stdout.readline() == "locked\n"
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
        folder.rmdir()  # as a finished training does; the lock file is outside the folder
    with only_training_in(folder):
        pass
