"""Choosing a token: the likeliest, or one drawn with a generator of the request's own."""

import numpy as np
from numpy.typing import NDArray

from kogpt2_chat.model.engine import Sampling


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
