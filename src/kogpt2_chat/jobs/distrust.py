"""Strike a player or a turn out of everything that bots learn from, or take that back.

Nothing is deleted: entries are added to the lake's table ``distrust``, the last one on a subject counts, and the next
dataset of every bot leaves the rows out with the reason ``distrusted``. That alone starts a retraining.
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
    """Who or what is struck out: a player by their key, or one turn."""

    kind: Literal["player", "turn"]
    name: str


def subject_of(text: str) -> Subject:
    """A turn where the text is a turn's id, else a player under any spelling of the name.

    Raises:
        InvalidInput: nothing that can be seen is left of the name.
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
    """Add an entry.

    Args:
        subject: a player, or the id of a turn.
        by: who decides it.
        reason: why; kept for good.
        tables: the lake.
        undo: trust the subject again.
        now: the time; tests bring their own.

    Returns:
        The entry.

    Raises:
        InvalidInput: nobody is named, or no reason, or no subject.
    """
    by, reason, found, at = by.strip(), reason.strip(), subject_of(subject), now or datetime.now(UTC)
    if not by or not reason:
        raise InvalidInput("to distrust needs --by and --reason: both stand in the lake's table `distrust`")
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
    """The last entry on each subject that is struck out, the newest first.

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
