"""Read the query of a request; whatever is not as expected is an error that names it."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from kogpt2_chat.dashboards.periods import Period
from kogpt2_chat.dashboards.turns import MOST_TURNS, TurnFilter
from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.domain.chat.times import PLAUSIBLE_YEARS
from kogpt2_chat.domain.chat.turn_ids import is_turn_id
from world.gateway.ops.denied import Denied

MOST_DAYS: Final = 400
_USUAL_TURNS: Final = 50
_USUAL_HOURS: Final = 24
_ROUNDED_TO_S: Final = 5
"""A period without an end ends at a multiple of this, so that pages that ask at nearly the same time ask the same."""
_MOST_CHARS: Final = 1024
"""Length of a keyword. The index has no longer ones."""
_NAME: Final = re.compile(r"[a-z_]{1,40}")
_NUMBER: Final = re.compile(r"[0-9]{1,9}")

Query = Mapping[str, str]


def period_of(query: Query, now: float) -> Period:
    """Return the period that a query asks for; without times, the last day.

    Args:
        query: parameters by name.
        now: seconds since the epoch.

    Returns:
        The period.

    Raises:
        Denied: ``parameter``.
    """
    end = _time(query, "to") or datetime.fromtimestamp((now // _ROUNDED_TO_S + 1) * _ROUNDED_TO_S, UTC)
    start = _time(query, "from") or end - timedelta(hours=_USUAL_HOURS)
    if not timedelta(0) < end - start <= timedelta(days=MOST_DAYS):
        raise Denied("parameter", f"from, to: expected at most {MOST_DAYS} days, and `from` before `to`")
    if start.year not in PLAUSIBLE_YEARS:
        raise Denied("parameter", "from, to: the period begins too early")
    bot = query.get("bot") or None
    if bot is not None and bot not in BOT_IDS:
        raise Denied("parameter", f"bot: expected one of {', '.join(BOT_IDS)}")
    return Period(start=start, end=end, bot=bot)


def turn_filter(query: Query, now: float) -> TurnFilter:
    """Return the turns that a query asks for; see :func:`period_of`."""
    limit = _number(query, "limit")
    if limit is not None and not 1 <= limit <= MOST_TURNS:
        raise Denied("parameter", f"limit: expected 1 to {MOST_TURNS}")
    period = period_of(query, now)
    return TurnFilter(
        start=period.start,
        end=period.end,
        bot=period.bot,
        limit=limit or _USUAL_TURNS,
        outcome=_name(query, "outcome"),
        version=_number(query, "version"),
        question_key=_text(query, "question_key"),
        kind=_name(query, "kind"),
        fault=_name(query, "fault"),
        conversation=_text(query, "conversation"),
    )


def turn_id_of(text: str) -> str:
    """Return a turn's id.

    Raises:
        Denied: ``parameter``: it does not look like one.
    """
    if not is_turn_id(text):
        raise Denied("parameter", "turn: expected an id like bot_question-3-17")
    return text


def _time(query: Query, name: str) -> datetime | None:
    text = query.get(name)
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
        found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        found = None
    if found is None or found.year not in PLAUSIBLE_YEARS:
        raise Denied("parameter", f"{name}: expected a time like 2026-03-01T09:00:00Z")
    return found


def _number(query: Query, name: str) -> int | None:
    text = query.get(name)
    if not text:
        return None
    if _NUMBER.fullmatch(text) is None:
        raise Denied("parameter", f"{name}: expected a whole number")
    return int(text)


def _text(query: Query, name: str) -> str | None:
    text = query.get(name) or None
    if text is not None and len(text) > _MOST_CHARS:
        raise Denied("parameter", f"{name}: expected at most {_MOST_CHARS} characters")
    return text


def _name(query: Query, name: str) -> str | None:
    text = query.get(name)
    if not text:
        return None
    if _NAME.fullmatch(text) is None:
        raise Denied("parameter", f"{name}: expected a word in small letters")
    return text
