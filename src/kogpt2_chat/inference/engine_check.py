"""Prompts stored with a version and its fp32 answers to them: every machine compares its own answers with these.

The gate compares forms on the machine that evaluates; a worker may run on another one. Imports neither torch nor
transformers.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kogpt2_chat.artifact.card import CHECK_FILE
from kogpt2_chat.artifact.forms import Agreement
from kogpt2_chat.errors import CheckpointCorrupt
from kogpt2_chat.inference.pages import PagedNetwork, PageTable

PROMPTS: Final = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedAnswer:
    """A greedy answer computed in fp32.

    Attributes:
        prompt: token ids, at least one.
        tokens: token ids of the answer, including the end token if the model produced one; at least one.
    """

    prompt: tuple[int, ...]
    tokens: tuple[int, ...]


def write_check(folder: Path, answers: Sequence[CheckedAnswer]) -> None:
    """Write ``engine_check.json`` into a version's folder."""
    rows = [{"prompt": answer.prompt, "tokens": answer.tokens} for answer in answers]
    (folder / CHECK_FILE).write_text(json.dumps({"v": 1, "answers": rows}), "utf-8")


def read_check(folder: Path) -> list[CheckedAnswer]:
    """Read ``engine_check.json``. Return an empty list if the version is older than this file.

    Raises:
        CheckpointCorrupt: the file exists, but its content is invalid.
    """
    path = folder / CHECK_FILE
    if not path.is_file():
        return []
    try:
        rows = json.loads(path.read_text("utf-8"))["answers"]
        return [CheckedAnswer(prompt=_ids(row["prompt"]), tokens=_ids(row["tokens"])) for row in rows]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise CheckpointCorrupt(f"{path} is unreadable ({error!r}): take the previous version") from error


def compare(model: PagedNetwork, answers: Sequence[CheckedAnswer]) -> Agreement:
    """Count the answers and tokens on which a loaded graph agrees with fp32.

    One pass computes all tokens of an answer, teacher-forced: each token follows the fp32 tokens before it. An answer
    is the same if each of its tokens is the likeliest one. Tokens after a difference still count.

    Args:
        model: must not be decoding at the same time.
        answers: at least one.

    Returns:
        The counts.

    Raises:
        CheckpointCorrupt: an answer does not fit the graph.
    """
    same_answers = same_tokens = 0
    for answer in answers:
        ids = (*answer.prompt, *answer.tokens[:-1])
        if len(ids) > model.positions or max((*ids, answer.tokens[-1])) >= model.vocabulary:
            raise CheckpointCorrupt(f"{CHECK_FILE} does not fit the version's graph: take the previous version")
        table = PageTable()
        logits, _ = model.forward([(table, ids)], tails=[len(answer.tokens)])
        same = sum(ours == theirs for ours, theirs in zip(logits.argmax(-1).tolist(), answer.tokens, strict=True))
        model.release(table)
        same_tokens += same
        same_answers += same == len(answer.tokens)
    return Agreement(
        answers=len(answers), same_answers=same_answers, same_tokens=same_tokens,
        tokens=sum(len(answer.tokens) for answer in answers),
    )  # fmt: skip


def _ids(found: Any) -> tuple[int, ...]:
    if not isinstance(found, list) or not found or not all(type(id_) is int and id_ >= 0 for id_ in found):
        raise TypeError("expected a list of token ids")
    return tuple(found)
