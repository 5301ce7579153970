"""Logs of entry points: what they say is for others, and nobody has to be there."""

import io
import subprocess
import sys

import pytest

from kogpt2_chat.log import _LossyStream

SPEAKS_TO_NOBODY = """
import os, sys
from kogpt2_chat.log import configure_logging
import structlog
configure_logging("json")
reading, writing = os.pipe()
os.dup2(writing, 2)
os.close(reading)
for _ in range(3):
    structlog.get_logger().warning("is_anybody_there")
print("it works on")
os._exit(0)
"""


class Broken(io.StringIO):
    """A stream that cannot be written any more."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    def write(self, text):
        raise self._error

    def flush(self):
        raise self._error


@pytest.mark.parametrize("error", [BrokenPipeError(), OSError(28, "No space left on device"), ValueError("closed")])
def test_a_line_that_cannot_be_written_is_lost_and_no_more(error):
    """Readers go, disks fill up, streams are closed; the worker works on."""
    stream = _LossyStream(Broken(error))
    assert stream.write("말") == 1
    stream.flush()


def test_a_process_outlives_the_reader_of_its_log():
    """As a worker outlives its supervisor; before, its next line ended it."""
    done = subprocess.run([sys.executable, "-c", SPEAKS_TO_NOBODY], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "it works on\n")
