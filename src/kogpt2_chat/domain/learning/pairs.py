"""A question-answer pair as training, evaluation and the nearest-answer fallback use it. Imports no model library."""

from dataclasses import dataclass
from typing import Final

TAUGHT_SOURCES: Final = frozenset({"correction", "praised"})
"""Sources of the pairs that players taught."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A question and the answer to learn.

    Attributes:
        question: the question's text.
        answer: the wanted answer.
        weight: how often training sees the pair in one epoch.
        cluster: id of the pair's cluster (pairs in one cluster are not independent); empty if the pair is its own
            cluster.
        source: origin of the pair (``seed``, ``praised``, ``correction``).
        topic: topic by which evaluation slices its results.
        turn_id: the turn in which a player taught it; empty for others.
    """

    question: str
    answer: str
    weight: int = 1
    cluster: str = ""
    source: str = "seed"
    topic: str = ""
    turn_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenQuestion:
    """A question whose answer must contain at least one of the words ``any_of``."""

    question: str
    any_of: tuple[str, ...]
    must_pass: bool

    def accepts(self, answer: str) -> bool:
        """Check whether an answer contains one of the words."""
        return any(word in answer for word in self.any_of)
