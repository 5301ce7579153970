"""The shipped corpora of a bot: seed pairs to learn, gold pairs and golden questions to judge by."""

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kogpt2_chat.domain.characters import one_line
from kogpt2_chat.errors import InvalidInput
from kogpt2_chat.model.pairs import Pair

_HEADER: Final = ["question", "answer", "topic"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenQuestion:
    """A question whose answer must contain one of some words."""

    question: str
    any_of: tuple[str, ...]
    must_pass: bool


def read_pairs(path: Path) -> list[Pair]:
    """Read ``seed.csv`` or ``gold.csv``; rows without a question or answer are left out.

    Raises:
        InvalidInput: there is no such file, it is not UTF-8, or its header is another.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput(f"corpus {path} cannot be read ({error}): point KOGPT2_LEARNING__CORPORA at one") from error
    if not rows or rows[0] != _HEADER:
        raise InvalidInput(
            f"corpus {path} must begin with {','.join(_HEADER)}, found {','.join(rows[0]) if rows else ''}"
        )
    pairs = [
        Pair(question=one_line(row[0]), answer=one_line(row[1]), topic=row[2], cluster=f"{path.stem}-{number}")
        for number, row in enumerate(rows[1:], start=1)
        if len(row) == len(_HEADER)
    ]
    return [pair for pair in pairs if pair.question and pair.answer]


def read_golden(path: Path) -> list[GoldenQuestion]:
    """Read ``golden.json``; none where there is no such file.

    Raises:
        InvalidInput: it is not a list of ``question``, ``any_of``, ``must_pass``.
    """
    if not path.exists():
        return []
    try:
        return [
            GoldenQuestion(
                question=str(entry["question"]),
                any_of=tuple(map(str, entry["any_of"])),
                must_pass=bool(entry.get("must_pass", False)),
            )
            for entry in json.loads(path.read_text("utf-8"))
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidInput(f"{path} must be a list of question, any_of and must_pass: {error}") from error
