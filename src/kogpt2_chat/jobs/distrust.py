"""Exclude a player or a turn from all training data, or undo that.

Nothing is deleted. The job adds an entry to the lake's table ``distrust``; the last entry on a subject counts. The next
dataset of every bot rejects the affected rows with the reason ``distrusted``. A pair withdrawn this way is enough to
start a retraining.
"""

import re
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from kogpt2_chat.domain.chat.players import player_key
from kogpt2_chat.domain.lake.layout import DISTRUST, app_id, seoul_date
from kogpt2_chat.errors import InvalidInput
from kogpt2_chat.ports import Tables

_TURN_ID: Final = re.compile(r"bot_question-\d+-\d+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The subject of an entry.

    Attributes:
        kind: ``player`` or ``turn``.
        name: the player's key, or the turn's id.
    """

    kind: Literal["player", "turn"]
    name: str


def subject_of(text: str) -> Subject:
    """Return the turn if the text is a turn id, otherwise the player with that name in any spelling.

    Raises:
        InvalidInput: the name has no visible characters.
    """
    if _TURN_ID.fullmatch(text.strip()):
        return Subject(kind="turn", name=text.strip())
    key = player_key(text)
    if not key:
        raise InvalidInput(f"expected a player or a turn such as bot_question-3-17, found {text!r}")
    return Subject(kind="player", name=key)


def distrust(
    *, subject: str, by: str, reason: str, tables: Tables, undo: bool = False, now: datetime | None = None
) -> dict[str, object]:
    """Add an entry to the table ``distrust``.

    Args:
        subject: a player, or the id of a turn.
        by: who decides.
        reason: why; it is stored permanently.
        tables: the lake.
        undo: whether to trust the subject again.
        now: the time; tests replace it.

    Returns:
        The entry.

    Raises:
        InvalidInput: ``by``, the reason or the subject is missing.
    """
    by, reason, found, at = by.strip(), reason.strip(), subject_of(subject), now or datetime.now(UTC)
    if not by or not reason:
        raise InvalidInput("distrusting requires --by and --reason: both are recorded in the lake's table `distrust`")
    entry: dict[str, object] = {
        "entry_id": uuid.uuid4().hex,
        "at": at,
        "kind": found.kind,
        "subject": found.name,
        "action": "trust" if undo else "distrust",
        "by": by,
        "reason": reason,
        "date": seoul_date(at),
    }
    tables.append(DISTRUST.name, [entry], {app_id(DISTRUST.name, str(entry["entry_id"]), 0): 1})
    return entry


def list_distrusted(*, tables: Tables) -> list[dict[str, object]]:
    """List the last entry on each distrusted subject, newest first.

    Args:
        tables: the lake.

    Returns:
        The entries.
    """
    entries = sorted(tables.read(DISTRUST.name), key=_order)
    last = {(entry["kind"], entry["subject"]): entry for entry in entries}
    return sorted((entry for entry in last.values() if entry["action"] == "distrust"), key=_order, reverse=True)


def _order(entry: dict[str, object]) -> tuple[str, str]:
    return str(entry["at"]), str(entry["entry_id"])
