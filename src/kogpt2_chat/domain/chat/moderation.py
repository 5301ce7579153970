"""Reports of players and chat lines, and what operators decide about them, each in version 1.

Gateways write ``report`` and follow ``moderation``; operators read the one and write the other. Public chat and
whispers are not stored anywhere; a report contains the few lines that a person needs to judge it. This module does not
depend on Kafka or a clock.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Final, Literal, get_args

from kogpt2_chat.domain.chat.players import masked_player, player_key
from kogpt2_chat.domain.chat.times import with_offset
from kogpt2_chat.domain.text.json_records import check_fields, read_object
from kogpt2_chat.domain.text.masking import mask_pii
from kogpt2_chat.errors import InvalidInput, InvalidMessage

ReportKind = Literal["person", "line"]
Sanction = Literal["mute", "ban", "hide"]
Action = Literal["mute", "ban", "hide", "none"]
"""What applies to the subject. ``none`` lifts what applied before."""

SANCTIONS: Final = get_args(Sanction)
LINES_BEFORE: Final = 10
"""How many lines of the chat before the reported one are part of a report."""
_MAX_LINE_ID_CHARS: Final = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedLine:
    """A line of the public chat in a report."""

    player_id: str
    name: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayerReport:
    """A player's report of another player, or of one line of the public chat.

    Attributes:
        report_id: an id that the gateway chooses.
        kind: ``person`` or ``line``. Later releases may add values.
        by: id of the player who reports.
        player_id: id of the reported player.
        name: the reported player's name at that time.
        room: number of the room.
        at: RFC 3339, from the gateway's clock.
        text: what the reporting player says about it; may be empty.
        line_id: id of the reported line; None for a person.
        lines: at most :data:`LINES_BEFORE` lines of the room before the report, oldest first, and then the reported
            line, if there is one.
        gateway: which gateway wrote the report.
    """

    report_id: str
    kind: ReportKind | str
    by: str
    player_id: str
    name: str
    room: int
    at: str
    text: str = ""
    line_id: str | None = None
    lines: tuple[ReportedLine, ...] = ()
    gateway: str | None = None
    v: int = 1

    def to_json(self) -> str:
        """Return the record as one line of JSON, with personal data masked and no more lines than allowed."""
        return json.dumps(asdict(masked_report(self)), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> "PlayerReport":
        """Read a record of ``report``; unknown fields are ignored.

        Args:
            text: the record's value.

        Returns:
            The report.

        Raises:
            InvalidMessage: not JSON, ``v`` is not 1, or a field is missing or of a wrong type.
        """
        body = _read(text, "report", _REPORT_TYPES, _REPORT_OPTIONAL)
        lines = []
        for line in body.pop("lines", None) or ():
            if not isinstance(line, dict):
                raise InvalidMessage("schema", f"report: a line must be an object, found {type(line).__name__}")
            check_fields(line, "report line", _LINE_TYPES)
            lines.append(ReportedLine(**{name: line[name] for name in _LINE_TYPES}))
        return cls(**body, lines=tuple(lines))


@dataclass(frozen=True, slots=True, kw_only=True)
class Moderation:
    """A decision about a player or a chat line; the last record of its key counts.

    Attributes:
        action: what applies. Later releases may add values, which a reader ignores.
        subject: a player's key, or the id of a line.
        by: the operator who decided.
        at: RFC 3339 time of the decision.
        until: RFC 3339 time at which it ends by itself; None if it does not.
        reason: why, for operators only.
    """

    action: Action | str
    subject: str
    by: str
    at: str
    until: str | None = None
    reason: str = ""
    v: int = 1

    def in_force(self, now: datetime) -> bool:
        """Check whether the decision applies at a time. An ``until`` that cannot be read does not end it."""
        if self.action not in SANCTIONS:
            return False
        end = None if self.until is None else _time(self.until)
        return end is None or now < end

    def to_json(self) -> str:
        """Return the record as one line of JSON."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> "Moderation":
        """Read a record of ``moderation``; unknown fields are ignored.

        Args:
            text: the record's value.

        Returns:
            The decision.

        Raises:
            InvalidMessage: not JSON, ``v`` is not 1, or a field is missing or of a wrong type.
        """
        return cls(**_read(text, "moderation", _MODERATION_TYPES, {"until": str, "reason": str}))


def moderation_key(sanction: Sanction, subject: str) -> str:
    """Return the key of a record of ``moderation``, e.g. ``mute:w-7fQ2``.

    Args:
        sanction: what the record imposes or lifts.
        subject: a player's id in any spelling, or the id of a line to hide.

    Returns:
        The sanction, a colon and the subject: a player's key (:func:`~kogpt2_chat.domain.chat.players.player_key`), or
        the line's id as it is.

    Raises:
        InvalidInput: the subject is empty, or too long for the id of a line.
    """
    found = subject.strip() if sanction == "hide" else player_key(subject)
    if not found or (sanction == "hide" and len(found) > _MAX_LINE_ID_CHARS):
        wanted = "the id of a chat line" if sanction == "hide" else "a player's id"
        raise InvalidInput(f"expected {wanted}, found {subject!r}")
    return f"{sanction}:{found}"


def read_moderations(latest: Mapping[str, bytes]) -> dict[str, Moderation]:
    """Read the last record of each key of ``moderation``. Records that cannot be read are left out."""
    found = {}
    for key, value in latest.items():
        try:
            found[key] = Moderation.from_json(value)
        except InvalidMessage:
            continue
    return found


def masked_report(report: PlayerReport) -> PlayerReport:
    """Return a report with personal data masked in all its texts, names and player ids, and the last lines only."""
    most = LINES_BEFORE if report.line_id is None else LINES_BEFORE + 1
    lines = [
        ReportedLine(player_id=masked_player(line.player_id), name=_masked(line.name), text=_masked(line.text))
        for line in report.lines[-most:]
    ]
    return replace(
        report,
        by=masked_player(report.by),
        player_id=masked_player(report.player_id),
        name=_masked(report.name),
        text=_masked(report.text),
        lines=tuple(lines),
    )


_REPORT_TYPES: Final[Mapping[str, type]] = {
    **dict.fromkeys(("report_id", "kind", "by", "player_id", "name", "at"), str),
    "room": int,
}
_REPORT_OPTIONAL: Final[Mapping[str, type]] = {**dict.fromkeys(("text", "line_id", "gateway"), str), "lines": list}
_LINE_TYPES: Final[Mapping[str, type]] = dict.fromkeys(("player_id", "name", "text"), str)
_MODERATION_TYPES: Final[Mapping[str, type]] = dict.fromkeys(("action", "subject", "by", "at"), str)


def _read(text: str | bytes, what: str, required: Mapping[str, type], optional: Mapping[str, type]) -> dict[str, Any]:
    """Return the checked fields of a version 1 object, without unknown and null ones."""
    body = read_object(text, what)
    if type(body.get("v")) is not int or body["v"] != 1:
        raise InvalidMessage("schema", f"{what}: `v` must be 1, found {body.get('v')!r}")
    check_fields(body, what, required, optional)
    names = {*required, *optional}
    return {name: value for name, value in body.items() if name in names and value is not None}


def _masked(text: str) -> str:
    return mask_pii(text)[0]


def _time(text: str) -> datetime | None:
    try:
        return with_offset(datetime.fromisoformat(text))
    except ValueError:
        return None
