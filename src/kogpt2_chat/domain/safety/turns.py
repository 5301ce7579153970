"""Turns that may speak of a crisis: kept in the lake only, counted for everybody, opened one at a time.

Those that a vetted answer was given to, and those from before there was one, by their words. Values only: knows
neither tables nor who looks.
"""

import json
from collections.abc import Mapping
from typing import Final, get_args

from kogpt2_chat.domain.safety.crisis import Kind, find_crisis

SAFETY: Final = "safety"
SAFETY_COLUMNS: Final = ("turn_id", "fallback", "text", "decoding")
"""The columns that decide whether a row of ``turns`` is such a turn."""


def safety_kind(row: Mapping[str, object]) -> Kind | None:
    """What a row of ``turns`` may speak of; None for every other turn.

    Args:
        row: with the columns of ``SAFETY_COLUMNS``; other ones do no harm.

    Returns:
        The kind that the worker noted, else the one that its question shows.
    """
    if row.get("fallback") == SAFETY:
        return _noted(row) or "suicide"
    found = find_crisis(str(row.get("text") or ""))
    return None if found is None else found.kind


def _noted(row: Mapping[str, object]) -> Kind | None:
    try:
        noted = json.loads(str(row.get("decoding") or "{}")).get(SAFETY)
    except (ValueError, AttributeError):
        return None
    return next((kind for kind in get_args(Kind) if kind == noted), None)
