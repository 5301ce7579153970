"""Convert one labelled CSV file (``Q,A,label``) into a corpora folder with the layout of the shipped one."""

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
from kogpt2_chat.domain.learning.corpus_parts import CorpusRow, divide, golden_questions, training_obstacle
from kogpt2_chat.domain.text.csv_text import CsvRow, CsvTable, read_table, shown
from kogpt2_chat.errors import InvalidInput

HEADER: Final = ("Q", "A", "label")
_MAX_UNUSABLE_SHARE: Final = 0.01
_TOPIC_BY_LABEL: Final = {0: "일상", 1: "이별", 2: "사랑"}
_BOT_BY_LABEL: Final = {str(bot.label): bot for bot in BOTS}
_SHOWN_ROWS: Final = 5
_NOT_SHOWN: Final = frozenset({"pii"})
"""For rows left out for these reasons, messages show the line number and the reason, but no text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """The lines of the file.

    Attributes:
        all: their number.
        header: lines that repeat the header.
        blank: empty lines.
    """

    all: int
    header: int
    blank: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusSizes:
    """Number of entries in each file of a bot.

    Attributes:
        seed: pairs that the bot always learns.
        gold: pairs to evaluate it.
        dev: pairs to fit its thresholds.
        golden: questions with words; a good answer contains at least one of them.
    """

    seed: int
    gold: int
    dev: int
    golden: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportResult:
    """The outcome of an import.

    Attributes:
        folder: the folder that was written.
        lines: lines of the file.
        rows: rows of the file.
        trimmed: rows with white space around a value.
        unusable: unusable rows by reason.
        first_unusable: descriptions of the first ones.
        left_out: usable rows that the training rules reject, by reason.
        bots: sizes of the files, by bot.
    """

    folder: str
    lines: Lines
    rows: int
    trimmed: int
    unusable: Mapping[str, int]
    first_unusable: tuple[str, ...]
    left_out: Mapping[str, int]
    bots: Mapping[str, CorpusSizes]


@dataclass(slots=True)
class _Skipped:
    """Rows that were not imported: their number by reason, and descriptions of the first ones."""

    counts: Counter[str] = field(default_factory=Counter)
    first: list[str] = field(default_factory=list)

    def add(self, reason: str, row: CsvRow, value: str) -> None:
        self.counts[reason] += 1
        if len(self.first) < _SHOWN_ROWS:
            self.first.append(f"line {row.line}: {reason}" + ("" if reason in _NOT_SHOWN else f" {shown(value)}"))

    def summary(self) -> str:
        reasons = ", ".join(f"{reason} {count}" for reason, count in self.counts.most_common())
        return f"({reasons}), first {'; '.join(self.first)}"


@dataclass(slots=True)
class _Read:
    """The content of the file."""

    trimmed: int = 0
    unusable: _Skipped = field(default_factory=_Skipped)
    left_out_by_bot: dict[str, _Skipped] = field(default_factory=lambda: defaultdict(_Skipped))
    rows_by_bot: dict[str, list[CorpusRow]] = field(default_factory=lambda: defaultdict(list))


def import_corpus(*, source: Path, folder: Path, bots: Sequence[str] = BOT_IDS) -> ImportResult:
    """Write seed, gold, dev and golden files for the bots. The same file always produces the same folder.

    Unusable rows (missing columns, unknown label, no text) are skipped and counted; more than 1 % of them stop the
    import. Usable rows that the training rules reject (crisis, abuse, personal data, duplicates) are counted by
    reason and do not stop it. About 60 rows per bot (at most a tenth) become its gold set and as many its dev set, in
    whole clusters: the seed contains none of their questions or answers.

    Args:
        source: CSV with the header ``Q,A,label``; the labels 0, 1 and 2 are the bots in their order.
        folder: the folder to write; created if missing.
        bots: the bots to write files for; rows of other bots are read but not written.

    Returns:
        Counts of lines and rows by outcome, and the first rows that were not imported.

    Raises:
        InvalidInput: the file cannot be read, has another header or too many unusable rows, or has too few rows to
            train and evaluate a bot.
    """
    table = _table(source)
    found = _read(table)
    files: dict[str, str] = {}
    counts = {}
    for bot in bots:
        of_bot, counts[bot] = _files(bot, found, source)
        files |= of_bot
    _write(folder, files)
    left_out = sum((skipped.counts for skipped in found.left_out_by_bot.values()), Counter[str]())
    return ImportResult(
        folder=str(folder),
        lines=Lines(all=table.lines, header=table.headers, blank=table.blank),
        rows=len(table.rows),
        trimmed=found.trimmed,
        unusable=dict(sorted(found.unusable.counts.items())),
        first_unusable=tuple(found.unusable.first),
        left_out=dict(sorted(left_out.items())),
        bots=counts,
    )


def _table(source: Path) -> CsvTable:
    try:
        content = source.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{source} cannot be read: {error.strerror or error}") from error
    return read_table(content, name=str(source), header=HEADER)


def _read(table: CsvTable) -> _Read:
    found = _Read()
    seen: set[tuple[str, str, str]] = set()
    for row in table.rows:
        stripped = [value.strip() for value in row.values]
        fault = _fault(stripped)
        if fault:
            found.unusable.add(fault[0], row, fault[1])
            continue
        found.trimmed += stripped != list(row.values)
        _add_row(row, stripped, found, seen)
    unusable = found.unusable.counts.total()
    if unusable > _MAX_UNUSABLE_SHARE * len(table.rows):
        raise InvalidInput(
            f"{table.name}: {unusable} of {len(table.rows)} rows are unusable {found.unusable.summary()}; "
            "expected at most 1 %. Correct the file."
        )
    return found


def _add_row(row: CsvRow, stripped: Sequence[str], found: _Read, seen: set[tuple[str, str, str]]) -> None:
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
    """Return why a row is unusable and the wrong value; None for a usable row."""
    if len(values) != len(HEADER):
        return "columns", ",".join(values)
    if values[2] not in _BOT_BY_LABEL:
        return "label", values[2]
    return None if clean(values[0]) and clean(values[1]) else ("no_text", ",".join(values))


def _files(bot: str, found: _Read, source: Path) -> tuple[dict[str, str], CorpusSizes]:
    """Return the files of one bot, and the number of entries in each.

    Raises:
        InvalidInput: too few rows remain to train and evaluate the bot.
    """
    rows = found.rows_by_bot[bot]
    label = next(known.label for known in BOTS if known.id == bot)
    left_out = found.left_out_by_bot[bot]
    rejected = f"; {left_out.counts.total()} rows were left out {left_out.summary()}" if left_out.counts else ""
    if not rows:
        remedy = "" if rejected else ". Choose the bots to import (--bot), or add rows"
        raise InvalidInput(f"{source}: no usable row with label {label} ({bot}){rejected}{remedy}")
    parts = divide(rows)
    if reason := training_obstacle(parts):
        raise InvalidInput(f"{source}: {bot} (label {label}) can't be trained: {reason}{rejected}")
    golden = golden_questions(parts.seed)
    texts = {f"{bot}/{name}.csv": _as_csv(getattr(parts, name)) for name in ("seed", "gold", "dev")}
    texts[f"{bot}/golden.json"] = json.dumps(golden, ensure_ascii=False, indent=1) + "\n"
    return texts, CorpusSizes(seed=len(parts.seed), gold=len(parts.gold), dev=len(parts.dev), golden=len(golden))


def _as_csv(rows: Sequence[CorpusRow]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["question", "answer", "topic"])
    writer.writerows([row.question, row.answer, row.topic] for row in rows)
    return text.getvalue()


def _write(folder: Path, files: Mapping[str, str]) -> None:
    """Write each file atomically."""
    for name, text in files.items():
        path = folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_name(f".{path.name}.part")
            temporary.write_text(text, encoding="utf-8")
            temporary.replace(path)
        except OSError as error:
            raise InvalidInput(f"corpora folder {folder} cannot be written: {error}") from error
