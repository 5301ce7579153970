"""A linear classifier over character n-grams that estimates how likely a text is about a crisis.

The rules only find wordings that are listed. The classifier also finds indirect wordings that resemble the sentences in
``corpora/crisis``. ``scripts/fit_crisis.py`` fits the weights and writes them to a data file. Applying them needs only
the standard library.
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
"""Lengths of the n-grams, in characters; a space is added before and after each text."""
WINDOW: Final = 80
_STEP: Final = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """A fitted classifier. The weights are log-odds and add up over the n-grams of a text.

    Attributes:
        kinds: the kinds of crisis, in the order of the weights.
        threshold: lowest probability that counts as a crisis, 0 to 1.
        intercepts: first the one for "is a crisis", then one per kind.
        by_ngram: the weights of each n-gram, in the same order.
    """

    kinds: tuple[str, ...]
    threshold: float
    intercepts: tuple[float, ...]
    by_ngram: Mapping[str, tuple[float, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class CrisisWindow:
    """A window of a text that may be about a crisis.

    Attributes:
        kind: the most likely kind of crisis.
        probability: the probability that it is a crisis, 0 to 1.
        start: index of the first character of the window.
        end: index after the last character of the window.
    """

    kind: str
    probability: float
    start: int
    end: int


def likely_crisis(text: str, weights: Weights) -> CrisisWindow | None:
    """Return the first window of a text that reaches the threshold.

    Args:
        text: the ``text`` of a view, of any length; the time is linear in it.
        weights: the weights of the classifier.

    Returns:
        The window, or None if no window reaches the threshold.
    """
    for start, end in _windows(len(text)):
        kind, probability = _classify(text[start:end], weights)
        if probability >= weights.threshold:
            return CrisisWindow(kind=kind, probability=probability, start=start, end=end)
    return None


def ngrams(text: str) -> set[str]:
    """Return the set of n-grams of a text."""
    padded = f" {text} "
    return {padded[start : start + size] for size in SIZES for start in range(len(padded) - size + 1)}


@cache
def crisis_weights() -> Weights:
    """Return the weights that are part of the project; the file is read once per process."""
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
    """Yield overlapping windows, so that most sentences are completely in one of them."""
    yield 0, min(length, WINDOW)
    for start in range(_STEP, length - _STEP, _STEP):
        yield start, min(length, start + WINDOW)


def _classify(text: str, weights: Weights) -> tuple[str, float]:
    """Return the most likely kind, and the probability that the text is about any kind."""
    rows = [weights.by_ngram[ngram] for ngram in ngrams(text) if ngram in weights.by_ngram]
    crisis, *kinds = (sum(column) for column in zip(weights.intercepts, *rows, strict=True))
    return weights.kinds[kinds.index(max(kinds))], 1 / (1 + math.exp(-min(max(crisis, -50), 50)))
