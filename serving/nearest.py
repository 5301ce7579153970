"""Where a model is late or missing: the answer of the nearest seed question, if the settings want that.

No model, no index: character pairs of some hundred questions are compared in well under a millisecond.
"""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kogpt2_chat.domain.cleaning import phrase_key

LEAST_LIKENESS: Final = 0.35
"""Below it two questions have nothing to do with each other, and the fixed notice is the better answer."""


@dataclass(frozen=True, slots=True)
class _Known:
    """A seed question as its pairs of characters, and what it is answered with."""

    pairs: frozenset[str]
    answer: str


class NearestAnswers:
    """Seed pairs of all bots, read when a bot's are first needed.

    Args:
        corpora: folder with ``BOT/seed.csv``.
    """

    def __init__(self, corpora: Path) -> None:
        self._corpora = corpora
        self._known_by_bot: dict[str, list[_Known]] = {}

    def answer(self, bot: str, question: str) -> str | None:
        """The answer of the most similar seed question; None where none is similar."""
        asked = _pairs(question)
        best = max(self._known(bot), key=lambda known: _likeness(asked, known.pairs), default=None)
        if best is None or _likeness(asked, best.pairs) < LEAST_LIKENESS:
            return None
        return best.answer

    def _known(self, bot: str) -> list[_Known]:
        if bot not in self._known_by_bot:
            path = self._corpora / bot / "seed.csv"
            rows = csv.DictReader(path.open(encoding="utf-8", newline="")) if path.is_file() else ()
            self._known_by_bot[bot] = [_Known(_pairs(row["question"]), row["answer"]) for row in rows]
        return self._known_by_bot[bot]


def _pairs(text: str) -> frozenset[str]:
    key = f" {phrase_key(text)} "
    return frozenset(key[place : place + 2] for place in range(len(key) - 1))


def _likeness(ours: frozenset[str], theirs: frozenset[str]) -> float:
    """Dice's coefficient, 0 to 1."""
    return 2 * len(ours & theirs) / (len(ours) + len(theirs))
