"""Rules of a dataset for tests."""

from dataclasses import replace
from typing import Any, Final

from kogpt2_chat.domain.learning.dataset import Rules

_RULES: Final = Rules(
    min_age_hours=24,
    auto_review=False,
    seed_share=0.3,
    rows_per_player=50,
    rows_per_phrase=20,
    new_pair_weight=4,
    assumed_consent=False,
    max_answer_tokens=48,
)


def rules_with(**changes: Any) -> Rules:
    """Return rules that are strict, except for the changes."""
    return replace(_RULES, **changes)
