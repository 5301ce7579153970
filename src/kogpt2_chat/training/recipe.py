"""The hyperparameters of a training, and the batches that follow from them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from kogpt2_chat.network.batches import Example, epoch_batches
from kogpt2_chat.training.compute import Asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """The hyperparameters of a training.

    Attributes:
        epochs: passes over the examples.
        batch_size: examples per optimizer step.
        examples_per_row: 1: batches have examples of similar length, and each is a row. More: the examples of a batch
            have any length, and this many of them share a row, on average.
        lora_rank: rank of low-rank adapters; only they are trained, and merged into the weights at the end; 0: all
            weights are trained.
        learning_rate: peak of the schedule.
        warmup_fraction: share of all steps before the peak; a cosine down to a tenth of the peak follows.
        weight_decay: of AdamW, on matrices only.
        clip_norm: largest gradient norm of a step.
        label_smoothing: share of each target that is spread over the vocabulary; reduces overconfidence.
        precision: ``bf16`` runs the forward pass in bfloat16, weights stay in fp32; ``auto`` uses it if it is clearly
            faster.
        seed: of the order of examples and of dropout.
        answer_tokens: budget of answer tokens: training ends with the step that reaches it, even within an epoch; 0:
            no budget.
        patience: early stopping: training ends after this many epochs without a better validation NLL, and the weights
            of the best epoch are the result; 0: no early stopping.
        dropout: probability of all dropout layers; None: the network's own.
        until_known: whether training ends after the first epoch at whose end all answers are exact.
        kept_weight: weight of the divergence on kept examples in the loss.
        kept_rows: number of kept examples per step.
        checkpoint_every_steps: steps between two checkpoints.
    """

    epochs: int
    batch_size: int
    examples_per_row: int = 1
    lora_rank: int = 0
    learning_rate: float
    warmup_fraction: float
    weight_decay: float
    clip_norm: float = 1.0
    label_smoothing: float
    precision: Asked = "auto"
    seed: int
    answer_tokens: int = 0
    patience: int = 0
    dropout: float | None = None
    until_known: bool = False
    kept_weight: float = 8.0
    kept_rows: int = 24
    checkpoint_every_steps: int


def planned_batches(examples: Sequence[Example], recipe: Recipe) -> list[list[list[Example]]]:
    """Return the batches of each epoch, up to the budget of answer tokens but at least one."""
    plan: list[list[list[Example]]] = []
    left = recipe.answer_tokens or math.inf
    for epoch in range(recipe.epochs):
        batches = []
        for batch in epoch_batches(
            examples, recipe.batch_size, recipe.seed, epoch, by_length=recipe.examples_per_row == 1
        ):
            if left <= 0:
                break
            batches.append(batch)
            left -= sum(len(example.ids) - example.answer_start for example in batch)
        if not batches:
            break
        plan.append(batches)
    return plan
