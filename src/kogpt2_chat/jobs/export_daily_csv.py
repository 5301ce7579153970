"""The daily ``Q,A`` files: a view of this year's conversations, one file a day and bot.

Derived from the lake and rewritten whole. Nothing trains on them: most of their answers are unmarked. A spreadsheet can
open them: a byte order mark says that they are UTF-8, and no cell is a formula.
"""

import csv
import io
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from kogpt2_chat.domain.lake.layout import TURNS, daily_csv_path, seoul_date
from kogpt2_chat.domain.safety.turns import safety_kind
from kogpt2_chat.errors import NotFound
from kogpt2_chat.ports import Files, Tables
from kogpt2_chat.settings import Settings

_COLUMNS: Final = ("bot", "date", "received_at", "turn_id", "text", "answer", "fallback")
_STATE: Final = "exported.json"
_FORM: Final = 3
"""To be raised when other turns are left out than before, or written otherwise: all files are written anew then."""
_FORMULA_STARTS: Final = tuple("=+-@＝＋－＠")
"""What a spreadsheet takes for the beginning of a formula, white space before it or not; full width ones as well."""

Day = tuple[str, str]


def export_daily_csv(
    *, tables: Tables, files: Files, settings: Settings, now: datetime | None = None
) -> dict[str, object]:
    """Rewrite the files of the days that have other turns than when they were last written.

    Args:
        tables: the lake.
        files: where the files go.
        settings: the lake's root folder.
        now: the time that decides which year is the current one in Seoul; the clock's by default.

    Returns:
        The year, how many files there are, and the paths that were written.
    """
    root = settings.hdfs.root
    year = seoul_date(now or datetime.now(UTC))[:4]
    rows_by_day = _rows_by_day(tables, year)
    counts = _exported(files, root, year)
    written = []
    for (date, bot), rows in sorted(rows_by_day.items()):
        if counts.get(f"{date}/{bot}") != len(rows):
            path = daily_csv_path(root, date, bot)
            files.write(path, _as_csv(rows))
            counts[f"{date}/{bot}"] = len(rows)
            written.append(path)
    if written:
        state = {"year": year, "form": _FORM, "rows": counts}
        files.write(_state_path(root), json.dumps(state, indent=1, sort_keys=True).encode())
    return {"year": year, "files": len(rows_by_day), "written": written}


def _rows_by_day(tables: Tables, year: str) -> Mapping[Day, list[Mapping[str, object]]]:
    """Turns that the model answered itself, in their order; none that may speak of a crisis, whoever answered."""
    rows_by_day: dict[Day, list[Mapping[str, object]]] = defaultdict(list)
    for row in tables.read(TURNS.name, _COLUMNS):
        if str(row["date"]).startswith(year) and row["fallback"] is None and safety_kind(row) is None:
            rows_by_day[str(row["date"]), str(row["bot"])].append(row)
    for rows in rows_by_day.values():
        rows.sort(key=lambda row: (str(row["received_at"]), str(row["turn_id"])))
    return rows_by_day


def _exported(files: Files, root: str, year: str) -> dict[str, int]:
    """How many rows each file held when it was written; files of another year, or by other rules, are removed."""
    try:
        state = json.loads(files.read(_state_path(root)))
    except NotFound:
        return {}
    if state["year"] == year and state.get("form") == _FORM:
        return dict(state["rows"])
    files.delete(f"{root}/dailydata")
    return {}


def _as_csv(rows: Sequence[Mapping[str, object]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["Q", "A"])
    writer.writerows([_as_text(row["text"]), _as_text(row["answer"])] for row in rows)
    return text.getvalue().encode("utf-8-sig")


def _as_text(value: object) -> str:
    """A cell that a spreadsheet shows and does not compute; players write what they like."""
    text = str(value)
    begun = text.lstrip()
    return f"'{text}" if begun.startswith(_FORMULA_STARTS) else text


def _state_path(root: str) -> str:
    return f"{root}/dailydata/{_STATE}"
