"""Work that takes the whole process down: counted in a local file, so that the count outlives the process.

Two kinds of work are counted: a record that is read (:func:`reading`), and a question that is decoded, which
goes by its turn id. Before either is begun, it is written down with all others that are under way then. Whatever
stands there at the next start was under way when the process died, or just had been. These suspects are then read or
decoded one by one, so that only the guilty one keeps its count.

A disk that takes no more costs the count, and never an answer.
"""

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

_MOST_KEPT: Final = 1000
"""Suspects whose answers were published just before their process died are never asked again, and never cleared."""


def reading(turn_id: str) -> str:
    """What the file calls a record that is being read, as against the question in it that is being decoded."""
    return f"reading {turn_id}"


class CrashLog:
    """The file of one worker.

    Args:
        path: the file; its folder is made.
        on_trouble: told why the file cannot be written, and an empty text once it can be again.
    """

    def __init__(self, path: Path, on_trouble: Callable[[str], None] = lambda _: None) -> None:
        self._path = path
        self._on_trouble = on_trouble
        self._count_by_work = _read(path)
        self._in_flight: list[str] | None = None
        """What the file says; None where it may say anything."""
        self._write(())

    def count(self, work: str) -> int:
        """How often the process has died while it was at this."""
        return self._count_by_work.get(work, 0)

    @property
    def suspects(self) -> int:
        """How much work is suspected: records to read and questions to decode."""
        return len(self._count_by_work)

    def begin(self, works: Sequence[str]) -> None:
        """These, and no others, are under way from now on."""
        if list(works) != self._in_flight:
            self._write(works)

    def survived(self, works: Sequence[str]) -> None:
        """They were done, and the process is still alive. Written down with the next :meth:`begin`."""
        for work in works:
            self._count_by_work.pop(work, None)

    def _write(self, in_flight: Sequence[str]) -> None:
        # No fsync: it has to survive the process, not the machine.
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
            self._on_trouble(f"crashes are not counted, since {self._path} cannot be written: {error}")
            return
        if self._in_flight is None:
            self._on_trouble("")
        self._in_flight = list(in_flight)


def _read(path: Path) -> dict[str, int]:
    """Counts of the last life, one higher for those that were in flight when it ended."""
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
        counts = {str(work): int(count) for work, count in body["counts"].items()}
        in_flight = [str(work) for work in body["in_flight"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # none yet, or torn: start counting anew
        return {}
    for work in in_flight:
        counts[work] = counts.pop(work, 0) + 1
    return dict(list(counts.items())[-_MOST_KEPT:])
