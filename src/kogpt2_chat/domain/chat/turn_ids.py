"""Read turn ids: ``bot_question-PARTITION-OFFSET``, the position of the question."""

import re
from typing import Final

from kogpt2_chat.domain.chat.topics import QUESTION_TOPIC

_TURN_ID: Final = re.compile(rf"{re.escape(QUESTION_TOPIC)}-([0-9]{{1,9}})-([0-9]{{1,18}})")


def is_turn_id(text: str) -> bool:
    """Check whether a text has the form of a turn id."""
    return _TURN_ID.fullmatch(text) is not None


def position_in(turn_id: str) -> tuple[int, int] | None:
    """Return the partition and the offset that a turn id names; None if the text is not a turn id."""
    found = _TURN_ID.fullmatch(turn_id)
    return None if found is None else (int(found[1]), int(found[2]))
