"""Choose the next token: the likeliest one, or one drawn with the request's own random generator."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kogpt2_chat.inference.engine import Sampling

_MAX_PHRASE_TOKENS: Final = 8
_REPETITIONS: Final = 3


def next_token(
    logits: NDArray[np.float32], tokens: Sequence[int], likeliest: int, sampling: Sampling | None = None
) -> int:
    """Choose the next token of an answer, greedily or by drawing, and avoid loops.

    An unsure model repeats the same few tokens. If a token would complete the third repetition of a phrase, or the
    fourth of a single token, another token is chosen instead.

    Args:
        logits: (vocabulary,), minus infinity for tokens that may not be chosen.
        tokens: the answer so far.
        likeliest: index of the highest logit.
        sampling: how to draw; None chooses the likeliest token.

    Returns:
        The token.
    """
    token = likeliest if sampling is None else draw_token(logits, sampling, len(tokens))
    while completes_loop(tokens, token):
        logits = logits.copy()
        logits[token] = -np.inf
        token = int(logits.argmax()) if sampling is None else draw_token(logits, sampling, len(tokens))
    return token


def completes_loop(tokens: Sequence[int], token: int) -> bool:
    """Check whether this token would complete a phrase's third repetition, or a single token's fourth."""
    recent = [*tokens[-_MAX_PHRASE_TOKENS * _REPETITIONS :], token]
    for period in range(1, _MAX_PHRASE_TOKENS + 1):
        length = period * (_REPETITIONS if period > 1 else _REPETITIONS + 1)
        if length > len(recent):
            return False
        tail = recent[-length:]
        if tail[period:] == tail[:-period]:
            return True
    return False


def draw_token(logits: NDArray[np.float32], sampling: Sampling, step: int) -> int:
    """Draw one token.

    Args:
        logits: (vocabulary,), minus infinity for tokens that may not be chosen.
        sampling: how to draw.
        step: number of tokens of this answer so far. Seed and step initialise the generator, so the draw depends on
            nothing else.

    Returns:
        The token.
    """
    count = min(sampling.top_k, len(logits))
    # Sorted by id, so that two engines whose logits differ in the last digit still draw the same token.
    likeliest = np.sort(np.argpartition(logits, -count)[-count:])
    scaled = logits[likeliest].astype(np.float64) / sampling.temperature
    weights = np.exp(scaled - scaled.max())
    drawn = np.random.default_rng((sampling.seed, step)).random() * weights.sum()
    return int(likeliest[min(int(np.searchsorted(np.cumsum(weights), drawn)), count - 1)])
