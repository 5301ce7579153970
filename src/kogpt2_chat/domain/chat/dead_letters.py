"""Which dead letters may be asked again, and how a replay says what it is.

A replay is a new question with a position of its own, so that it gets a turn of its own; its headers say which
one it repeats. ``bot_question`` itself is the only memory of what was replayed, and it forgets. Knows no Kafka
client: a letter is bytes, headers and a time.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, get_args

from kogpt2_chat.domain.chat.topics import QUESTION_TOPIC, TOPIC_BY_NAME
from kogpt2_chat.domain.chat.wire import read_question
from kogpt2_chat.errors import InvalidMessage

Reason = Literal[
    "not_utf8",
    "not_a_question",
    "schema",
    "too_large",
    "too_long",
    "empty",
    "unknown_bot",
    "crash_loop",
    "answer_too_large",
]
Left = Literal[
    "already_replayed", "before_memory", "died_again", "over_limit", "too_large_to_send", "too_late", "value_dropped"
]
"""Why a letter of a chosen reason is not sent."""

REASONS: Final[tuple[Reason, ...]] = get_args(Reason)
REPLAYABLE: Final[tuple[Reason, ...]] = ("answer_too_large", "crash_loop")
"""The fault was ours. All other reasons lie in the record itself, which would only die again."""

REPLAY_OF: Final = "replay_of"
REPLAYED_AT: Final = "replayed_at"

_CONFIGS: Final = TOPIC_BY_NAME[QUESTION_TOPIC].configs
_HEADROOM_BYTES: Final = 16 * 1024
"""Headers and the record's frame stand in the topic's bound as well."""
_MAX_BYTES: Final = int(_CONFIGS["max.message.bytes"]) - _HEADROOM_BYTES
# An hour less than the retention, since worker, broker and whoever replays have a clock each.
_REMEMBERED_FOR: Final = timedelta(milliseconds=int(_CONFIGS["retention.ms"])) - timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """One dead letter.

    Attributes:
        turn_id: the position of the question that died.
        died_at_ms: when, by the worker's clock.
    """

    turn_id: str
    reason: str
    key: bytes | None
    value: bytes | None
    died_at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What ``bot_question`` still knows of earlier replays.

    Attributes:
        replayed: turn ids that were repeated.
        replays: turn ids of the replays themselves.
        forgets: whether anything was ever dropped from the topic; until then it knows of every replay.
    """

    replayed: frozenset[str] = frozenset()
    replays: frozenset[str] = frozenset()
    forgets: bool = False


def read_letter(
    key: bytes | None, value: bytes | None, headers: Mapping[str, str], *, timestamp_ms: int
) -> DeadLetter | None:
    """Read one record of the dead letters.

    Args:
        key: as it stands there.
        value: as it stands there.
        headers: of the contract.
        timestamp_ms: the record's time.

    Returns:
        The letter; None where the headers do not say which question died, or why.
    """
    turn, reason = headers.get("turn_id"), headers.get("reason")
    if not turn or not reason:
        return None
    return DeadLetter(turn_id=turn, reason=reason, key=key, value=value, died_at_ms=timestamp_ms)


def skip_reason(letter: DeadLetter, memory: Memory, now: datetime, *, again: bool = False) -> Left | None:
    """Why a letter is not asked again.

    Args:
        letter: of a reason that was chosen.
        memory: of earlier replays.
        now: the time.
        again: also where an earlier replay may have been, or has been, in vain. A letter of which the replay is
            known is never sent twice all the same.

    Returns:
        The cause; None when the letter is to be sent.
    """
    if not letter.value:  # the broker would not take the letter with its value, or the question never had one
        return "value_dropped"
    if letter.turn_id in memory.replayed:
        return "already_replayed"
    if not again and letter.turn_id in memory.replays:
        return "died_again"
    if not again and memory.forgets and letter.died_at_ms < (now - _REMEMBERED_FOR).timestamp() * 1000:
        return "before_memory"
    if _is_too_late(letter.value, now):
        return "too_late"
    return "too_large_to_send" if len(letter.value) + len(letter.key or b"") > _MAX_BYTES else None


def replay_headers(letter: DeadLetter, now: datetime) -> dict[str, str]:
    """Headers of a replay."""
    return {REPLAY_OF: letter.turn_id, REPLAYED_AT: now.isoformat(timespec="milliseconds")}


def _is_too_late(value: bytes, now: datetime) -> bool:
    """Whether the question names a moment after which nobody waits: it would be answered by a notice only."""
    try:
        reply_by = read_question(value, 0, 0).reply_by
    except InvalidMessage:  # whoever chose this reason wants it sent as it is
        return False
    return reply_by is not None and reply_by <= now
