"""How to train, and which batches come of it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from kogpt2_chat.network.batches import Example, epoch_batches
from kogpt2_chat.training.compute import Asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How to train.

    Attributes:
        epochs: passes over the examples.
        batch_size: examples per optimizer step.
        learning_rate: the schedule's peak.
        warmup_fraction: of all steps, before the peak; a cosine down to a tenth follows.
        weight_decay: of AdamW, on matrices only.
        clip_norm: largest gradient norm of a step.
        label_smoothing: share of each target spread over the vocabulary; keeps answers from overconfidence.
        precision: ``bf16`` runs the forward pass in bfloat16, weights stay fp32; ``auto`` takes what is faster here.
        seed: of order and dropout.
        answer_tokens: 0, or a budget: training ends with the step that reaches it, in the middle of an epoch too.
        patience: 0, or early stop: so many epochs without a better validation NLL end the training, and the weights
            of the best epoch are the result.
        dropout: None leaves the network's own; else this one, everywhere.
        until_known: training ends with the first epoch after which every example is said to the letter.
        kept_weight: how much it costs to move away from the start on what is kept, against what is learned.
        kept_rows: kept examples that each step looks at.
        checkpoint_every_steps: how much work a kill may cost.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    warmup_fraction: float = 0.1
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    label_smoothing: float = 0.0
    precision: Asked = "auto"
    seed: int = 20
    answer_tokens: int = 0
    patience: int = 0
    dropout: float | None = None
    until_known: bool = False
    kept_weight: float = 8.0
    kept_rows: int = 24
    checkpoint_every_steps: int = 200


def planned_batches(examples: Sequence[Example], recipe: Recipe) -> list[list[list[Example]]]:
    """The batches of each epoch; those past the budget of answer tokens are left out, at least one stays."""
    plan: list[list[list[Example]]] = []
    left = recipe.answer_tokens or math.inf
    for epoch in range(recipe.epochs):
        batches = []
        for batch in epoch_batches(examples, recipe.batch_size, recipe.seed, epoch):
            if left <= 0:
                break
            batches.append(batch)
            left -= sum(len(example.ids) - example.answer_start for example in batch)
        if not batches:
            break
        plan.append(batches)
    return plan
