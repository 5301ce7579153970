"""Write the daily ``Q,A`` files: this year's conversations, one file per day and bot.

The files are derived from the lake and always rewritten completely. No training uses them, since most of their answers
have no feedback. Spreadsheets can open them: a byte order mark declares UTF-8, and no cell is a formula.
"""

import csv
import io
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final

from kogpt2_chat.domain.lake.layout import TURNS, daily_csv_path, seoul_date
from kogpt2_chat.domain.safety.turns import safety_kind
from kogpt2_chat.errors import NotFound
from kogpt2_chat.ports import Files, Tables
from kogpt2_chat.settings import Settings

_COLUMNS: Final = ("bot", "date", "received_at", "turn_id", "text", "answer", "fallback")
_STATE: Final = "exported.json"
_FORM: Final = 4
"""Increase this number if the format of the files or of the state changes: all files are then written again."""
_FORMULA_STARTS: Final = tuple("=+-@＝＋－＠")
"""Characters, including full-width ones, that spreadsheets read as the start of a formula, even after white space."""

Day = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportResult:
    """The files of a year.

    Attributes:
        year: the current year in Seoul.
        files: their number.
        written: paths of the files written by this run.
    """

    year: str
    files: int
    written: tuple[str, ...]


def export_daily_csv(*, tables: Tables, files: Files, settings: Settings, now: datetime | None = None) -> ExportResult:
    """Rewrite the file of each day and bot whose content has changed; remove files that have no turns any more.

    Args:
        tables: the lake.
        files: the file system to write to.
        settings: the lake's root folder.
        now: the time, which determines the current year in Seoul; tests replace it.

    Returns:
        The year, its number of files, and the files written.
    """
    root = settings.hdfs.root
    year = seoul_date(now or datetime.now(UTC))[:4]
    rows_by_day = _rows_by_day(tables, year)
    digests = _exported(files, root, year)
    written = []
    gone = set(digests) - {f"{date}/{bot}" for date, bot in rows_by_day}
    for day in gone:
        files.delete(daily_csv_path(root, *day.split("/")))
        del digests[day]
    for (date, bot), rows in sorted(rows_by_day.items()):
        content = _as_csv(rows)
        digest = sha256(content).hexdigest()
        if digests.get(f"{date}/{bot}") != digest:
            path = daily_csv_path(root, date, bot)
            files.write(path, content)
            digests[f"{date}/{bot}"] = digest
            written.append(path)
    if written or gone:
        state = {"year": year, "form": _FORM, "digests": digests}
        files.write(_state_path(root), json.dumps(state, indent=1, sort_keys=True).encode())
    return ExportResult(year=year, files=len(rows_by_day), written=tuple(written))


def _rows_by_day(tables: Tables, year: str) -> Mapping[Day, list[Mapping[str, object]]]:
    """Return the turns that the model itself answered, in order, without those that may be about a crisis."""
    rows_by_day: dict[Day, list[Mapping[str, object]]] = defaultdict(list)
    for row in tables.read(TURNS.name, _COLUMNS):
        if str(row["date"]).startswith(year) and row["fallback"] is None and safety_kind(row) is None:
            rows_by_day[str(row["date"]), str(row["bot"])].append(row)
    for rows in rows_by_day.values():
        rows.sort(key=lambda row: (str(row["received_at"]), str(row["turn_id"])))
    return rows_by_day


def _exported(files: Files, root: str, year: str) -> dict[str, str]:
    """Return the digest of each file's content as written. Files of another year or another format are removed."""
    try:
        state = json.loads(files.read(_state_path(root)))
    except NotFound:
        return {}
    if state["year"] == year and state.get("form") == _FORM:
        return dict(state["digests"])
    files.delete(f"{root}/dailydata")
    return {}


def _as_csv(rows: Sequence[Mapping[str, object]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["Q", "A"])
    writer.writerows([_as_text(row["text"]), _as_text(row["answer"])] for row in rows)
    return text.getvalue().encode("utf-8-sig")


def _as_text(value: object) -> str:
    """Return a cell that spreadsheets show as text: players can write texts that look like a formula."""
    text = str(value)
    return f"'{text}" if text.lstrip().startswith(_FORMULA_STARTS) else text


def _state_path(root: str) -> str:
    return f"{root}/dailydata/{_STATE}"
