"""Recipes of trainings for tests."""

from typing import Any, Final

from kogpt2_chat.training.recipe import Recipe

_VALUES: Final = {
    "warmup_fraction": 0.1,
    "weight_decay": 0.01,
    "label_smoothing": 0.0,
    "seed": 20,
    "checkpoint_every_steps": 200,
}


def recipe_with(**values: Any) -> Recipe:
    """Return a recipe with these values; the fields that most tests do not care about may be left out."""
    return Recipe(**(_VALUES | values))
