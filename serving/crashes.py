"""Questions that take the whole process down: counted in a local file, so that the count outlives the process.

Before a question is decoded, it is written down with all others that are being decoded then. Whatever stands there
at the next start was being decoded when the process died, or just had been. These suspects are then decoded one by
one, so that only the guilty one keeps its count.

A disk that takes no more costs the count, and never an answer.
"""

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

_MOST_KEPT: Final = 1000
"""Suspects that were published just before their process died are never asked again, and never cleared."""


class CrashLog:
    """The file of one worker.

    Args:
        path: the file; its folder is made.
        on_trouble: told why the file cannot be written, and an empty text once it can be again.
    """

    def __init__(self, path: Path, on_trouble: Callable[[str], None] = lambda _: None) -> None:
        self._path = path
        self._on_trouble = on_trouble
        self._count_by_turn = _read(path)
        self._in_flight: list[str] | None = None
        """What the file says; None where it may say anything."""
        self._write(())

    def count(self, turn_id: str) -> int:
        """How often the process has died while decoding this question."""
        return self._count_by_turn.get(turn_id, 0)

    @property
    def suspects(self) -> int:
        """How many questions are suspected."""
        return len(self._count_by_turn)

    def begin(self, turn_ids: Sequence[str]) -> None:
        """These, and no others, are being decoded from now on."""
        if list(turn_ids) != self._in_flight:
            self._write(turn_ids)

    def survived(self, turn_ids: Sequence[str]) -> None:
        """They were decoded, and the process is still alive. Written down with the next :meth:`begin`."""
        for turn_id in turn_ids:
            self._count_by_turn.pop(turn_id, None)

    def _write(self, in_flight: Sequence[str]) -> None:
        # No fsync: it has to survive the process, not the machine.
        aside = self._path.with_suffix(".new")
        content = json.dumps({"counts": self._count_by_turn, "in_flight": list(in_flight)})
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
        counts = {str(turn): int(count) for turn, count in body["counts"].items()}
        in_flight = [str(turn) for turn in body["in_flight"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # none yet, or torn: start counting anew
        return {}
    for turn in in_flight:
        counts[turn] = counts.pop(turn, 0) + 1
    return dict(list(counts.items())[-_MOST_KEPT:])
