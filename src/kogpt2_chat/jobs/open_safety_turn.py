"""Open one turn that may be about a crisis.

The reviewer states a name and a reason; both are recorded before the text is read.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from kogpt2_chat.domain.lake.layout import AUDIT, TURNS, app_id, seoul_date
from kogpt2_chat.domain.safety.crisis import CrisisKind
from kogpt2_chat.domain.safety.turns import SAFETY_COLUMNS, safety_kind
from kogpt2_chat.errors import InvalidInput, NotFound
from kogpt2_chat.machine.person import system_user
from kogpt2_chat.ports import Tables

_SHOWN: Final = ("turn_id", "bot", "player_id", "session_id", "text", "answer", "fallback", "received_at", "source")


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSafetyTurnResult:
    """A turn with its text.

    Attributes:
        turn_id: id of the turn.
        bot: the bot that was asked.
        player_id: the player.
        session_id: the client's session; None if it sent none.
        text: the question.
        answer: the answer that the player received.
        fallback: what replaced the model's answer; None if nothing did.
        received_at: when the question was received.
        source: where the question came from.
        kind: the kind of crisis.
        audit_id: id of the record of this access in the table ``audit``.
    """

    turn_id: str
    bot: str
    player_id: str
    session_id: str | None
    text: str
    answer: str
    fallback: str | None
    received_at: datetime
    source: str
    kind: CrisisKind
    audit_id: str


def open_safety_turn(
    *, turn_id: str, reviewer: str, reason: str, tables: Tables, now: datetime | None = None
) -> OpenSafetyTurnResult:
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
        The turn with its text, its kind, and the id of the record.

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
    row: Mapping[str, Any] = next(row for row in tables.read(TURNS.name, _SHOWN) if row["turn_id"] == turn_id)
    return OpenSafetyTurnResult(**row, kind=kind, audit_id=audit_id)


def _kind_of(turn_id: str, tables: Tables) -> CrisisKind:
    for row in tables.read(TURNS.name, SAFETY_COLUMNS):
        if row["turn_id"] == turn_id and (kind := safety_kind(row)) is not None:
            return kind
    raise NotFound(
        f"the lake has no turn {turn_id} that may be about a crisis: `kogpt2-chat review-safety list` lists them. "
        "A recent turn arrives with the next `ingest`; turns without consent to storing are not stored"
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
