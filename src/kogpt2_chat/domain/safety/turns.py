"""Recognise the turns that may be about a crisis. Only the lake keeps them, and reviewers open them one at a time.

These are the turns with a vetted answer, and the turns of releases without vetted answers whose question matches. This
module works on values and does not access tables.
"""

from collections.abc import Mapping
from typing import Final, get_args

from kogpt2_chat.domain.safety.crisis import CrisisKind, find_crisis
from kogpt2_chat.domain.text.json_records import object_or_empty

SAFETY: Final = "safety"
SAFETY_COLUMNS: Final = ("turn_id", "fallback", "text", "decoding")
"""The columns that decide whether a row of ``turns`` may be about a crisis."""


def safety_kind(row: Mapping[str, object]) -> CrisisKind | None:
    """Return the kind of crisis that a row of ``turns`` may be about.

    Args:
        row: a row with the columns in ``SAFETY_COLUMNS``; others are ignored.

    Returns:
        For a vetted answer, the kind that the worker recorded, or ``suicide`` if it recorded none. For other turns, the
        kind found in the question, or None.
    """
    if row.get("fallback") == SAFETY:
        return _recorded_kind(row) or "suicide"
    found = find_crisis(str(row.get("text") or ""))
    return None if found is None else found.kind


def _recorded_kind(row: Mapping[str, object]) -> CrisisKind | None:
    recorded = object_or_empty(row.get("decoding")).get(SAFETY)
    return next((kind for kind in get_args(CrisisKind) if kind == recorded), None)
