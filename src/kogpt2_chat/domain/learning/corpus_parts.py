"""Divide an imported corpus into the part that a bot learns and the parts that measure it."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from kogpt2_chat.domain.learning.cleaning import phrase_key
from kogpt2_chat.domain.learning.dataset import SPLITS, PairKeys, SplitAssignment, assign_splits

_GOLD_ROWS: Final = 60
_GOLD_SHARE: Final = 0.1
_GOLD_CLUSTER_ROWS: Final = 2
_GOLDEN_ROWS: Final = 20
_LEAST_WORD_CHARS: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusRow:
    """A cleaned pair with its topic."""

    question: str
    answer: str
    topic: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusParts:
    """The rows of one bot, each in exactly one part. No two parts share a question or an answer."""

    gold: Sequence[CorpusRow]
    dev: Sequence[CorpusRow]
    seed: Sequence[CorpusRow]


def divide(rows: Sequence[CorpusRow]) -> CorpusParts:
    """Divide the rows of one bot into gold, dev and seed.

    Clusters of at most two rows go to gold, then to dev, smallest hash first, until each part is full. Everything
    else becomes seed. A cluster is never divided.
    """
    assignments = _assignments(rows)
    size_by_cluster = Counter(assigned.cluster for assigned in assignments)
    wanted = min(_GOLD_ROWS, int(_GOLD_SHARE * len(rows)))
    small = iter(sorted((c for c, size in size_by_cluster.items() if size <= _GOLD_CLUSTER_ROWS), key=_hash))
    part_by_cluster: dict[str, str] = {}
    for part in ("gold", "dev"):
        filled = 0
        while filled < wanted and (cluster := next(small, None)):
            part_by_cluster[cluster] = part
            filled += size_by_cluster[cluster]
    rows_by_part: dict[str, list[CorpusRow]] = defaultdict(list)
    for row, assigned in zip(rows, assignments, strict=True):
        rows_by_part[part_by_cluster.get(assigned.cluster, "seed")].append(row)
    return CorpusParts(gold=rows_by_part["gold"], dev=rows_by_part["dev"], seed=rows_by_part["seed"])


def training_obstacle(parts: CorpusParts) -> str | None:
    """Explain why no version can be trained from these parts; None if one can.

    The gate needs gold pairs, and a dataset needs at least one pair in each split. A cluster is never divided.
    """
    missing = [] if parts.gold else ["gold"]
    splits = Counter(assigned.split for assigned in _assignments(parts.seed))
    missing += [split for split in SPLITS if not splits[split]]
    if not missing:
        return None
    rows = [*parts.gold, *parts.dev, *parts.seed]
    largest = max(Counter(assigned.cluster for assigned in _assignments(rows)).values())
    lacking = f"no pairs are left for {', '.join(missing)}"
    if largest <= _GOLD_CLUSTER_ROWS:
        return f"{lacking}: {len(rows)} rows are too few. Add pairs"
    questions, answers = len({phrase_key(row.question) for row in rows}), len({phrase_key(row.answer) for row in rows})
    return (
        f"{lacking}. Of {len(rows)} rows with {questions} questions and {answers} answers, {largest} are linked by "
        "shared questions or answers and cannot be divided, because the evaluation would then use learned pairs. "
        "Use different answers for different questions, or add pairs"
    )


def golden_questions(seed: Sequence[CorpusRow]) -> list[dict[str, object]]:
    """Return up to 20 golden questions: seed questions with the words of all their answers.

    They are not reviewed by a person, so ``must_pass`` is false for all of them.
    """
    words_by_question: dict[str, list[str]] = defaultdict(list)
    for row in seed:
        words = (word.strip(".,!?~…\"'") for word in row.answer.split())
        words_by_question[row.question] += [word for word in words if len(word) >= _LEAST_WORD_CHARS]
    questions = sorted((q for q, words in words_by_question.items() if words), key=_hash)[:_GOLDEN_ROWS]
    return [
        {"question": question, "any_of": sorted(set(words_by_question[question])), "must_pass": False}
        for question in questions
    ]


def _assignments(rows: Sequence[CorpusRow]) -> list[SplitAssignment]:
    return assign_splits(
        [PairKeys(question_key=phrase_key(row.question), answer_key=phrase_key(row.answer)) for row in rows]
    )


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
