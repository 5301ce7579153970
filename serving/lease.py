"""Allow one process per ordinal on this machine, by a file lock that the operating system releases with the process.

Two workers with the same ordinal would share a transactional id and a group member, and fence each other forever.
Between machines, the broker prevents this: see :mod:`kogpt2_chat.adapters.kafka.transactional_consumer`.
"""

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import IO

from kogpt2_chat.domain.chat.topics import QUESTION_TOPIC, TOPIC_BY_NAME
from kogpt2_chat.errors import OrdinalTaken

ORDINALS = range(1, TOPIC_BY_NAME[QUESTION_TOPIC].partitions + 1)
"""Ordinals that a worker may choose itself: with more workers than partitions, some workers would get no questions."""


class Lease:
    """The lock on an ordinal. It ends with the process, or when the lease is garbage-collected.

    The file is never removed: otherwise two processes could lock two files of the same name.

    Attributes:
        ordinal: the worker's number.

    Args:
        home: of the stack; workers with different homes do not exclude each other.
        ordinal: the number to lock.

    Raises:
        OrdinalTaken: another process holds it.
    """

    def __init__(self, home: Path, ordinal: int) -> None:
        self.ordinal = ordinal
        self._path = home / "run" / f"worker-{ordinal}.lock"
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._path.open("a+", encoding="ascii")  # not truncated: it may contain another owner's pid
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = _pid_in(self._file)
            self._file.close()
            raise OrdinalTaken(
                f"ordinal {ordinal} is taken by process {owner} ({self._path}): stop that process, or set "
                f"KOGPT2_SERVING__ORDINAL to another number, or to 0 for the first free one"
            ) from error
        self._file.truncate(0)
        with suppress(OSError):  # a full disk: the lock still works, and the pid is only for messages
            os.write(self._file.fileno(), f"{os.getpid()}\n".encode("ascii"))


def lease_ordinal(home: Path, ordinal: int) -> Lease:
    """Lock an ordinal.

    Args:
        home: of the stack.
        ordinal: the number to lock; 0: the first one that is free in this home.

    Returns:
        The lease. Keep a reference to it: the lock ends with the object.

    Raises:
        OrdinalTaken: another process holds the ordinal, or all ordinals are taken.
    """
    if ordinal:
        return Lease(home, ordinal)
    for number in ORDINALS:
        try:
            return Lease(home, number)
        except OrdinalTaken:
            continue
    raise OrdinalTaken(
        f"all {len(ORDINALS)} ordinals are taken in {home}: with more workers than partitions, some would get no "
        "questions"
    )


def _pid_in(file: IO[str]) -> str:
    file.seek(0)
    return file.read(20).strip() or "unknown"
