"""List the turns that may be about a crisis: counts and ids only."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from kogpt2_chat.domain.lake.layout import AUDIT, TURNS
from kogpt2_chat.domain.safety.crisis import CrisisKind
from kogpt2_chat.domain.safety.turns import SAFETY_COLUMNS, safety_kind
from kogpt2_chat.ports import Tables


@dataclass(frozen=True, slots=True, kw_only=True)
class SafetyTurn:
    """A turn that may be about a crisis, without its text and its player.

    Attributes:
        turn_id: id of the turn.
        bot: the bot that was asked.
        kind: the kind of crisis.
        date: the day in Seoul.
        opened: how often reviewers opened it.
    """

    turn_id: str
    bot: str
    kind: CrisisKind
    date: str
    opened: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ListSafetyTurnsResult:
    """The turns that may be about a crisis.

    Attributes:
        counts: their number by bot and kind.
        turns: the turns, newest first.
    """

    counts: Mapping[str, Mapping[CrisisKind, int]]
    turns: tuple[SafetyTurn, ...]


def list_safety_turns(*, tables: Tables) -> ListSafetyTurnsResult:
    """List the lake's turns that may be about a crisis, without their texts and players.

    Args:
        tables: the lake.

    Returns:
        The turns, and their number by bot and kind.
    """
    opened = Counter(str(row["turn_id"]) for row in tables.read(AUDIT.name, ["turn_id"]))
    counts: dict[str, Counter[CrisisKind]] = defaultdict(Counter)
    turns = []
    for row in tables.read(TURNS.name, [*SAFETY_COLUMNS, "bot", "date"]):
        kind = safety_kind(row)
        if kind is not None:
            turn_id, bot, date = (str(row[name]) for name in ("turn_id", "bot", "date"))
            counts[bot][kind] += 1
            turns.append(SafetyTurn(turn_id=turn_id, bot=bot, kind=kind, date=date, opened=opened[turn_id]))
    turns.sort(key=lambda turn: (turn.date, turn.turn_id), reverse=True)
    return ListSafetyTurnsResult(counts={bot: dict(counts[bot]) for bot in sorted(counts)}, turns=tuple(turns))
