"""How likely a text speaks of a crisis, by a linear classifier over its characters.

The rules find only wordings that somebody wrote down. The classifier also finds veiled ones that resemble the sentences
in ``corpora/crisis``. ``scripts/fit_crisis.py`` makes its weights, a data file; applying them needs no library.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

WEIGHTS_FILE: Final = Path(__file__).with_name("crisis_weights.tsv")
SIZES: Final = (1, 2, 3, 4)
"""Characters of an n-gram; a space stands before and behind each text."""
WINDOW: Final = 80
_STEP: Final = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """A fitted classifier; all weights are in nat and add up over the n-grams of a text.

    Attributes:
        kinds: what it tells apart, in the order of the weights.
        threshold: the least probability that counts, 0 to 1.
        intercepts: of "a crisis", then of each kind if it is one.
        by_ngram: likewise of each n-gram.
    """

    kinds: tuple[str, ...]
    threshold: float
    intercepts: tuple[float, ...]
    by_ngram: Mapping[str, tuple[float, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Likeness:
    """What a stretch of a text is like.

    Attributes:
        kind: the likeliest kind of crisis.
        probability: that it is a crisis, 0 to 1.
        start: where the stretch begins in the text.
        end: likewise, where it ends.
    """

    kind: str
    probability: float
    start: int
    end: int


def likely_crisis(text: str, weights: Weights) -> Likeness | None:
    """The first stretch of a text that reaches the threshold.

    Args:
        text: as ``View.text`` gives it, of any length; the work is linear in it.
        weights: of the classifier.

    Returns:
        The stretch, or None where no stretch reaches the threshold.
    """
    for start, end in _windows(len(text)):
        kind, probability = _judged(text[start:end], weights)
        if probability >= weights.threshold:
            return Likeness(kind=kind, probability=probability, start=start, end=end)
    return None


def ngrams(text: str) -> set[str]:
    """All n-grams of a text, each once."""
    padded = f" {text} "
    return {padded[place : place + size] for size in SIZES for place in range(len(padded) - size + 1)}


@cache
def crisis_weights() -> Weights:
    """The weights that come with the project; read once."""
    header, *rows = WEIGHTS_FILE.read_text(encoding="utf-8").rstrip("\n").split("\n")
    known = json.loads(header)
    fields = (row.split("\t") for row in rows)
    return Weights(
        kinds=tuple(known["kinds"]),
        threshold=known["threshold"],
        intercepts=_scaled(known["intercepts"]),
        by_ngram={ngram: _scaled(list(map(int, values))) for ngram, *values in fields},
    )


def _scaled(hundredths: Sequence[int]) -> tuple[float, ...]:
    return tuple(value / 100 for value in hundredths)


def _windows(length: int) -> Iterator[tuple[int, int]]:
    """Overlapping stretches, so that most sentences lie whole in one of them."""
    yield 0, min(length, WINDOW)
    for start in range(_STEP, length - _STEP, _STEP):
        yield start, min(length, start + WINDOW)


def _judged(text: str, weights: Weights) -> tuple[str, float]:
    """The likeliest kind, and the probability that it is any of them."""
    rows = [weights.by_ngram[ngram] for ngram in ngrams(text) if ngram in weights.by_ngram]
    crisis, *kinds = (sum(column) for column in zip(weights.intercepts, *rows, strict=True))
    return weights.kinds[kinds.index(max(kinds))], 1 / (1 + math.exp(-min(max(crisis, -50), 50)))
