"""Packed homes of earlier releases, unpacked at the path where they were made.

A home's servers store absolute paths, so all homes use the same path, and only one test can use it at a time.
"""

import json
import os
import shutil
import struct
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kafka.record.util import calc_crc32c

from kogpt2_chat.machine.locks import hold_lock

PLACE: Final = Path("/tmp/kogpt2-upgrade")  # where the homes were made; `alone` checks its owner
_OF_KAFKA_ITSELF: Final = "__"
# The head of a record batch: offset, length, epoch, magic, CRC-32C of the rest; attributes, last offset delta, times.
_HEAD: Final = struct.Struct(">qiiBI")
_TIMES: Final = struct.Struct(">hiqq")


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedHome:
    """A home packed by ``make_home.sh``, and the description of its contents."""

    packed: Path

    @property
    def release(self) -> str:
        """The short hash of the commit that made it."""
        return self.packed.name.removeprefix("home-").removesuffix(".tar.xz")

    @property
    def facts(self) -> dict[str, Any]:
        """Environment variables, turns, replies and datasets of the home."""
        facts: dict[str, Any] = json.loads(self.packed.with_name(f"home-{self.release}.json").read_text("utf-8"))
        return facts


HOMES: Final = [PackedHome(packed=packed) for packed in sorted(Path(__file__).parent.glob("home-*.tar.xz"))]


@contextmanager
def alone(place: Path, progress: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock of the folder for homes, and wait while another process holds it. A process's end releases it.

    Args:
        place: the folder; it is created if it does not exist.
        progress: called with a line of text before waiting.

    Raises:
        PermissionError: the folder belongs to another user.
    """
    place.mkdir(mode=0o755, exist_ok=True)
    if place.stat().st_uid != os.geteuid():
        raise PermissionError(f"{place} belongs to user id {place.stat().st_uid}: ask them to remove it")
    with hold_lock(place / "lock", progress):
        yield


def unpack(home: PackedHome, place: Path) -> Path:
    """Unpack a home, and move the times of its records so that they are as old as when it was packed.

    Args:
        home: the packed home.
        place: the folder for ``home``; an existing ``home`` in it is removed.

    Returns:
        The home's folder.
    """
    if (place / "home").exists():
        shutil.rmtree(place / "home")
    with tarfile.open(home.packed) as archive:
        archive.extractall(place, filter="data")
    age_ms = int((time.time() - home.facts["packed_at"]) * 1000)
    for log in (place / "home" / "data" / "kafka").glob("*/*.log"):
        if not log.parent.name.startswith(_OF_KAFKA_ITSELF):
            log.write_bytes(move_times(log.read_bytes(), age_ms))
    return place / "home"


def move_times(records: bytes, by_ms: int) -> bytes:
    """Return a segment of a topic with all times moved: otherwise the broker would delete the old records."""
    moved, begin = bytearray(records), 0
    while begin < len(records):
        _, length, _, magic, _ = _HEAD.unpack_from(moved, begin)
        assert magic == 2, f"expected batches with magic 2, found {magic}"
        content = begin + _HEAD.size
        attributes, delta, first, last = _TIMES.unpack_from(moved, content)
        _TIMES.pack_into(moved, content, attributes, delta, first + by_ms, last + by_ms)
        end = begin + 12 + length
        struct.pack_into(">I", moved, content - 4, calc_crc32c(bytes(moved[content:end])))
        begin = end
    return bytes(moved)
