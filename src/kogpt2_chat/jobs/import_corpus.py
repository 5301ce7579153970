"""One labelled CSV (``Q,A,label``) to a corpora folder of the same shape as the one that is shipped."""

import csv
import io
import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from kogpt2_chat.domain.chat.bots import BOT_IDS, BOTS
from kogpt2_chat.domain.learning.cleaning import clean, phrase_key, reject_reason
from kogpt2_chat.domain.learning.corpus_parts import CorpusRow, divide, golden_questions, why_unteachable
from kogpt2_chat.domain.text.csv_text import Row, Table, read_table, shown
from kogpt2_chat.errors import InvalidInput

HEADER: Final = ("Q", "A", "label")
_MAX_UNUSABLE_SHARE: Final = 0.01
_TOPIC_BY_LABEL: Final = {0: "일상", 1: "이별", 2: "사랑"}
_BOT_BY_LABEL: Final = {str(bot.label): bot for bot in BOTS}
_SHOWN_ROWS: Final = 5
_NOT_SHOWN: Final = frozenset({"pii"})
"""Rows left out for these reasons are named by their line alone."""


@dataclass(slots=True)
class _Tally:
    """Rows that were not taken: how many, by reason, and the first of them."""

    counts: Counter[str] = field(default_factory=Counter)
    first: list[str] = field(default_factory=list)

    def add(self, reason: str, row: Row, value: str) -> None:
        self.counts[reason] += 1
        if len(self.first) < _SHOWN_ROWS:
            self.first.append(f"line {row.line}: {reason}" + ("" if reason in _NOT_SHOWN else f" {shown(value)}"))

    def in_words(self) -> str:
        reasons = ", ".join(f"{reason} {count}" for reason, count in self.counts.most_common())
        return f"({reasons}), first {'; '.join(self.first)}"


@dataclass(slots=True)
class _Read:
    """What was found in the file."""

    trimmed: int = 0
    unusable: _Tally = field(default_factory=_Tally)
    left_out_by_bot: dict[str, _Tally] = field(default_factory=lambda: defaultdict(_Tally))
    rows_by_bot: dict[str, list[CorpusRow]] = field(default_factory=lambda: defaultdict(list))


def import_corpus(*, source: Path, folder: Path, bots: Sequence[str] = BOT_IDS) -> dict[str, object]:
    """Write seed, gold, dev and golden files for the bots; the same file gives the same folder.

    Unusable rows (columns missing, no such label, no text) are skipped and counted, and stop the import when
    they are more than 1 % of all. Usable rows that the rules of training leave out (self-harm, abuse, personal
    details, doubles) are counted with their reasons and stop nothing. About 60 rows a bot become its gold set
    and as many its dev set, by whole clusters: no question or answer of theirs is in the seed.

    Args:
        source: CSV with the header ``Q,A,label``; label 0, 1, 2 are the bots in the roster's order.
        folder: where to write; made when missing.
        bots: whose files; rows of others are read and not written.

    Returns:
        Counts of all this, the file's lines among them, and the first rows that were not taken.

    Raises:
        InvalidInput: the file is not readable, has another header, too many unusable rows, or too little for a bot
            to be taught and judged by.
    """
    table = _table(source)
    found = _read(table)
    files: dict[str, str] = {}
    counts = {}
    for bot in bots:
        of_bot, counts[bot] = _files(bot, found, source)
        files |= of_bot
    _write(folder, files)
    left_out = sum((tally.counts for tally in found.left_out_by_bot.values()), Counter[str]())
    return {
        "folder": str(folder),
        "lines": {"all": table.lines, "header": table.headers, "blank": table.blank},
        "rows": len(table.rows),
        "trimmed": found.trimmed,
        "unusable": dict(sorted(found.unusable.counts.items())),
        "first_unusable": found.unusable.first,
        "left_out": dict(sorted(left_out.items())),
        "bots": counts,
    }


