"""Choosing a token: the likeliest, or one drawn with a generator of the request's own."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kogpt2_chat.inference.engine import Sampling

_LONGEST_PHRASE: Final = 8
_ROUNDS: Final = 3


def next_token(
    logits: NDArray[np.float32], tokens: Sequence[int], likeliest: int, sampling: Sampling | None = None
) -> int:
    """The next token of an answer: the likeliest, or one drawn, that does not go round in a circle.

    A model that is unsure of itself says the same few tokens over and over. The third round of a phrase, or the fourth
    of a single token, is not said: the next best token is.

    Args:
        logits: (vocabulary,), minus infinity for tokens that may not be chosen.
        tokens: of this answer so far.
        likeliest: index of the highest logit.
        sampling: how to draw; None takes the likeliest.

    Returns:
        The token.
    """
    token = likeliest if sampling is None else choose(logits, sampling, len(tokens))
    while closes_circle(tokens, token):
        logits = logits.copy()
        logits[token] = -np.inf
        token = int(logits.argmax()) if sampling is None else choose(logits, sampling, len(tokens))
    return token


def closes_circle(tokens: Sequence[int], token: int) -> bool:
    """Whether an answer that goes on with a token ends in the same phrase three times, or in one token four times."""
    said = [*tokens[-_LONGEST_PHRASE * _ROUNDS :], token]
    for period in range(1, _LONGEST_PHRASE + 1):
        length = period * (_ROUNDS if period > 1 else _ROUNDS + 1)
        if length > len(said):
            return False
        tail = said[-length:]
        if tail[period:] == tail[:-period]:
            return True
    return False


def choose(logits: NDArray[np.float32], sampling: Sampling, step: int) -> int:
    """Draw one token.

    Args:
        logits: (vocabulary,), minus infinity for tokens that may not be chosen.
        sampling: how to draw.
        step: tokens of this answer so far; with the seed it makes the generator, so that a draw depends on
            nothing else.

    Returns:
        The token.
    """
    count = min(sampling.top_k, len(logits))
    # In the order of ids: two engines that differ in the last digit of a logit still draw the same token.
    likeliest = np.sort(np.argpartition(logits, -count)[-count:])
    scaled = logits[likeliest].astype(np.float64) / sampling.temperature
    weights = np.exp(scaled - scaled.max())
    drawn = np.random.default_rng((sampling.seed, step)).random() * weights.sum()
    return int(likeliest[min(int(np.searchsorted(np.cumsum(weights), drawn)), count - 1)])
