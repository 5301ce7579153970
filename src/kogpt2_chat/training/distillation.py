"""What a network must not unlearn while it learns something new: its own predictions on what it knew before.

A few lessons repeated until they are known by heart pull a small network away from everything else. Holding its
predictions close to those of the weights it started from (Kullback-Leibler divergence, as in learning without
forgetting, Li and Hoiem 2016) costs little and keeps the rest.
"""

import random
from collections.abc import Sequence
from copy import deepcopy

import torch
from torch import Tensor
from torch.nn import functional
from transformers import GPT2LMHeadModel

from kogpt2_chat.network.batches import Example, collate
from kogpt2_chat.network.network import answer_logits


class Kept:
    """The weights at the start, and examples on which their predictions are held.

    Args:
        network: before its first step; it is copied.
        examples: what it knows; an example of more weight is drawn more often. None does nothing.
        rows: how many are looked at in each step.
        seed: of the draws.
    """

    def __init__(self, network: GPT2LMHeadModel, examples: Sequence[Example], rows: int, seed: int) -> None:
        self._pool = [example for example in examples for _ in range(example.weight)]
        self._rows = min(rows, len(self._pool))
        self._seed = seed
        self._start = deepcopy(network).eval() if self._pool else None

    def divergence(self, network: GPT2LMHeadModel, step: int) -> tuple[Tensor, int]:
        """How far the network has moved on some examples.

        Args:
            network: in training, on the same device as at the start.
            step: the draw follows from it, so that a resumed training sees the same.

        Returns:
            Mean divergence a token in nat, a scalar, and how many answer tokens were looked at.
        """
        if self._start is None:
            return torch.zeros((), device=network.device), 0
        draw = random.Random(f"{self._seed}/{step}")  # noqa: S311 - a sample, not secrets
        batch = collate(draw.sample(self._pool, self._rows)).to(network.device)
        with torch.no_grad():
            before = functional.log_softmax(answer_logits(self._start, batch).float(), -1)
        now = functional.log_softmax(answer_logits(network, batch).float(), -1)
        each = functional.kl_div(now, before, log_target=True, reduction="none").sum(-1)
        return each[: batch.tokens].mean(), batch.tokens
