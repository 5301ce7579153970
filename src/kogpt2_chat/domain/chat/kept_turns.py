"""What of a turn is kept: all that people write in it, masked.

The worker keeps turns by this before they are logged, and the lake again when it reads them: masking twice changes
nothing, and turns of earlier releases were masked by fewer rules.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from kogpt2_chat.domain.chat.players import kept_player
from kogpt2_chat.domain.chat.turns import Turn
from kogpt2_chat.domain.text.masking import mask_pii

_MAX_DEPTH: Final = 64
"""Questions are refused far below this; deeper values of other writers are left out."""


def kept_turn(turn: Turn) -> Turn:
    """The turn with every text of it masked.

    Where the answer holds a detail, its tokens are left out: they spell it.
    """
    answer, hits = mask_pii(turn.answer)
    return replace(
        turn,
        text=mask_pii(turn.text)[0],
        answer=answer,
        answer_token_ids=() if hits else turn.answer_token_ids,
        sender=mask_pii(turn.sender)[0],
        session_id=None if turn.session_id is None else mask_pii(turn.session_id)[0],
        player_id=kept_player(turn.player_id),
        extra=kept_fields(turn.extra),
    )


def kept_fields(fields: Mapping[str, object]) -> dict[str, object]:
    """Fields of any depth, their names and texts masked; numbers stay, since they are times and ids.

    What is no number in JSON (``NaN``, infinities) becomes null: other readers than Python's refuse the whole text.
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
