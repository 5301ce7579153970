"""Homes that earlier releases left behind, unpacked where they were made.

A home's servers remember absolute paths, so there is one place for all of them, and one test at a time has it.
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

PLACE: Final = Path("/tmp/kogpt2-upgrade")  # where they were made; it is looked whose it is
_OF_KAFKA_ITSELF: Final = "__"
# Of a batch of records: offset, length, epoch, magic, CRC-32C of all that follows; attributes, last offset's delta, times.
_HEAD: Final = struct.Struct(">qiiBI")
_TIMES: Final = struct.Struct(">hiqq")


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedHome:
    """What ``make_home.sh`` wrote: a packed home, and beside it what it holds."""

    packed: Path

    @property
    def release(self) -> str:
        """The commit that made it, shortened."""
        return self.packed.name.removeprefix("home-").removesuffix(".tar.xz")

    @property
    def facts(self) -> dict[str, Any]:
        """Variables, turns, replies and datasets of the home."""
        facts: dict[str, Any] = json.loads(self.packed.with_name(f"home-{self.release}.json").read_text("utf-8"))
        return facts


HOMES: Final = [PackedHome(packed=packed) for packed in sorted(Path(__file__).parent.glob("home-*.tar.xz"))]


@contextmanager
def alone(place: Path, tell: Callable[[str], None]) -> Iterator[None]:
    """Have the place; whoever comes second waits and says so. The system lets go of it when a process dies.

    Args:
        place: made here, if it is not there.
        tell: told that somebody else has it.

    Raises:
        PermissionError: it is another user's.
    """
    place.mkdir(mode=0o755, exist_ok=True)
    if place.stat().st_uid != os.geteuid():
        raise PermissionError(f"{place} belongs to user id {place.stat().st_uid}: ask them to remove it")
    with hold_lock(place / "lock", tell):
        yield


def unpack(home: PackedHome, place: Path) -> Path:
    """Unpack a home, with its records as old as they were when it was packed.

    Args:
        home: which.
        place: where ``home`` is to lie; nothing may be there.

    Returns:
        Its folder.
    """
    if (place / "home").exists():
        shutil.rmtree(place / "home")
    with tarfile.open(home.packed) as archive:
        archive.extractall(place, filter="data")
    age_ms = int((time.time() - home.facts["packed_at"]) * 1000)
    for log in (place / "home" / "data" / "kafka").glob("*/*.log"):
        if not log.parent.name.startswith(_OF_KAFKA_ITSELF):
            log.write_bytes(later(log.read_bytes(), age_ms))
    return place / "home"


def later(records: bytes, by_ms: int) -> bytes:
    """A segment of a topic with all its times moved: a broker drops records by age, and a packed home only gets older."""
    moved, begin = bytearray(records), 0
    while begin < len(records):
        _, length, _, magic, _ = _HEAD.unpack_from(moved, begin)
        assert magic == 2, f"expected batches of form 2, found {magic}"
        content = begin + _HEAD.size
        attributes, delta, first, last = _TIMES.unpack_from(moved, content)
        _TIMES.pack_into(moved, content, attributes, delta, first + by_ms, last + by_ms)
        end = begin + 12 + length
        struct.pack_into(">I", moved, content - 4, calc_crc32c(bytes(moved[content:end])))
        begin = end
    return bytes(moved)
