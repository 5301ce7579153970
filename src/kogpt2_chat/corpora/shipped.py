"""The shipped corpora of a bot: seed pairs for training, gold pairs and golden questions for evaluation."""

import json
from pathlib import Path
from typing import Final

from kogpt2_chat.domain.learning.pairs import GoldenQuestion, Pair
from kogpt2_chat.domain.text.characters import one_line
from kogpt2_chat.domain.text.csv_text import decode, read_table, shown
from kogpt2_chat.errors import InvalidInput

_HEADER: Final = ("question", "answer", "topic")


def read_rows(path: Path) -> list[dict[str, str]]:
    """Read the rows of ``seed.csv``, ``gold.csv`` or ``dev.csv`` unchanged: question, answer, topic.

    Raises:
        InvalidInput: the file does not exist or cannot be read completely, or a row has no question or answer.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InvalidInput(
            f"corpus {path} cannot be read ({error}): set KOGPT2_LEARNING__CORPORA to a folder that has it"
        ) from error
    table = read_table(content, name=f"corpus {path}", header=_HEADER)
    records = table.records()
    for row, record in zip(table.rows, records, strict=True):
        for column in _HEADER[:2]:
            if not one_line(record[column]):
                raise InvalidInput(f"{table.name}, line {row.line}: no {column}: {shown(','.join(row.values))}")
    return records


def read_pairs(path: Path) -> list[Pair]:
    """Read the rows of such a file as pairs, with each text on one line in normal form.

    Raises:
        InvalidInput: see :func:`read_rows`.
    """
    return [
        Pair(
            question=one_line(row["question"]),
            answer=one_line(row["answer"]),
            topic=row["topic"],
            cluster=f"{path.stem}-{number}",
        )
        for number, row in enumerate(read_rows(path), start=1)
    ]


def read_golden(path: Path) -> list[GoldenQuestion]:
    """Read ``golden.json``. Return an empty list if the file does not exist.

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
            for entry in json.loads(decode(path.read_bytes(), str(path)))
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidInput(f"{path} must be a list of question, any_of and must_pass: {error}") from error
