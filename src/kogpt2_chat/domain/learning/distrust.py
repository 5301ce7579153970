"""Subjects that bots must not learn from: a player or a turn."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Literal

from kogpt2_chat.domain.chat.players import player_key
from kogpt2_chat.domain.chat.turn_ids import is_turn_id
from kogpt2_chat.errors import InvalidInput

SubjectKind = Literal["player", "turn"]
DistrustAction = Literal["distrust", "trust"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The subject of an entry.

    Attributes:
        kind: ``player`` or ``turn``.
        name: the player's key, or the turn's id.
    """

    kind: SubjectKind
    name: str


def subject_of(text: str) -> Subject:
    """Return the turn if the text is a turn id, otherwise the player with that name in any spelling.

    Raises:
        InvalidInput: the name has no visible characters.
    """
    if is_turn_id(text.strip()):
        return Subject(kind="turn", name=text.strip())
    key = player_key(text)
    if not key:
        raise InvalidInput(f"expected a player or a turn such as bot_question-3-17, found {text!r}")
    return Subject(kind="player", name=key)


@dataclass(frozen=True, slots=True, kw_only=True)
class DistrustEntry:
    """A row of the lake's table ``distrust``.

    Attributes:
        entry_id: id of the entry.
        at: when it was made.
        kind: ``player`` or ``turn``.
        subject: the player's key, or the turn's id.
        action: ``distrust`` or ``trust``.
        by: who decided.
        reason: why.
        date: the day in Seoul.
    """

    entry_id: str
    at: datetime
    kind: SubjectKind
    subject: str
    action: DistrustAction
    by: str
    reason: str
    date: str

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "DistrustEntry":
        """Return the entry of a row; columns of later releases are ignored."""
        return cls(**{field.name: row[field.name] for field in fields(cls)})


def distrusted_entries(rows: Iterable[Mapping[str, Any]]) -> list[DistrustEntry]:
    """Return the last entry on each distrusted subject, newest first.

    Args:
        rows: all rows of the table, in any order.
    """
    entries = sorted(map(DistrustEntry.from_row, rows), key=_order)
    last = {(entry.kind, entry.subject): entry for entry in entries}
    return sorted((entry for entry in last.values() if entry.action == "distrust"), key=_order, reverse=True)


def _order(entry: DistrustEntry) -> tuple[str, str]:
    return str(entry.at), entry.entry_id
