"""What the scenarios measured, as a table and as JSON."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.faults.reply_audit import Verdict

_COLUMNS = ("scenario", "questions", "kills", "lost", "double", "unmatched", "dead_letters", "aborted", "again_s")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioRow:
    """One scenario.

    Attributes:
        kills: processes killed, stopped or requests held.
        again_s: seconds until questions were answered again after the last fault; None where nothing was away.
    """

    scenario: str
    questions: int
    kills: int
    lost: int
    double: int
    unmatched: int
    dead_letters: int
    aborted: int
    again_s: float | None = None


class FaultReport:
    """Rows of one session."""

    def __init__(self) -> None:
        self.rows: list[ScenarioRow] = []

    def add(self, scenario: str, verdict: Verdict, *, kills: int = 0, again_s: float | None = None) -> None:
        """Write a scenario down; say it at once, since a long run is watched."""
        self.rows.append(
            ScenarioRow(
                scenario=scenario,
                questions=verdict.questions,
                kills=kills,
                lost=verdict.lost,
                double=verdict.double,
                unmatched=verdict.unmatched,
                dead_letters=verdict.dead_letters,
                aborted=verdict.aborted,
                again_s=None if again_s is None else round(again_s, 1),
            )
        )
        print(f"faults: {self.rows[-1]}", flush=True)

    def write(self, path: Path) -> None:
        """As JSON, a list of rows."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps([asdict(row) for row in self.rows], ensure_ascii=False, indent=1), encoding="utf-8")

    def table(self) -> list[str]:
        """Lines with columns of one width."""
        cells = [_COLUMNS, *(tuple(_cell(getattr(row, name)) for name in _COLUMNS) for row in self.rows)]
        widths = [max(len(row[n]) for row in cells) for n in range(len(_COLUMNS))]
        return ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) for row in cells]


def _cell(value: object) -> str:
    return "–" if value is None else str(value)
