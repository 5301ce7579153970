"""Count the work during which the process died, in a local file.

Two kinds of work are counted: reading a record (:func:`reading`), and decoding a question, which is identified by its
turn id. The file always lists all work in progress. What it lists at the next start was in progress when the process
died, or had just ended. The worker then reads or decodes these suspects one by one, so that only the one that kills
the process keeps its count.

If the disk is full, crashes are not counted, but questions are still answered.
"""

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
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
        path: the file; its folder is created.
        on_trouble: called with the reason if the file cannot be written, and with an empty text once it can.
    """

    def __init__(self, path: Path, on_trouble: Callable[[str], None] = lambda _: None) -> None:
        self._path = path
        self._on_trouble = on_trouble
        self._count_by_work = _read(path)
        self._in_flight: list[str] | None = None
        """The work that the file lists; None if unknown."""
        self._write(())

    def count(self, work: str) -> int:
        """Return how often the process has died during this work."""
        return self._count_by_work.get(work, 0)

    @property
    def suspects(self) -> int:
        """The number of suspects."""
        return len(self._count_by_work)

    def begin(self, works: Sequence[str]) -> None:
        """Record that exactly this work is in progress now."""
        if list(works) != self._in_flight:
            self._write(works)

    def survived(self, works: Sequence[str]) -> None:
        """Clear the count of work that has ended. This is written with the next :meth:`begin`."""
        for work in works:
            self._count_by_work.pop(work, None)

    def _write(self, in_flight: Sequence[str]) -> None:
        # No fsync: the file must survive a crash of the process, not of the machine.
        new_file = self._path.with_suffix(".new")
        content = json.dumps({"counts": self._count_by_work, "in_flight": list(in_flight)})
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            new_file.write_text(content, encoding="utf-8")
            new_file.replace(self._path)
        except OSError as error:
            self._in_flight = None
            with suppress(OSError):
                new_file.unlink(missing_ok=True)
            self._on_trouble(f"crashes are not counted, because {self._path} cannot be written: {error}")
            return
        if self._in_flight is None:
            self._on_trouble("")
        self._in_flight = list(in_flight)


def _read(path: Path) -> dict[str, int]:
    """Return the counts in the file, increased by one for the work that was in progress."""
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
        counts = {str(work): int(count) for work, count in body["counts"].items()}
        in_flight = [str(work) for work in body["in_flight"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # missing or damaged: start at zero
        return {}
    for work in in_flight:
        counts[work] = counts.pop(work, 0) + 1
    return dict(list(counts.items())[-_MOST_KEPT:])
