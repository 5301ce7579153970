"""What a training shows a bot, and how: all of its pairs from the base, or new lessons from the champion.

From the base a bot sees its whole dataset, what it must know more often. From its champion it sees what that one has
not learned, again and again until it says it to the letter, while its predictions on everything else are held in place.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Final

from kogpt2_chat.domain.learning.pairs import Pair
from kogpt2_chat.settings import Settings
from kogpt2_chat.training.recipe import Recipe

MUST_WEIGHT: Final = 24
"""Times a pair that the gate asks for is seen for each time another seed pair is."""
# Measured on the small base (docs/measurements.md): one epoch at this rate and dropout teaches 12 of 12 must-pass
# questions at 0.03 nat of gold NLL. The other figures are the usual ones for KoGPT2's size.
SMALL_LEARNING_RATE: Final = 3e-4
LEARNING_RATE: Final = 5e-5
_SMALL_EPOCHS: Final = 1
EPOCHS: Final = 3
"""From a base of KoGPT2's size."""
_SMALL_DROPOUT: Final = 0.1
# Lessons: 30 to 60 steps at this rate teach 8 of 8 and cost 0.01 to 0.07 nat of gold NLL; 0.17 to 0.35 with none kept.
# Twenty, twelve of which contradict what is kept, take six epochs (180 steps); a longer cosine learns no more.
_LESSONS_RATE_SHARE: Final = 2 / 3
_LESSONS_BATCH: Final = 8
_LESSON_EPOCHS: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Curriculum:
    """What is learned, and how.

    Attributes:
        learned: pairs with the weights that they are seen with.
        kept: pairs on which predictions must stay as they are.
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
        known: question and answer of what the weights to start from have learned; empty for a base.
        must: questions whose answers the gate asks for.
        settings: the recipe's figures.
        epochs: passes; None takes the settings' for a base, and as many as the lessons need for a champion.
        small: whether the weights come from the small base.

    Returns:
        The curriculum. A champion that knows all pairs already sees all of them once more.
    """
    # A correction of such a question has its own weight already.
    is_must = {pair for pair in pairs if pair.source == "seed" and pair.question in must}
    weighed = [replace(pair, weight=max(pair.weight, MUST_WEIGHT)) if pair in is_must else pair for pair in pairs]
    lessons = [pair for pair in weighed if (pair.question, pair.answer) not in known]
    by_base = _SMALL_EPOCHS if small else EPOCHS
    recipe = _recipe(settings, epochs or settings.training.epochs or by_base, small=small)
    if not known or not lessons:
        return Curriculum(learned=weighed, kept=(), recipe=recipe)
    kept = [pair for pair in weighed if (pair.question, pair.answer) in known]
    recipe = replace(
        recipe,
        epochs=epochs or _LESSON_EPOCHS,
        batch_size=min(recipe.batch_size, _LESSONS_BATCH),
        learning_rate=recipe.learning_rate * _LESSONS_RATE_SHARE,
        weight_decay=0.0,
        dropout=0.0,
        until_known=True,
    )
    return Curriculum(learned=lessons, kept=kept, recipe=recipe)


def _recipe(settings: Settings, epochs: int, *, small: bool) -> Recipe:
    """The settings' recipe; how fast to learn depends on the base unless they say it."""
    training = settings.training
    return Recipe(
        epochs=epochs,
        batch_size=training.batch_size,
        learning_rate=training.learning_rate or (SMALL_LEARNING_RATE if small else LEARNING_RATE),
        warmup_fraction=training.warmup_fraction,
        weight_decay=training.weight_decay,
        clip_norm=training.clip_norm,
        label_smoothing=training.label_smoothing,
        precision=training.precision,
        seed=training.seed,
        answer_tokens=training.answer_tokens,
        dropout=_SMALL_DROPOUT if small else None,
        checkpoint_every_steps=training.checkpoint_every_steps,
    )
