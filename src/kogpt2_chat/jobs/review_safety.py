"""Review turns that may be about a crisis: list counts and ids, and open the text of one turn at a time.

To open a turn, a reviewer states a name and a reason; both are recorded before the text is read.
"""

import uuid
from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from kogpt2_chat.domain.lake.layout import AUDIT, TURNS, app_id, seoul_date
from kogpt2_chat.domain.safety.crisis import Kind
from kogpt2_chat.domain.safety.turns import SAFETY_COLUMNS, safety_kind
from kogpt2_chat.errors import InvalidInput, NotFound
from kogpt2_chat.machine.person import system_user
from kogpt2_chat.ports import Tables

_SHOWN: Final = ("turn_id", "bot", "player_id", "session_id", "text", "answer", "fallback", "received_at", "source")


def list_safety_turns(*, tables: Tables) -> dict[str, object]:
    """List the lake's turns that may be about a crisis, without their texts and players.

    Args:
        tables: the lake.

    Returns:
        ``counts`` by bot and kind, and ``turns`` (turn id, bot, kind, date, how often it was opened), newest first.
    """
    opened = Counter(str(row["turn_id"]) for row in tables.read(AUDIT.name, ["turn_id"]))
    counts: dict[str, Counter[Kind]] = defaultdict(Counter)
    turns: list[dict[str, object]] = []
    for row in tables.read(TURNS.name, [*SAFETY_COLUMNS, "bot", "date"]):
        kind = safety_kind(row)
        if kind is not None:
            counts[str(row["bot"])][kind] += 1
            facts = {"turn_id": row["turn_id"], "bot": row["bot"], "kind": kind, "date": row["date"]}
            turns.append({**facts, "opened": opened[str(row["turn_id"])]})
    turns.sort(key=lambda turn: (str(turn["date"]), str(turn["turn_id"])), reverse=True)
    return {"counts": {bot: dict(counts[bot]) for bot in sorted(counts)}, "turns": turns}


def open_safety_turn(
    *, turn_id: str, reviewer: str, reason: str, tables: Tables, now: datetime | None = None
) -> dict[str, object]:
    """Open one turn.

    1. Check that the turn exists.
    2. Record who opens it, when and why.
    3. Read its text.

    Args:
        turn_id: id of the turn, as listed.
        reviewer: who opens it.
        reason: why.
        tables: the lake.
        now: the time; tests replace it.

    Returns:
        The turn with its text, its ``kind``, and the ``audit_id`` of the record.

    Raises:
        InvalidInput: the reviewer or the reason is missing.
        NotFound: the lake has no such turn among those that may be about a crisis.
    """
    reviewer, reason = reviewer.strip(), reason.strip()
    if not reviewer or not reason:
        raise InvalidInput(
            "opening a turn requires --reviewer and --reason: both are recorded in the lake's table `audit`"
        )
    kind = _kind_of(turn_id, tables)
    audit_id = _record_access(turn_id, reviewer, reason, tables, now or datetime.now(UTC))
    row = next(row for row in tables.read(TURNS.name, _SHOWN) if row["turn_id"] == turn_id)
    return {**row, "kind": kind, "audit_id": audit_id}


def _kind_of(turn_id: str, tables: Tables) -> Kind:
    for row in tables.read(TURNS.name, SAFETY_COLUMNS):
        if row["turn_id"] == turn_id and (kind := safety_kind(row)) is not None:
            return kind
    raise NotFound(
        f"the lake has no turn {turn_id} that may be about a crisis: `kogpt2-chat review-safety list` lists them. "
        "A recent turn arrives with the next `ingest`; turns without consent to storing are not kept"
    )


def _record_access(turn_id: str, reviewer: str, reason: str, tables: Tables, now: datetime) -> str:
    """Add one record to ``audit``, even if the append is retried."""
    audit_id = uuid.uuid4().hex
    record: Mapping[str, object] = {
        "audit_id": audit_id,
        "at": now,
        "reviewer": reviewer,
        "system_user": system_user(),
        "action": "open_safety_turn",
        "turn_id": turn_id,
        "reason": reason,
        "date": seoul_date(now),
    }
    tables.append(AUDIT.name, [record], {app_id(AUDIT.name, audit_id, 0): 1})
    return audit_id
