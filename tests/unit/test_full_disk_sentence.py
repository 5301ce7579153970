"""A command that meets a full disk says so in one sentence, whichever library met it."""

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


def named() -> BaseException:
    return OSError(errno.ENOSPC, "No space left on device", "/somewhere/weights")


# As safetensors 0.8, SQLite and MLflow's server say it.
SAID = (
    SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
    sqlite3.OperationalError("database or disk is full"),
    RuntimeError("TEMPORARILY_UNAVAILABLE: (sqlite3.OperationalError) database or disk is full"),
)


@pytest.mark.parametrize("made", [raised_by_file, wrapped, *(lambda error=error: error for error in SAID)])
def test_a_full_disk_is_known_behind_any_error(made) -> None:
    """By the system's code or its words, also where another error was raised from it."""
    assert str(full_disk(made())).startswith("the disk is full")


def test_the_file_is_named_where_the_error_names_it() -> None:
    """So that whoever reads it knows which disk."""
    assert "/somewhere/weights cannot be written" in str(full_disk(named()))


def test_other_errors_are_not_taken_for_it() -> None:
    """Neither a missing file nor a loop of errors."""
    looped = RuntimeError("a")
    looped.__context__ = ValueError("b")
    looped.__context__.__context__ = looped
    assert full_disk(looped) is None
    assert full_disk(FileNotFoundError(errno.ENOENT, "No such file")) is None
    assert full_disk(None) is None


def test_a_command_ends_with_one_sentence() -> None:
    """Exit 1, what to do, no traceback."""
    program = "from kogpt2_chat.cli.output import run; run(lambda: open('/dev/full', 'w', buffering=1).write('a\\n'))"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=120)
    assert ended.returncode == 1
    assert ended.stderr.startswith("kogpt2-chat: the disk is full")
    assert "Free some space" in ended.stderr
    assert "Traceback" not in ended.stderr