def _table(source: Path) -> Table:
    try:
        content = source.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{source} cannot be read: {error.strerror or error}") from error
    return read_table(content, name=str(source), header=HEADER)


def _read(table: Table) -> _Read:
    found = _Read()
    seen: set[tuple[str, str, str]] = set()
    for row in table.rows:
        stripped = [value.strip() for value in row.values]
        fault = _fault(stripped)
        if fault:
            found.unusable.add(fault[0], row, fault[1])
            continue
        found.trimmed += stripped != list(row.values)
        _take(row, stripped, found, seen)
    unusable = found.unusable.counts.total()
    if unusable > _MAX_UNUSABLE_SHARE * len(table.rows):
        raise InvalidInput(
            f"{table.name}: {unusable} of {len(table.rows)} rows are unusable {found.unusable.in_words()}; "
            "at most 1 % may be. Correct the file."
        )
    return found


def _take(row: Row, stripped: Sequence[str], found: _Read, seen: set[tuple[str, str, str]]) -> None:
    bot = _BOT_BY_LABEL[stripped[2]]
    pair = CorpusRow(question=clean(stripped[0]), answer=clean(stripped[1]), topic=_TOPIC_BY_LABEL[bot.label])
    key = (bot.id, phrase_key(pair.question), phrase_key(pair.answer))
    reason = "duplicate" if key in seen else reject_reason(pair.question, pair.answer)
    if reason:
        found.left_out_by_bot[bot.id].add(reason, row, ",".join(stripped))
        return
    seen.add(key)
    found.rows_by_bot[bot.id].append(pair)


def _fault(values: Sequence[str]) -> tuple[str, str] | None:
    """Why a row is unusable, and the value that is wrong in it."""
    if len(values) != len(HEADER):
        return "columns", ",".join(values)
    if values[2] not in _BOT_BY_LABEL:
        return "label", values[2]
    return None if clean(values[0]) and clean(values[1]) else ("no_text", ",".join(values))


def _files(bot: str, found: _Read, source: Path) -> tuple[dict[str, str], dict[str, int]]:
    """The files of one bot, and how much is in them.

    Raises:
        InvalidInput: it could not be taught or judged.
    """
    rows = found.rows_by_bot[bot]
    label = next(known.label for known in BOTS if known.id == bot)
    left_out = found.left_out_by_bot[bot]
    apart = f"; {left_out.counts.total()} rows were left out {left_out.in_words()}" if left_out.counts else ""
    if not rows:
        only = "" if apart else ". Name the bots that are to be imported (--bot), or add rows"
        raise InvalidInput(f"{source}: no usable row with label {label} ({bot}){apart}{only}")
    parts = divide(rows)
    if reason := why_unteachable(parts):
        raise InvalidInput(f"{source}: {bot} (label {label}) can't be taught: {reason}{apart}")
    golden = golden_questions(parts.seed)
    texts = {f"{bot}/{name}.csv": _as_csv(getattr(parts, name)) for name in ("seed", "gold", "dev")}
    texts[f"{bot}/golden.json"] = json.dumps(golden, ensure_ascii=False, indent=1) + "\n"
    return texts, {
        "seed": len(parts.seed), "gold": len(parts.gold), "dev": len(parts.dev), "golden": len(golden),
    }  # fmt: skip


def _as_csv(rows: Sequence[CorpusRow]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["question", "answer", "topic"])
    writer.writerows([row.question, row.answer, row.topic] for row in rows)
    return text.getvalue()


def _write(folder: Path, files: Mapping[str, str]) -> None:
    """Each file whole or not at all."""
    for name, text in files.items():
        path = folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            aside = path.with_name(f".{path.name}.part")
            aside.write_text(text, encoding="utf-8")
            aside.replace(path)
        except OSError as error:
            raise InvalidInput(f"corpora folder {folder} cannot be written: {error}") from error
