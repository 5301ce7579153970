"""Logging to a stream that has no reader or cannot be written."""

import io
import subprocess
import sys

import pytest

from kogpt2_chat.log import _LossyStream

LOG_WITHOUT_READER = """
import os, sys
from kogpt2_chat.log import configure_logging
import structlog
configure_logging("json")
reading, writing = os.pipe()
os.dup2(writing, 2)
os.close(reading)
for _ in range(3):
    structlog.get_logger().warning("unread")
print("still running")
os._exit(0)
"""


class Broken(io.StringIO):
    """A stream whose writes fail."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    def write(self, text):
        raise self._error

    def flush(self):
        raise self._error


@pytest.mark.parametrize("error", [BrokenPipeError(), OSError(28, "No space left on device"), ValueError("closed")])
def test_a_line_that_cannot_be_written_is_dropped(error):
    """The reader may have ended, the disk may be full, or the stream may be closed."""
    stream = _LossyStream(Broken(error))
    assert stream.write("말") == 1
    stream.flush()


def test_a_process_survives_the_end_of_its_logs_reader():
    """A worker must survive its supervisor, which reads its log."""
    done = subprocess.run([sys.executable, "-c", LOG_WITHOUT_READER], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "still running\n")
