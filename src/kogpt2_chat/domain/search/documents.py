"""Make the documents of the search index.

The indexer and ``index`` call the same functions with rows of the same form, so they write the same
documents, but for the fields in :data:`~kogpt2_chat.domain.search.fields.LAKE_ONLY`.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, get_args

from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.domain.chat.dead_letters import REASONS
from kogpt2_chat.domain.chat.players import player_key
from kogpt2_chat.domain.chat.turn_ids import is_turn_id, position_in
from kogpt2_chat.domain.chat.turns import FeedbackKind
from kogpt2_chat.domain.lake.layout import plausible_time
from kogpt2_chat.domain.lake.search_masking import conversation_of, mask_for_search
from kogpt2_chat.domain.learning.cleaning import phrase_key
from kogpt2_chat.domain.search.fields import FIELDS_BY_INDEX, MEASURED, TURN_INDEX
from kogpt2_chat.domain.text.json_records import object_or_empty
from kogpt2_chat.domain.text.loops import is_loop

MODEL: Final = "model"
"""Outcome of a turn that the model itself answered. All other outcomes are fallbacks."""
_MAX_KEY_CHARS: Final = 200
OTHER: Final = "other"
"""A value that this release does not know. What a client writes there could be a player's text."""
_FEEDBACK_COLUMNS: Final = ("authenticated", "received_at", "kafka_partition", "kafka_offset")
_THUMBS: Final = ("up", "down")
_FEEDBACK_KINDS: Final = get_args(FeedbackKind)
_DIGEST_CHARS: Final = 16

Row = Mapping[str, object]


def turn_document(row: Row) -> dict[str, object]:
    """Return the document of a turn.

    Args:
        row: a row of the table ``turns``, of any release, or one made from a record of ``conversation_log``. It must
            not be a turn that may be about a crisis: those have no document.

    Returns:
        The masked row with the derived fields; without nulls. Times are RFC 3339 in UTC. Its id is ``turn_id``.
    """
    masked = mask_for_search(row)
    text, answer = str(masked.get("text") or ""), str(masked.get("answer") or "")
    decoding = object_or_empty(masked.get("decoding"))
    nearest = decoding.get("nearest")
    nearest = nearest if isinstance(nearest, Mapping) else {}
    likeness = nearest.get("likeness")
    derived = {
        "outcome": masked.get("fallback") or MODEL,
        "conversation": conversation_of(masked),
        "question_key": phrase_key(text)[:_MAX_KEY_CHARS] or None,
        "answer_key": phrase_key(answer)[:_MAX_KEY_CHARS] or None,
        "question_chars": len(text),
        "answer_chars": len(answer),
        "answer_tokens": len(_list(masked.get("answer_token_ids"))),
        "return_ms": between_ms(masked.get("answered_at"), masked.get("logged_at")),
        "nearest_likeness": likeness if isinstance(likeness, float) and math.isfinite(likeness) else None,
        "nearest_source": nearest.get("source"),
        "faults": _faults(text, answer, decoding) if masked.get("fallback") is None else None,
    }
    known = FIELDS_BY_INDEX[TURN_INDEX]
    return {
        name: _as_json(value)
        for name, value in {**masked, **derived}.items()
        if name in known and value is not None and value != []
    }


def with_measured(document: Row, known: Row | None) -> Row:
    """Return a turn's document with what an earlier document of the same record knew and its row does not.

    Rows that an earlier release has ingested lack the columns of what workers and the broker have measured.

    Args:
        document: made from a row of the lake.
        known: the document that the index has; None if it has none.
    """
    if known is None or any(document.get(name) != known.get(name) for name in ("kafka_partition", "kafka_offset")):
        return document
    return {**{name: known[name] for name in MEASURED if name in known}, **document}


def feedback_id(row: Row) -> str:
    """Return the id of a feedback's document.

    The last thumb of a player on a turn replaces the earlier ones, and so does the last feedback of any other kind.
    Neither the player's name nor anything else that a client may have written is in it.
    """
    player = player_key(str(row.get("player_id") or ""))
    kind = "thumb" if row.get("kind") in _THUMBS else row.get("kind")
    digest = _digest(f"{row['turn_id']} {kind} {player}")
    return f"{_turn_id(row) or OTHER}:{digest}"


def feedback_document(row: Row, turn: Row | None) -> dict[str, object]:
    """Return the document of a feedback, without any text of a client.

    Args:
        row: a row of the table ``feedback``, or one made from a record of the topic.
        turn: the document or the row of the turn; None if it is not known.
    """
    found = {
        "feedback_id": _digest(str(row.get("feedback_id") or "")),
        "turn_id": _turn_id(row),
        "kind": row.get("kind") if row.get("kind") in _FEEDBACK_KINDS else OTHER,
        **{name: row.get(name) for name in _FEEDBACK_COLUMNS},
        **{name: turn.get(name) for name in ("bot", "model_version") if turn is not None},
    }
    return {name: _as_json(value) for name, value in found.items() if value is not None}


def _turn_id(row: Row) -> str | None:
    """Return the turn id of a feedback, which a client wrote, if it has the form of one."""
    turn_id = str(row.get("turn_id") or "")
    return turn_id if is_turn_id(turn_id) else None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST_CHARS]


def dead_letter_document(value: bytes | None, headers: Mapping[str, str], timestamp_ms: int) -> dict[str, object]:
    """Return the document of a dead letter: nothing of its value, its sender or the error's text.

    Args:
        value: the question as it arrived; only its size and the bot that it names are kept.
        headers: the headers of the dead letter.
        timestamp_ms: the time of the record.
    """
    partition, offset = position_in(headers.get("turn_id", "")) or (None, None)
    at = plausible_time(timestamp_ms)
    found = {
        "reason": headers["reason"] if headers.get("reason") in REASONS else OTHER,
        "bot": _named_bot(value),
        "size": len(value or b""),
        "question_partition": partition,
        "question_offset": offset,
        "at": at,
    }
    return {name: _as_json(entry) for name, entry in found.items() if entry is not None}


def _named_bot(value: bytes | None) -> str | None:
    """Return the bot that a question's value names, if it is one of ours: anything else could be a player's text."""
    try:
        body = json.loads(value or b"")
    except (ValueError, RecursionError):
        return None
    bot = body.get("bot") if isinstance(body, dict) else None
    return bot if bot in BOT_IDS else None


def _faults(text: str, answer: str, decoding: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with an answer of the model, as far as its text shows it."""
    found_by_kind = {
        "cut": decoding.get("stop_reason") == "length",
        "looping": is_loop(answer),
        "copied": bool(answer) and phrase_key(text) == phrase_key(answer),
        "short": len(phrase_key(answer)) < 2,  # noqa: PLR2004
    }
    return [kind for kind, found in found_by_kind.items() if found]


def _list(value: object) -> list[object]:
    return list(value) if isinstance(value, list | tuple) else []


def between_ms(start: object, end: object) -> int | None:
    """Return the milliseconds from one time to another, at least 0; None if one of them is no time."""
    if not isinstance(start, datetime) or not isinstance(end, datetime):
        return None
    return max(0, round((end - start).total_seconds() * 1000))


def _as_json(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else value
