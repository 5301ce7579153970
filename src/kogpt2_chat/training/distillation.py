"""Preserve a network's predictions on what it knows while it learns something new.

A small network that is trained on a few new pairs until it reproduces them exactly forgets others. A loss term keeps
its predictions close to those of the initial weights (Kullback-Leibler divergence, as in Learning without Forgetting,
Li and Hoiem 2016). It costs little and prevents most of the forgetting.
"""

import random
from collections.abc import Sequence
from copy import deepcopy

import torch
from torch import Tensor
from torch.nn import functional
from transformers import GPT2LMHeadModel

from kogpt2_chat.network.batches import Example, pack
from kogpt2_chat.network.network import answer_logits
from kogpt2_chat.training.compute import Precision, autocast
from kogpt2_chat.training.ranks import ONE_PROCESS, Ranks, part_of
from kogpt2_chat.training.recipe import Recipe


class KeptPredictions:
    """A copy of the initial weights, and examples on which the predictions must not change.

    Args:
        network: the network before its first step; it is copied.
        examples: what it knows, drawn in proportion to their weights. If empty, the divergence is always 0.
        recipe: says how many examples a step has and how they are packed, and the seed of the draws.
        precision: of the passes. Both networks compute in the same one, so that at first nothing diverges.
    """

    def __init__(
        self, network: GPT2LMHeadModel, examples: Sequence[Example], recipe: Recipe, precision: Precision
    ) -> None:
        self._pool = [example for example in examples for _ in range(example.weight)]
        self._rows = min(recipe.kept_rows, len(self._pool))
        self._recipe = recipe
        self._precision = precision
        self._start = deepcopy(network).eval() if self._pool else None

    def divergence(self, network: GPT2LMHeadModel, step: int, ranks: Ranks = ONE_PROCESS) -> tuple[Tensor, int]:
        """Compute how far the predictions on a sample of the examples have changed.

        Args:
            network: the network in training, on the device that it was copied on.
            step: number of the step. It determines the sample, so that a resumed training uses the same one.
            ranks: this process among those that train together.

        Returns:
            This rank's addend of the mean divergence per token in nats, a scalar; and the number of answer tokens in
            the sample.
        """
        if self._start is None:
            return torch.zeros((), device=network.device), 0
        draw = random.Random(f"{self._recipe.seed}/{step}")  # noqa: S311 - a sample, not secrets
        part = part_of(draw.sample(self._pool, self._rows), ranks)
        batch = pack(part.examples, self._recipe.examples_per_row).to(network.device)
        with autocast(self._precision):
            with torch.no_grad():
                old = answer_logits(self._start, batch)
            new = answer_logits(network, batch)
        before, now = functional.log_softmax(old.float(), -1), functional.log_softmax(new.float(), -1)
        each = functional.kl_div(now, before, log_target=True, reduction="none").sum(-1)
        return each[: batch.tokens].mean() * part.share, part.targets
