"""Choose the pairs and the recipe of a training: all pairs from the base, or only new pairs from the champion.

From the base, a bot learns its whole dataset; must-pass questions have a higher weight. From the champion, it learns
the pairs that the champion has not learned, until its answers are exact; a loss term preserves its predictions on all
other pairs.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Final

from kogpt2_chat.domain.learning.pairs import Pair
from kogpt2_chat.settings import Settings
from kogpt2_chat.training.recipe import Recipe

MUST_WEIGHT: Final = 24
"""Weight of seed pairs with must-pass questions; other seed pairs have weight 1."""
# Measured on the small base (docs/measurements.md): with one epoch at this rate and dropout the model learns 12 of 12
# must-pass questions, and gold NLL rises by 0.03 nat. The other values are usual for models of KoGPT2's size.
SMALL_LEARNING_RATE: Final = 3e-4
LEARNING_RATE: Final = 1e-4
LORA_LEARNING_RATE: Final = 1e-3
_SMALL_EPOCHS: Final = 1
EPOCHS: Final = 3
"""Default number of epochs from a base of KoGPT2's size."""
_SMALL_DROPOUT: Final = 0.1
_SMALL_BATCH: Final = 32
# At KoGPT2's size, 64 examples a step are faster than 32 at half of the rate, and end at a lower loss; packed rows and
# no dropout are fastest, at the same loss (ADR 0041).
BATCH: Final = 64
EXAMPLES_PER_ROW: Final = 4
DROPOUT: Final = 0.0
# New pairs on a champion: at this rate it learns 8 of 8 in 30 to 60 steps. Gold NLL rises by 0.01 to 0.07 nat, or by
# 0.17 to 0.35 nat if its predictions are not preserved. Twenty pairs, of which twelve contradict kept ones, take six
# epochs (180 steps); a longer cosine schedule does not teach it more.
_CHAMPION_RATE_SHARE: Final = 2 / 3
_CHAMPION_BATCH: Final = 8
_CHAMPION_EPOCHS: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Curriculum:
    """The pairs and the recipe of a training.

    Attributes:
        learned: pairs to learn, with their weights.
        kept: pairs on which the predictions must not change.
        recipe: how to train.
    """

    learned: Sequence[Pair]
    kept: Sequence[Pair]
    recipe: Recipe


def plan_training(
    pairs: Sequence[Pair],
    known: Collection[tuple[str, str]],
    must: Collection[str],
    settings: Settings,
    *,
    epochs: int | None,
    small: bool,
) -> Curriculum:
    """Choose the pairs of a training and its recipe.

    Args:
        pairs: the dataset's train split.
        known: questions and answers that the initial weights have learned; empty for a base.
        must: must-pass questions of the gate.
        settings: values of the recipe.
        epochs: number of epochs. None: from a base, the setting or a default; from a champion, a fixed maximum.
        small: whether the weights come from the small base.

    Returns:
        The curriculum. If the champion has learned all pairs, the curriculum contains all of them.
    """
    # Only seed pairs: a correction of a must-pass question keeps its own weight.
    is_must = {pair for pair in pairs if pair.source == "seed" and pair.question in must}
    weighted = [replace(pair, weight=max(pair.weight, MUST_WEIGHT)) if pair in is_must else pair for pair in pairs]
    new_pairs = [pair for pair in weighted if (pair.question, pair.answer) not in known]
    by_base = _SMALL_EPOCHS if small else EPOCHS
    recipe = _recipe(settings, epochs or settings.training.epochs or by_base, small=small)
    if not known or not new_pairs:
        return Curriculum(learned=weighted, kept=(), recipe=recipe)
    kept = [pair for pair in weighted if (pair.question, pair.answer) in known]
    recipe = replace(
        recipe,
        epochs=epochs or _CHAMPION_EPOCHS,
        batch_size=min(recipe.batch_size, _CHAMPION_BATCH),
        learning_rate=recipe.learning_rate * _CHAMPION_RATE_SHARE,
        weight_decay=0.0,
        dropout=0.0,
        until_known=True,
    )
    return Curriculum(learned=new_pairs, kept=kept, recipe=recipe)


def _recipe(settings: Settings, epochs: int, *, small: bool) -> Recipe:
    """Return the recipe of the settings; default batch size and rate depend on the base and on what is trained."""
    training = settings.training
    rate = SMALL_LEARNING_RATE if small else LEARNING_RATE
    return Recipe(
        epochs=epochs,
        batch_size=training.batch_size or (_SMALL_BATCH if small else BATCH),
        examples_per_row=1 if small else EXAMPLES_PER_ROW,
        lora_rank=training.lora_rank,
        learning_rate=training.learning_rate or (LORA_LEARNING_RATE if training.lora_rank else rate),
        warmup_fraction=training.warmup_fraction,
        weight_decay=training.weight_decay,
        label_smoothing=training.label_smoothing,
        precision=training.precision,
        seed=training.seed,
        answer_tokens=training.answer_tokens,
        dropout=_SMALL_DROPOUT if small else DROPOUT,
        checkpoint_every_steps=training.checkpoint_every_steps,
    )
