"""Questions that take the whole process down: counted in a local file, so that the count outlives the process.

Before a group is decoded its turn ids are written down; afterwards they are struck out. Whatever still stands
there at the next start was being decoded when the process died. The suspects of a crash are then decoded one
by one, so that only the guilty one keeps its count.
"""

import json
from collections.abc import Sequence
from pathlib import Path


class CrashLog:
    """The file of one worker.

    Args:
        path: the file; its folder is made.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._count_by_turn = _read(path)

    def count(self, turn_id: str) -> int:
        """How often the process has died while decoding this question."""
        return self._count_by_turn.get(turn_id, 0)

    def begin(self, turn_ids: Sequence[str]) -> None:
        """These are being decoded from now on."""
        self._write(turn_ids)

    def end(self, turn_ids: Sequence[str]) -> None:
        """They were decoded, and the process is still alive."""
        for turn_id in turn_ids:
            self._count_by_turn.pop(turn_id, None)
        self._write(())

    def _write(self, in_flight: Sequence[str]) -> None:
        # No fsync: it has to survive the process, not the machine.
        aside = self._path.with_suffix(".new")
        aside.write_text(json.dumps({"counts": self._count_by_turn, "in_flight": list(in_flight)}), encoding="utf-8")
        aside.replace(self._path)


def _read(path: Path) -> dict[str, int]:
    """Counts of the last life, one higher for those that were in flight when it ended."""
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
        counts = {str(turn): int(count) for turn, count in body["counts"].items()}
        in_flight = [str(turn) for turn in body["in_flight"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # none yet, or torn: start counting anew
        return {}
    for turn in in_flight:
        counts[turn] = counts.get(turn, 0) + 1
    return counts
