"""Room on the disks of a stack: when one counts as full, what is said then, and how a server waits for room.

Lake and index stop taking anything while so much is left that Kafka can go on; a server that died of a full disk is
started again once that much is free. Nobody has to do anything but make room.
"""

import shlex
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_KB_PER_MB: Final = 1024
_LOOK_EVERY_S: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What is free on the disk of one folder.

    Attributes:
        place: the folder, or the nearest one above it that is there.
        disk: number of its device.
    """

    place: Path
    disk: int
    free_mb: int

    def shortage(self, wanted_mb: int) -> str | None:
        """What is too little here and what to do, or None when there is enough."""
        if self.free_mb >= wanted_mb:
            return None
        return f"{wanted_mb} MB are needed at {self.place}, {self.free_mb} MB are free"


def room_at(folder: Path) -> Room:
    """Look at the disk of a folder that may not be there yet."""
    place = next(path for path in (folder, *folder.parents) if path.exists())
    return Room(place=place, disk=place.stat().st_dev, free_mb=shutil.disk_usage(place).free >> 20)


def full_disks(folders: Iterable[Path], keep_free_mb: int) -> list[str]:
    """A sentence for each disk of these folders that is full: where, how much is free, what that means, what to do.

    Args:
        folders: of a stack; some may be links to other disks.
        keep_free_mb: below that a disk counts as full.
    """
    by_disk: dict[int, Room] = {}
    for folder in folders:
        room = room_at(folder)
        by_disk.setdefault(room.disk, room)
    shortages = (room.shortage(keep_free_mb) for room in by_disk.values())
    return [
        f"the disk is full: {shortage}. The lake and the index take nothing until then, and servers that died of it "
        "wait: make room, the rest goes on by itself"
        for shortage in shortages
        if shortage
    ]


def wait_for_room(folder: Path, keep_free_mb: int) -> list[str]:
    """Shell lines that go on once there is room: without them a server dies of a full disk again and again.

    Args:
        folder: whose disk the server fills.
        keep_free_mb: that has to be free.

    Returns:
        Lines for ``sh``. Where ``df`` gives no number they wait for nothing.
    """
    wanted = keep_free_mb * _KB_PER_MB
    df = f"df -Pk {shlex.quote(str(folder))}"
    sentence = shlex.quote(f"waiting for room: {keep_free_mb} MB are needed at {folder}; KB free:")
    return [
        f"free_kb() {{ {df} | sed -n '$s/.* \\([0-9][0-9]*\\)  *[0-9][0-9]*% .*/\\1/p'; }}",
        f'while free=$(free_kb); [ "${{free:-{wanted}}}" -lt {wanted} ]; do',
        f'  [ -n "${{waits:-}}" ] || echo {sentence} "$free"',
        f"  waits=1; sleep {_LOOK_EVERY_S}",
        "done",
    ]
