"""Masking of personal data in a turn before it is stored.

The worker masks a turn before it writes the log. The lake masks it again on ingest, because earlier releases had fewer
masking rules. Masking is idempotent.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from kogpt2_chat.domain.chat.players import masked_player
from kogpt2_chat.domain.chat.turns import Turn
from kogpt2_chat.domain.text.masking import mask_pii

_MAX_DEPTH: Final = 64
"""Deeper values are dropped. The limit for questions is lower, so only other writers can exceed this one."""


def masked_turn(turn: Turn) -> Turn:
    """Return the turn with all its texts masked.

    If the answer contains personal data, ``answer_token_ids`` becomes empty, because the tokens spell the answer.
    """
    answer, hits = mask_pii(turn.answer)
    return replace(
        turn,
        text=mask_pii(turn.text)[0],
        answer=answer,
        answer_token_ids=() if hits else turn.answer_token_ids,
        sender=mask_pii(turn.sender)[0],
        session_id=None if turn.session_id is None else mask_pii(turn.session_id)[0],
        player_id=masked_player(turn.player_id),
        extra=masked_fields(turn.extra),
    )


def masked_fields(fields: Mapping[str, object]) -> dict[str, object]:
    """Return fields with their names and texts masked at any depth; numbers stay, since they are times and ids.

    ``NaN`` and infinities become null. They are not valid JSON, and readers other than Python's reject the whole text.
    """
    return {mask_pii(name)[0]: _kept_value(value, _MAX_DEPTH) for name, value in fields.items()}


def _kept_value(value: object, depth: int) -> object:
    if depth == 0:
        return None
    if isinstance(value, str):
        return mask_pii(value)[0]
    if isinstance(value, Mapping):
        return {mask_pii(str(name))[0]: _kept_value(inner, depth - 1) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_kept_value(inner, depth - 1) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
