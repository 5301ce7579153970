"""A command reports a full disk in one sentence, whichever library raised the error."""

import errno
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors import SafetensorError

from kogpt2_chat.machine.full_disk import full_disk

FULL = Path("/dev/full")
pytestmark = pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")


def raised_by_file() -> BaseException:
    try:
        FULL.write_bytes(b"a")
    except OSError as error:
        return error
    raise AssertionError


def wrapped() -> BaseException:
    try:
        try:
            FULL.write_bytes(b"a")
        except OSError as error:
            raise RuntimeError("could not save") from error
    except RuntimeError as error:
        return error


def with_file_name() -> BaseException:
    return OSError(errno.ENOSPC, "No space left on device", "/somewhere/weights")


# From safetensors 0.8, SQLite and MLflow's server.
ERRORS = (
    SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
    sqlite3.OperationalError("database or disk is full"),
    RuntimeError("TEMPORARILY_UNAVAILABLE: (sqlite3.OperationalError) database or disk is full"),
)


@pytest.mark.parametrize("make", [raised_by_file, wrapped, *(lambda error=error: error for error in ERRORS)])
def test_a_full_disk_is_recognised_in_any_error(make) -> None:
    """The error code or the text shows it, also in the cause of another error."""
    assert str(full_disk(make())).startswith("the disk is full")


def test_the_message_names_the_file_if_the_error_does() -> None:
    """It shows which disk is full."""
    assert "/somewhere/weights cannot be written" in str(full_disk(with_file_name()))


def test_other_errors_do_not_count_as_a_full_disk() -> None:
    """A chain of causes may contain a cycle."""
    cyclic = RuntimeError("a")
    cyclic.__context__ = ValueError("b")
    cyclic.__context__.__context__ = cyclic
    assert full_disk(cyclic) is None
    assert full_disk(FileNotFoundError(errno.ENOENT, "No such file")) is None
    assert full_disk(None) is None


def test_a_command_ends_with_one_sentence() -> None:
    """Exit 1 without a traceback; the message says what to do."""
    program = "from kogpt2_chat.cli.output import run; run(lambda: open('/dev/full', 'w', buffering=1).write('a\\n'))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1
    assert done.stderr.startswith("kogpt2-chat: the disk is full")
    assert "Free some space" in done.stderr
    assert "Traceback" not in done.stderr
