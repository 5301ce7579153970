"""One process a slot on this machine: a lock on a file, which the operating system gives back when the process ends.

Two workers with one slot would share a transactional id and a place in the group, and hinder each other without end.
Between machines the broker is the guard: see :mod:`kogpt2_chat.adapters.kafka.transactional_consumer`.
"""

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import IO

from kogpt2_chat.domain.chat.topics import QUESTION_TOPIC, TOPIC_BY_NAME
from kogpt2_chat.errors import Conflict

SLOTS = range(1, TOPIC_BY_NAME[QUESTION_TOPIC].partitions + 1)
"""Slots that a worker may choose from by itself: with more workers than partitions some would get no question."""


class Lease:
    """The right to a slot, for as long as this process lives.

    Attributes:
        slot: the number.

    Args:
        home: of the stack; workers with different homes do not see each other.
        slot: wanted number.

    Raises:
        Conflict: another process has it.
    """

    def __init__(self, home: Path, slot: int) -> None:
        self.slot = slot
        self._path = home / "run" / f"worker-{slot}.lock"
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._path.open("a+", encoding="ascii")  # not emptied: the owner's pid stands there
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = _pid_in(self._file)
            self._file.close()
            raise Conflict(
                f"slot {slot} is taken by process {owner} ({self._path}): stop that process, give this one another "
                f"number (KOGPT2_SERVING__SLOT), or 0 for the first that is free"
            ) from error
        self._file.truncate(0)
        with suppress(OSError):  # a full disk: the lock counts, the number is for people
            os.write(self._file.fileno(), f"{os.getpid()}\n".encode("ascii"))

    def give_back(self) -> None:
        """Let another process of this machine have it. The file stays: removing it would let two hold two files."""
        self._file.close()


def lease_ordinal(home: Path, slot: int) -> Lease:
    """Take a slot.

    Args:
        home: of the stack.
        slot: its number; 0 takes the first that no process of this machine and home has.

    Returns:
        The lease; keep it, since the lock ends with it.

    Raises:
        Conflict: another process has the slot, or all of them are taken.
    """
    if slot:
        return Lease(home, slot)
    for number in SLOTS:
        try:
            return Lease(home, number)
        except Conflict:
            continue
    raise Conflict(f"all {len(SLOTS)} slots are taken in {home}: more workers than partitions would get no question")


def _pid_in(file: IO[str]) -> str:
    file.seek(0)
    return file.read(20).strip() or "unknown"
