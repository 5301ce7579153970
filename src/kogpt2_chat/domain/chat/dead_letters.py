"""Which dead letters can be replayed, and the headers that identify a replay.

A replay is a new question with its own position, so it gets its own turn. Its headers name the turn that it repeats.
The topic ``bot_question`` is the only record of earlier replays, and its retention limits how far back it reaches. This
module does not depend on a Kafka client: a dead letter is bytes, headers and a timestamp.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, get_args

from kogpt2_chat.domain.chat.topics import QUESTION_TOPIC, TOPIC_BY_NAME
from kogpt2_chat.domain.chat.wire import read_question
from kogpt2_chat.errors import InvalidMessage

DeadLetterReason = Literal[
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
SkipReason = Literal[
    "already_replayed", "before_memory", "died_again", "over_limit", "too_large_to_send", "too_late", "value_dropped"
]
"""Why a dead letter with a selected reason is not sent."""

REASONS: Final[tuple[DeadLetterReason, ...]] = get_args(DeadLetterReason)
REPLAYABLE: Final[tuple[DeadLetterReason, ...]] = ("answer_too_large", "crash_loop")
"""Reasons caused by the platform. For all other reasons the record itself is at fault, and a replay fails again."""

REPLAY_OF: Final = "replay_of"
REPLAYED_AT: Final = "replayed_at"

_QUESTIONS: Final = TOPIC_BY_NAME[QUESTION_TOPIC]
# An hour less than the retention, since the clocks of worker, broker and this process may differ.
_HISTORY_REACH: Final = timedelta(milliseconds=int(_QUESTIONS.configs["retention.ms"])) - timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A dead letter.

    Attributes:
        turn_id: the position of the question that failed.
        died_at_ms: the timestamp of the dead letter.
    """

    turn_id: str
    reason: str
    key: bytes | None
    value: bytes | None
    died_at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayHistory:
    """The earlier replays that are still in ``bot_question``.

    Attributes:
        replayed: ids of the turns that were replayed.
        replays: turn ids of the replays themselves.
        is_truncated: whether retention has ever deleted records from the topic. If not, the history is complete.
    """

    replayed: frozenset[str] = frozenset()
    replays: frozenset[str] = frozenset()
    is_truncated: bool = False


def read_letter(
    key: bytes | None, value: bytes | None, headers: Mapping[str, str], *, timestamp_ms: int
) -> DeadLetter | None:
    """Read one record of the dead letter topic.

    Args:
        key: the key of the record.
        value: the value of the record.
        headers: the headers of the record, as defined by the contract.
        timestamp_ms: the timestamp of the record.

    Returns:
        The dead letter, or None if the headers lack the turn id or the reason.
    """
    turn, reason = headers.get("turn_id"), headers.get("reason")
    if not turn or not reason:
        return None
    return DeadLetter(turn_id=turn, reason=reason, key=key, value=value, died_at_ms=timestamp_ms)


def skip_reason(letter: DeadLetter, history: ReplayHistory, now: datetime, *, again: bool = False) -> SkipReason | None:
    """Return why a dead letter is not replayed.

    Args:
        letter: a dead letter with a selected reason.
        history: the earlier replays.
        now: the current time.
        again: whether to allow two further cases: the letter is itself a failed replay, or it is so old that its replay
            may no longer be in the history. A letter whose replay is in the history is never sent again.

    Returns:
        The cause, or None if the letter can be sent.
    """
    if not letter.value:  # the question had no value, or the broker refused the dead letter with the value
        return "value_dropped"
    if letter.turn_id in history.replayed:
        return "already_replayed"
    if not again and letter.turn_id in history.replays:
        return "died_again"
    if not again and history.is_truncated and letter.died_at_ms < (now - _HISTORY_REACH).timestamp() * 1000:
        return "before_memory"
    if _is_too_late(letter.value, now):
        return "too_late"
    return "too_large_to_send" if len(letter.value) + len(letter.key or b"") > _QUESTIONS.max_value_bytes else None


def replay_headers(letter: DeadLetter, now: datetime) -> dict[str, str]:
    """Return the headers of a replay."""
    return {REPLAY_OF: letter.turn_id, REPLAYED_AT: now.isoformat(timespec="milliseconds")}


def _is_too_late(value: bytes, now: datetime) -> bool:
    """Check whether ``reply_by`` of the question has passed, so that the answer could only be a fixed notice."""
    try:
        reply_by = read_question(value, 0, 0).reply_by
    except InvalidMessage:  # the operator selected a reason for malformed records, so it is sent unchanged
        return False
    return reply_by is not None and reply_by <= now
