"""Count the work during which the process died, in local files.

Two kinds of work are counted: reading a record (:func:`reading`), and decoding a question, which is identified by its
turn id. The files always list all work in progress. What they list at the next start was in progress when the process
died, or had just ended. The worker then reads or decodes these suspects one by one, so that only the one that kills
the process keeps its count.

They are written whenever the work in progress changes, so they are overwritten in place. After a file is replaced or
truncated, ext4 flushes it to the disk (option ``auto_da_alloc``), which takes up to a quarter of a second. Two files
take turns: if the process dies while it writes one, the other has the state before.

If a file cannot be written, crashes are not counted, but questions are still answered.
"""

import json
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

_MOST_KEPT: Final = 1000
"""Maximum number of suspects. A suspect whose answer was published just before the crash is never polled again, so its
count is never cleared."""


def reading(turn_id: str) -> str:
    """Return the name for the work of reading a record, as opposed to decoding its question."""
    return f"reading {turn_id}"


class CrashLog:
    """The crash log of one worker.

    Args:
        path: the first file; its folder is created. The second one is beside it.
        on_trouble: called with the reason if the file cannot be written, and with an empty text once it can.
    """

    def __init__(self, path: Path, on_trouble: Callable[[str], None] = lambda _: None) -> None:
        self._paths = (path, path.with_name(f"{path.stem}.2{path.suffix}"))
        self._on_trouble = on_trouble
        self._number, in_flight, self._count_by_work = _read(self._paths)
        for work in in_flight:
            self._count_by_work[work] = self._count_by_work.pop(work, 0) + 1
        self._count_by_work = dict(list(self._count_by_work.items())[-_MOST_KEPT:])
        self._in_flight: list[str] | None = None
        """The work that the files list; None if unknown."""
        self._begin_nothing()

    def count(self, work: str) -> int:
        """Return how often the process has died during this work."""
        return self._count_by_work.get(work, 0)

    @property
    def suspects(self) -> int:
        """The number of suspects."""
        return len(self._count_by_work)

    def begin(self, works: Sequence[str]) -> None:
        """Record that exactly this work is in progress now."""
        if list(works) == self._in_flight:
            return
        if works:
            self._write(works)
        else:
            self._begin_nothing()

    def survived(self, works: Sequence[str]) -> None:
        """Clear the count of work that has ended. This is written with the next :meth:`begin`."""
        for work in works:
            self._count_by_work.pop(work, None)

    def _begin_nothing(self) -> None:
        """Write both files: an earlier release reads only the first. Later writes then usually need no more space."""
        for _ in self._paths:
            self._write(())

    def _write(self, in_flight: Sequence[str]) -> None:
        number = self._number + 1
        path = self._paths[number % len(self._paths)]
        # The number is at both ends: if they differ, the process died while it wrote.
        state = {"number": number, "counts": self._count_by_work, "in_flight": list(in_flight), "end": number}
        try:
            _overwrite(path, json.dumps(state).encode())
        except OSError as error:
            self._in_flight = None
            self._on_trouble(f"crashes are not counted, because {path} cannot be written: {error}")
            return
        if self._in_flight is None:
            self._on_trouble("")
        self._number, self._in_flight = number, list(in_flight)


def _overwrite(path: Path, content: bytes) -> None:
    """Write a file in place, padded with spaces to its old size. No fsync: it need not survive the machine's crash."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
    try:
        padded, written = content.ljust(os.fstat(descriptor).st_size), 0
        while written < len(padded):
            written += os.pwrite(descriptor, padded[written:], written)
    finally:
        os.close(descriptor)


def _read(paths: Iterable[Path]) -> tuple[int, list[str], dict[str, int]]:
    """Return number, work in progress and counts of the newest whole file; nothing if all are missing or damaged.

    A file without a number is from an earlier release, which ran last: this one numbers both files at its start.
    """
    found: tuple[int, list[str], dict[str, int]] = (0, [], {})
    for path in paths:
        try:
            body = json.loads(path.read_text(encoding="utf-8"))
            number, is_numbered = int(body.get("number", 0)), "number" in body
            counts = {str(work): int(count) for work, count in body["counts"].items()}
            in_flight = [str(work) for work in body["in_flight"]]
        except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError):
            continue
        if not is_numbered:
            return 0, in_flight, counts
        if number == body.get("end") and number >= found[0]:
            found = number, in_flight, counts
    return found
