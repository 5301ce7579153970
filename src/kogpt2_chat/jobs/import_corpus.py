"""One labelled CSV (``Q,A,label``) to a corpora folder of the same shape as the one that is shipped."""

import csv
import hashlib
import io
import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from kogpt2_chat.domain.bots import ROSTER
from kogpt2_chat.domain.cleaning import clean, phrase_key, reject_reason
from kogpt2_chat.domain.dataset import Pair, place
from kogpt2_chat.errors import InvalidInput

HEADER: Final = ["Q", "A", "label"]
_MAX_UNUSABLE_SHARE: Final = 0.01
_GOLD_ROWS: Final = 60
_GOLD_SHARE: Final = 0.1
_GOLDEN_ROWS: Final = 20
_LEAST_WORD_CHARS: Final = 2
_TOPIC_BY_LABEL: Final = {0: "일상", 1: "이별", 2: "사랑"}
_BOT_BY_LABEL: Final = {str(bot.label): bot for bot in ROSTER}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    question: str
    answer: str
    topic: str


@dataclass(slots=True)
class _Read:
    """What was found in the file."""

    rows: int = 0
    trimmed: int = 0
    unusable: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    rows_by_bot: dict[str, list[_Row]] = field(default_factory=lambda: defaultdict(list))


def import_corpus(*, source: Path, folder: Path) -> dict[str, object]:
    """Write seed, gold, dev and golden files for every bot; the same file gives the same folder.

    Unusable rows (columns missing, no such label, no text) are skipped and counted, and stop the import when
    they are more than 1 % of all. Usable rows that the rules of training leave out (self-harm, abuse, personal
    details, doubles) are counted with their reasons and stop nothing. About 60 rows a bot become its gold set
    and as many its dev set, by whole clusters: no question or answer of theirs is in the seed.

    Args:
        source: CSV with the header ``Q,A,label``; label 0, 1, 2 are the bots in the roster's order.
        folder: where to write; made when missing.

    Returns:
        Counts of all this.

    Raises:
        InvalidInput: the file is not readable, has another header, too many unusable rows, or none for a bot.
    """
    found = _read(source)
    files = {}
    counts = {}
    for bot in ROSTER:
        rows = found.rows_by_bot[bot.id]
        if not rows:
            raise InvalidInput(f"{source}: no usable row with label {bot.label} ({bot.id})")
        gold, dev, seed = _divide(rows)
        golden = _golden(seed)
        files[f"{bot.id}/seed.csv"] = _as_csv(seed)
        files[f"{bot.id}/gold.csv"] = _as_csv(gold)
        files[f"{bot.id}/dev.csv"] = _as_csv(dev)
        files[f"{bot.id}/golden.json"] = json.dumps(golden, ensure_ascii=False, indent=1) + "\n"
        counts[bot.id] = {"seed": len(seed), "gold": len(gold), "dev": len(dev), "golden": len(golden)}
    _write(folder, files)
    return {
        "folder": str(folder),
        "rows": found.rows,
        "trimmed": found.trimmed,
        "unusable": dict(sorted(found.unusable.items())),
        "left_out": dict(sorted(found.left_out.items())),
        "bots": counts,
    }


def _read(source: Path) -> _Read:
    found, seen = _Read(), set()
    for values in _csv_rows(source):
        found.rows += 1
        stripped = [value.strip() for value in values]
        reason = _unusable(stripped)
        if reason:
            found.unusable[reason] += 1
            continue
        found.trimmed += stripped != values
        bot = _BOT_BY_LABEL[stripped[2]]
        row = _Row(question=clean(stripped[0]), answer=clean(stripped[1]), topic=_TOPIC_BY_LABEL[bot.label])
        key = (bot.id, phrase_key(row.question), phrase_key(row.answer))
        reason = "duplicate" if key in seen else reject_reason(row.question, row.answer)
        if reason:
            found.left_out[reason] += 1
            continue
        seen.add(key)
        found.rows_by_bot[bot.id].append(row)
    unusable = found.unusable.total()
    if unusable > _MAX_UNUSABLE_SHARE * found.rows:
        reasons = ", ".join(f"{reason} {count}" for reason, count in found.unusable.most_common())
        raise InvalidInput(
            f"{source}: {unusable} of {found.rows} rows are unusable ({reasons}); at most 1 % may be. Correct the file."
        )
    return found


def _csv_rows(source: Path) -> list[list[str]]:
    try:
        text = source.read_text(encoding="utf-8-sig")
        header, *rows = csv.reader(io.StringIO(text, newline="")) if text.strip() else [[]]
    except OSError as error:
        raise InvalidInput(f"{source} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{source} is not UTF-8 (byte {error.start}): save it as UTF-8") from error
    except csv.Error as error:
        raise InvalidInput(f"{source} is not a CSV file: {error}") from error
    if header != HEADER:
        raise InvalidInput(
            f"{source}: expected the header {','.join(HEADER)}, found {','.join(header)[:80] or 'nothing'}"
        )
    return [row for row in rows if row]


def _unusable(values: Sequence[str]) -> str | None:
    if len(values) != len(HEADER):
        return "columns"
    if values[2] not in _BOT_BY_LABEL:
        return "label"
    return None if clean(values[0]) and clean(values[1]) else "no_text"


def _divide(rows: Sequence[_Row]) -> tuple[list[_Row], list[_Row], list[_Row]]:
    """Gold, dev and seed: whole clusters, smallest hash first, until each set is full; small clusters only."""
    places = place([Pair(question_key=phrase_key(row.question), answer_key=phrase_key(row.answer)) for row in rows])
    size_by_cluster = Counter(spot.cluster for spot in places)
    wanted = min(_GOLD_ROWS, int(_GOLD_SHARE * len(rows)))
    small = iter(sorted((c for c, size in size_by_cluster.items() if size <= 2), key=_spread))  # noqa: PLR2004
    sets: list[list[_Row]] = []
    chosen: set[str] = set()
    for _ in ("gold", "dev"):
        clusters: set[str] = set()
        while sum(size_by_cluster[c] for c in clusters) < wanted and (cluster := next(small, None)):
            clusters.add(cluster)
        sets.append([row for row, spot in zip(rows, places, strict=True) if spot.cluster in clusters])
        chosen |= clusters
    gold, dev = sets
    return gold, dev, [row for row, spot in zip(rows, places, strict=True) if spot.cluster not in chosen]


def _golden(seed: Sequence[_Row]) -> list[dict[str, object]]:
    """Seed questions with the words of all their answers; nobody has vetted them, so none must pass."""
    words_by_question: dict[str, list[str]] = defaultdict(list)
    for row in seed:
        words = (word.strip(".,!?~…\"'") for word in row.answer.split())
        words_by_question[row.question] += [word for word in words if len(word) >= _LEAST_WORD_CHARS]
    questions = sorted((q for q, words in words_by_question.items() if words), key=_spread)[:_GOLDEN_ROWS]
    return [
        {"question": question, "any_of": sorted(set(words_by_question[question])), "must_pass": False}
        for question in questions
    ]


def _spread(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _as_csv(rows: Sequence[_Row]) -> str:
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
