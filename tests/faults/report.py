"""The results of the scenarios, as a table and as JSON."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.faults.reply_audit import AuditResult

_COLUMNS = ("scenario", "questions", "kills", "lost", "double", "unmatched", "dead_letters", "aborted", "recovery_s")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioRow:
    """The result of one scenario.

    Attributes:
        kills: number of faults: kills, freezes, held or lost requests.
        recovery_s: most seconds from the end of a fault until all questions were answered; None if not measured.
    """

    scenario: str
    questions: int
    kills: int
    lost: int
    double: int
    unmatched: int
    dead_letters: int
    aborted: int
    recovery_s: float | None = None


class FaultReport:
    """The results of one session."""

    def __init__(self) -> None:
        self.rows: list[ScenarioRow] = []

    def add(self, scenario: str, result: AuditResult, *, kills: int = 0, recovery_s: float | None = None) -> None:
        """Add a row, and print it at once, because a session takes long."""
        self.rows.append(
            ScenarioRow(
                scenario=scenario,
                questions=result.questions,
                kills=kills,
                lost=result.lost,
                double=result.double,
                unmatched=result.unmatched,
                dead_letters=result.dead_letters,
                aborted=result.aborted,
                recovery_s=None if recovery_s is None else round(recovery_s, 1),
            )
        )
        print(f"faults: {self.rows[-1]}", flush=True)

    def write(self, path: Path) -> None:
        """Write the rows as a JSON list."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps([asdict(row) for row in self.rows], ensure_ascii=False, indent=1), encoding="utf-8")

    def table(self) -> list[str]:
        """Return the lines of an aligned table."""
        cells = [_COLUMNS, *(tuple(_cell(getattr(row, name)) for name in _COLUMNS) for row in self.rows)]
        widths = [max(len(row[n]) for row in cells) for n in range(len(_COLUMNS))]
        return ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) for row in cells]


def _cell(value: object) -> str:
    return "–" if value is None else str(value)
