"""Work that kills the process, counted in a local file that outlives it.

Two kinds of work are counted: reading a record (:func:`reading`) and decoding a question, which is named by its turn
id. The file always lists all work that is in progress. What it lists at the next start was in progress when the
process died, or had just ended. These suspects are then read or decoded one by one, so that only the guilty one keeps
its count.

A full disk costs the count, and never an answer.
"""

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

_MOST_KEPT: Final = 1000
"""Suspects whose answers were published just before the process died never come again, and are never cleared."""


def reading(turn_id: str) -> str:
    """Return the name of the work of reading a record, as opposed to decoding the question in it."""
    return f"reading {turn_id}"


class CrashLog:
    """The file of one worker.

    Args:
        path: the file; its folder is made.
        on_trouble: called with the reason why the file cannot be written, and with an empty text once it can.
    """

    def __init__(self, path: Path, on_trouble: Callable[[str], None] = lambda _: None) -> None:
        self._path = path
        self._on_trouble = on_trouble
        self._count_by_work = _read(path)
        self._in_flight: list[str] | None = None
        """What the file says; None if that is unknown."""
        self._write(())

    def count(self, work: str) -> int:
        """Return how often the process has died during this work."""
        return self._count_by_work.get(work, 0)

    @property
    def suspects(self) -> int:
        """How many records and questions are suspected."""
        return len(self._count_by_work)

    def begin(self, works: Sequence[str]) -> None:
        """Note that exactly this work is in progress from now on."""
        if list(works) != self._in_flight:
            self._write(works)

    def survived(self, works: Sequence[str]) -> None:
        """Clear work that was done without killing the process. Written with the next :meth:`begin`."""
        for work in works:
            self._count_by_work.pop(work, None)

    def _write(self, in_flight: Sequence[str]) -> None:
        # No fsync: the file has to survive the process, not the machine.
        aside = self._path.with_suffix(".new")
        content = json.dumps({"counts": self._count_by_work, "in_flight": list(in_flight)})
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            aside.write_text(content, encoding="utf-8")
            aside.replace(self._path)
        except OSError as error:
            self._in_flight = None
            with suppress(OSError):
                aside.unlink(missing_ok=True)
            self._on_trouble(f"crashes are not counted, because {self._path} cannot be written: {error}")
            return
        if self._in_flight is None:
            self._on_trouble("")
        self._in_flight = list(in_flight)


def _read(path: Path) -> dict[str, int]:
    """Return the counts of the last process, one higher for work that was in progress when it died."""
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
        counts = {str(work): int(count) for work, count in body["counts"].items()}
        in_flight = [str(work) for work in body["in_flight"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # none yet, or damaged: start counting again
        return {}
    for work in in_flight:
        counts[work] = counts.pop(work, 0) + 1
    return dict(list(counts.items())[-_MOST_KEPT:])
