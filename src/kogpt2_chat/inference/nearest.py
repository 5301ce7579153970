"""Find the known question that is most similar to another one, by character n-grams.

A question is a bag of n-grams: of syllables within words, and of jamo across words. Different endings, missing spaces
and typing errors therefore change the similarity little. Rare n-grams count more (TF-IDF); the similarity ("likeness")
is the cosine, from 0 to 1. A search among a few thousand questions takes a fraction of a millisecond and some
megabytes. A search library would need more memory, and the worker has no other use for one.
"""

import math
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kogpt2_chat.domain.learning.cleaning import fold

_SYLLABLE_SIZES: Final = (1, 2, 3)
_JAMO_SIZES: Final = (3, 4, 5)
_EDGE: Final = "_"
# With these weights the share of sensible answers rose from 63.3 to 64.9 % on 450 dev questions, and from 70.8 to
# 74.2 % on the likeliest 80 % of them (docs/measurements.md).
_START_WEIGHT: Final = 2.0
_END_WEIGHT: Final = 0.5
_JAMO_START_WEIGHT: Final = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A question whose answer is known.

    Attributes:
        question: as it was written.
        answer: written by a person.
        source: where the pair comes from (``seed``, ``praised``, ``correction``).
        turn_id: the turn in which a player taught it, by which it can be struck out; empty for others.
    """

    question: str
    answer: str
    source: str
    turn_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The known question that is most similar to another one.

    Attributes:
        likeness: 0 (no n-gram in common) to 1 (the same letters).
    """

    known: Known
    likeness: float


class NearestQuestions:
    """An index of known questions.

    Args:
        known: the questions; if several are equally similar, the last one is found, which was taught last.
    """

    def __init__(self, known: Sequence[Known]) -> None:
        self.known = tuple(known)
        bags = [_bag(pair.question) for pair in self.known]
        counts = Counter(gram for bag in bags for gram in bag)
        self._index_by_gram = {gram: index for index, gram in enumerate(counts)}
        total = len(bags)
        self._rarity = np.array([math.log((1 + total) / (1 + count)) + 1 for count in counts.values()], np.float32)
        self._unseen_rarity = math.log(1 + total) + 1
        self._first, self._rows, self._weights = self._postings(bags)

    def find(self, question: str) -> Found | None:
        """Return the most similar known question; None if no question has an n-gram in common with this one."""
        likeness = self._likeness(question)
        best = len(likeness) - 1 - int(likeness[::-1].argmax()) if likeness.any() else None
        return None if best is None else self._found(best, likeness)

    def find_most(self, question: str, count: int) -> list[Found]:
        """Return the most similar known questions, best first; only those that have an n-gram in common with this one.

        Args:
            question: any text.
            count: the most questions to return.
        """
        likeness = self._likeness(question)
        # Of equally similar questions, the last one comes first, as in `find`.
        best = len(likeness) - 1 - np.argsort(-likeness[::-1], kind="stable")[:count]
        return [self._found(int(row), likeness) for row in best if likeness[row] > 0]

    def _likeness(self, question: str) -> NDArray[np.float32]:
        likeness = np.zeros(len(self.known), np.float32)
        for gram, weight in self._weighted(_bag(question)).items():
            index = self._index_by_gram.get(gram)
            if index is not None:
                posting = slice(self._first[index], self._first[index + 1])
                likeness[self._rows[posting]] += weight * self._weights[posting]
        return likeness

    def _found(self, row: int, likeness: NDArray[np.float32]) -> Found:
        return Found(known=self.known[row], likeness=min(1.0, float(likeness[row])))

    def _postings(
        self, bags: Sequence[Mapping[str, float]]
    ) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]:
        """Return an inverted index: where each n-gram's postings begin, and the questions and weights in them."""
        rows_by_gram: list[list[int]] = [[] for _ in self._index_by_gram]
        weights_by_gram: list[list[float]] = [[] for _ in self._index_by_gram]
        for row, bag in enumerate(bags):
            for gram, weight in self._weighted(bag).items():
                rows_by_gram[self._index_by_gram[gram]].append(row)
                weights_by_gram[self._index_by_gram[gram]].append(weight)
        first = np.cumsum([0, *map(len, rows_by_gram)])
        rows = np.array([row for rows in rows_by_gram for row in rows], np.int32)
        weights = np.array([weight for weights in weights_by_gram for weight in weights], np.float32)
        return first, rows, weights

    def _weighted(self, bag: Mapping[str, float]) -> dict[str, float]:
        """Return TF-IDF weights of length one; n-grams of syllables and n-grams of jamo each contribute half."""
        weights = {gram: count * self._rarity_of(gram) for gram, count in bag.items()}
        for jamo in (False, True):
            half = [gram for gram in weights if gram.startswith(_JAMO) == jamo]
            length = math.sqrt(2 * sum(weights[gram] ** 2 for gram in half))
            for gram in half:
                weights[gram] /= length
        return weights

    def _rarity_of(self, gram: str) -> float:
        index = self._index_by_gram.get(gram)
        return self._unseen_rarity if index is None else float(self._rarity[index])


_JAMO: Final = "\x01"
"""First character of a jamo n-gram in a bag, which distinguishes it from a syllable n-gram."""


def _bag(question: str) -> dict[str, float]:
    """Return the n-grams of a question with their weighted counts: word beginnings count more, word endings less."""
    words = ["".join(char for char in word if char.isalnum()) or word for word in fold(question).split()]
    bag = Counter(gram for word in words for gram in _grams(f"{_EDGE}{word}{_EDGE}", _SYLLABLE_SIZES) if gram != _EDGE)
    letters = unicodedata.normalize("NFD", "".join(words))
    bag.update(_JAMO + gram for gram in _grams(f"{_EDGE}{letters}{_EDGE}", _JAMO_SIZES))
    return {gram: count * _position_weight(gram) for gram, count in bag.items()}


def _position_weight(gram: str) -> float:
    """Return the weight of an n-gram's position.

    In Korean, the beginning of a word carries its meaning, and its ending mostly grammar and politeness.
    """
    if gram.startswith(_JAMO):
        return _JAMO_START_WEIGHT if gram.startswith(_JAMO + _EDGE) else 1.0
    start = _START_WEIGHT if gram.startswith(_EDGE) else 1.0
    return start * (_END_WEIGHT if gram.endswith(_EDGE) else 1.0)


def _grams(text: str, sizes: Iterable[int]) -> Iterable[str]:
    for size in sizes:
        for start in range(len(text) - size + 1):
            yield text[start : start + size]
