"""One process per ordinal on this machine: a lock on a file, which the operating system releases with the process.

Two workers with the same ordinal would share a transactional id and a group member, and fence each other forever.
Between machines the broker prevents it: see :mod:`kogpt2_chat.adapters.kafka.transactional_consumer`.
"""

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import IO

from kogpt2_chat.domain.chat.topics import QUESTION_TOPIC, TOPIC_BY_NAME
from kogpt2_chat.errors import OrdinalTaken

ORDINALS = range(1, TOPIC_BY_NAME[QUESTION_TOPIC].partitions + 1)
"""Ordinals that a worker may choose by itself: with more workers than partitions, some would get no question."""


class Lease:
    """The right to an ordinal, for as long as this process lives and keeps it.

    The file is never removed: otherwise two processes could lock two files.

    Attributes:
        ordinal: the worker's number.

    Args:
        home: of the stack; workers with different homes do not see each other.
        ordinal: the wanted number.

    Raises:
        OrdinalTaken: another process has it.
    """

    def __init__(self, home: Path, ordinal: int) -> None:
        self.ordinal = ordinal
        self._path = home / "run" / f"worker-{ordinal}.lock"
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._path.open("a+", encoding="ascii")  # not truncated: it holds the owner's pid
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = _pid_in(self._file)
            self._file.close()
            raise OrdinalTaken(
                f"ordinal {ordinal} is taken by process {owner} ({self._path}): stop that process, or give this one "
                f"another number (KOGPT2_SERVING__ORDINAL), or 0 for the first free one"
            ) from error
        self._file.truncate(0)
        with suppress(OSError):  # a full disk: the lock is enough, the pid is for people
            os.write(self._file.fileno(), f"{os.getpid()}\n".encode("ascii"))


def lease_ordinal(home: Path, ordinal: int) -> Lease:
    """Take an ordinal.

    Args:
        home: of the stack.
        ordinal: the wanted number; 0 takes the first that no process of this machine and home has.

    Returns:
        The lease; the lock ends with it, so keep it.

    Raises:
        OrdinalTaken: another process has the ordinal, or all of them are taken.
    """
    if ordinal:
        return Lease(home, ordinal)
    for number in ORDINALS:
        try:
            return Lease(home, number)
        except OrdinalTaken:
            continue
    raise OrdinalTaken(
        f"all {len(ORDINALS)} ordinals are taken in {home}: with more workers than partitions, some get no question"
    )


def _pid_in(file: IO[str]) -> str:
    file.seek(0)
    return file.read(20).strip() or "unknown"
