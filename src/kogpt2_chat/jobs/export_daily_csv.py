"""Write the daily ``Q,A`` files: this year's conversations, one file per day and bot.

The files are derived from the lake. A run reads only the days and bots that changed since the last one, and rewrites
their files completely. No training uses the files, since most of their answers have no feedback. What spreadsheets need
is in :mod:`kogpt2_chat.domain.text.spreadsheet`.
"""

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from itertools import groupby
from typing import Final

from kogpt2_chat.domain.lake.layout import TURNS, daily_csv_path, seoul_date
from kogpt2_chat.domain.safety.crisis import crisis_digest
from kogpt2_chat.domain.safety.turns import safety_kind
from kogpt2_chat.domain.text.spreadsheet import as_csv
from kogpt2_chat.errors import NotFound
from kogpt2_chat.ports import Files, Partition, Row, TableChanges, Tables
from kogpt2_chat.settings import Settings

_COLUMNS: Final = ("bot", "date", "received_at", "turn_id", "text", "answer", "fallback")
_STATE: Final = "exported.json"
_FORM: Final = 5
"""Increase this number if the format of the files or of the state changes: all files are then written again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportResult:
    """The files of a year.

    Attributes:
        year: the current year in Seoul.
        files: their number.
        written: paths of the files written by this run.
        read: number of days and bots whose turns were read by this run.
    """

    year: str
    files: int
    written: tuple[str, ...]
    read: int


@dataclass(slots=True, kw_only=True)
class _State:
    """What earlier runs have exported.

    Attributes:
        year: the year of all files.
        rules: digest of the rules that decide which turns may be about a crisis.
        mark: the mark of the table that the files were made from; empty if all days must be read again.
        digests: digest of each file's content, by ``DATE/BOT``.
    """

    year: str
    rules: str
    mark: str = ""
    digests: dict[str, str] = field(default_factory=dict)

    def as_json(self) -> bytes:
        """Return the content of the state file."""
        content = {
            "form": _FORM, "year": self.year, "rules": self.rules, "mark": self.mark, "digests": self.digests,
        }  # fmt: skip
        return json.dumps(content, indent=1, sort_keys=True).encode()


def export_daily_csv(*, tables: Tables, files: Files, settings: Settings, now: datetime | None = None) -> ExportResult:
    """Rewrite the file of each day and bot whose content has changed; remove files that have no turns any more.

    All days of the year are read if it is not known which ones changed: in the first run, after the lake was moved away
    or the rules for crises changed, and if there was no run for so long that the table's log no longer covers it.

    Args:
        tables: the lake.
        files: the file system to write to.
        settings: the lake's root folder.
        now: the time, which determines the current year in Seoul; tests replace it.

    Returns:
        The year, its number of files, and the files written.
    """
    root = settings.hdfs.root
    state = _exported(files, root, seoul_date(now or datetime.now(UTC))[:4])
    before = state.as_json()
    changes = tables.changes(TURNS.name, state.mark)
    days = _days_to_read(tables, changes, state)
    kept, written = set[Partition](), []
    for day, rows in _rows_by_day(tables, changes.table_version, days):
        kept.add(day)
        content = as_csv(("Q", "A"), [(str(row["text"]), str(row["answer"])) for row in rows])
        digest = sha256(content).hexdigest()
        if state.digests.get(_key(day)) != digest:
            files.write(_path(root, day), content)
            state.digests[_key(day)] = digest
            written.append(_path(root, day))
    for day in days - kept:
        if state.digests.pop(_key(day), None) is not None:
            files.delete(_path(root, day))
    state.mark = changes.mark
    if state.as_json() != before:
        files.write(_state_path(root), state.as_json())
    return ExportResult(year=state.year, files=len(state.digests), written=tuple(sorted(written)), read=len(days))


def _days_to_read(tables: Tables, changes: TableChanges, state: _State) -> set[Partition]:
    """Return the bots and dates of this year that may have changed: all of them, if it is not known which ones did."""
    if changes.partitions is not None:
        days = set(changes.partitions)
    else:
        known = {(bot, date) for date, _, bot in (key.partition("/") for key in state.digests)}
        days = known | set(tables.partitions(TURNS.name, changes.table_version))
    return {(bot, date) for bot, date in days if date.startswith(state.year)}


def _rows_by_day(
    tables: Tables, table_version: int | None, days: Collection[Partition]
) -> Iterator[tuple[Partition, list[Row]]]:
    """Yield the turns of each day that the model itself answered, in order, without those that may be about a crisis.

    Only the turns of one day and bot are in memory at a time. Days without such turns are left out.
    """
    batches = tables.batches(TURNS.name, _COLUMNS, table_version=table_version, partitions=days)
    for day, of_day in groupby(batches, lambda batch: (str(batch[0]["bot"]), str(batch[0]["date"]))):
        rows: list[Row] = [
            row for batch in of_day for row in batch if row["fallback"] is None and safety_kind(row) is None
        ]
        rows.sort(key=lambda row: (str(row["received_at"]), str(row["turn_id"])))
        if rows:
            yield day, rows


def _exported(files: Files, root: str, year: str) -> _State:
    """Return what earlier runs have exported. Files of another year or another format are removed."""
    rules = crisis_digest()
    try:
        found = json.loads(files.read(_state_path(root)))
    except NotFound:
        return _State(year=year, rules=rules)
    except ValueError:
        found = {}
    if not isinstance(found, dict) or (found.get("form"), found.get("year")) != (_FORM, year):
        files.delete(f"{root}/dailydata")
        return _State(year=year, rules=rules)
    mark = found["mark"] if found["rules"] == rules else ""
    return _State(year=year, rules=rules, mark=mark, digests=dict(found["digests"]))


def _key(day: Partition) -> str:
    bot, date = day
    return f"{date}/{bot}"


def _path(root: str, day: Partition) -> str:
    bot, date = day
    return daily_csv_path(root, date, bot)


def _state_path(root: str) -> str:
    return f"{root}/dailydata/{_STATE}"
