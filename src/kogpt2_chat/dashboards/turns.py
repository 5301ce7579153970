"""The list of single turns behind a number."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from kogpt2_chat.dashboards.queries import CONVERSATION, TIMEOUT, Body, in_time
from kogpt2_chat.dashboards.results import cell, columns_of, conversation_key
from kogpt2_chat.domain.search.fields import FEEDBACK_INDEX, TIME_FIELD, TURN_INDEX
from kogpt2_chat.errors import InvalidInput

MOST_TURNS: Final = 100
COLUMNS: Final = (
    "received_at", "bot", "model_version", "text", "answer", "outcome", "faults", "latency_ms", "turn_id",
)  # fmt: skip
OUTCOMES_BY_GROUP: Final[Mapping[str, tuple[str, ...]]] = {
    "unanswered": ("timeout", "empty", "degraded", "muted"),
    "unknown": ("unsure", "timeout", "empty", "degraded", "muted"),
}
"""Names for several outcomes at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnFilter:
    """Which turns are listed. A filter that is None lets all turns through.

    Attributes:
        start: the first moment.
        end: the first moment after the period.
        bot: the bot that was asked.
        outcome: how it was answered, or the name of a group of :data:`OUTCOMES_BY_GROUP`.
        version: the version that answered.
        question_key: the normalised question.
        kind: the kind of a feedback that the turn got in the period.
        fault: what was wrong with the answer.
        conversation: the session, or the player if the client sent none, as the index names it. Its turns are listed
            as they were spoken, so oldest first; all other lists begin with the newest turn.
        limit: at most so many turns, the first ones in that order; up to a hundred.

    Raises:
        InvalidInput: the limit is out of range, a time has no offset, or the period is empty.
    """

    start: datetime
    end: datetime
    bot: str | None = None
    outcome: str | None = None
    version: int | None = None
    question_key: str | None = None
    kind: str | None = None
    fault: str | None = None
    conversation: str | None = None
    limit: int = MOST_TURNS

    def __post_init__(self) -> None:
        if not 1 <= self.limit <= MOST_TURNS:
            raise InvalidInput(f"turns: `limit` must be from 1 to {MOST_TURNS}, found {self.limit}")
        if self.start.tzinfo is None or self.end.tzinfo is None or self.start >= self.end:
            raise InvalidInput(
                f"turns: {self.start.isoformat()} to {self.end.isoformat()} is not a period with offsets"
            )


def feedback_query(wanted: TurnFilter) -> tuple[str, Body]:
    """Return the search for the turns that got a kind of feedback; :func:`turns_query` takes their ids.

    It is needed only if the filter has a kind.
    """
    own = {"kind": wanted.kind, "bot": wanted.bot, "model_version": wanted.version}
    time = TIME_FIELD[FEEDBACK_INDEX]
    known = {"exists": {"field": "bot"}}  # the bot is that of the turn
    filters = [in_time(time, wanted.start, wanted.end), known, *_terms(own)]
    return FEEDBACK_INDEX, _listing(filters, ["turn_id"], {time: "desc"}, wanted.limit)


def fed_back(response: Mapping[str, Any]) -> list[str]:
    """Return the ids of the turns that got the feedback, newest feedback first."""
    hits = response.get("hits", {}).get("hits", [])
    return list(dict.fromkeys(str(hit["_source"]["turn_id"]) for hit in hits))


def turns_query(wanted: TurnFilter, turn_ids: list[str] | None = None) -> tuple[str, Body]:
    """Return the search for turns.

    Args:
        wanted: which turns.
        turn_ids: only these turns, whenever they were; None: those of the period.
    """
    outcome = wanted.outcome
    own = {
        "bot": wanted.bot,
        "outcome": OUTCOMES_BY_GROUP.get(outcome, outcome) if outcome else None,
        "model_version": wanted.version,
        "question_key": wanted.question_key,
        "faults": wanted.fault,
        "conversation": wanted.conversation,
        "turn_id": turn_ids,
    }
    time = TIME_FIELD[TURN_INDEX]
    period = [in_time(time, wanted.start, wanted.end)] if turn_ids is None else []
    order = {time: "desc" if wanted.conversation is None else "asc"}
    return TURN_INDEX, _listing([*period, *_terms(own)], [*COLUMNS, CONVERSATION], order, wanted.limit)


def turns_result(response: Mapping[str, Any]) -> dict[str, object]:
    """Return the JSON of the list: a table. The key of a turn leads to its conversation."""
    sources = [hit["_source"] for hit in response.get("hits", {}).get("hits", [])]
    return {
        "id": "turns",
        "took_ms": response.get("took", 0),
        "columns": columns_of(COLUMNS, TURN_INDEX),
        "rows": [[cell(name, source.get(name)) for name in COLUMNS] for source in sources],
        "keys": [conversation_key(source) for source in sources],
    }


def _terms(wanted: Mapping[str, object]) -> list[Body]:
    return [
        {"terms": {name: list(value)}} if isinstance(value, list | tuple) else {"term": {name: value}}
        for name, value in wanted.items()
        if value is not None
    ]


def _listing(filters: list[Body], fields: list[str], order: Mapping[str, str], limit: int) -> Body:
    return {
        "size": limit,
        "track_total_hits": False,
        "timeout": TIMEOUT,
        "query": {"bool": {"filter": filters}},
        "_source": fields,
        "sort": [dict(order)],
    }
