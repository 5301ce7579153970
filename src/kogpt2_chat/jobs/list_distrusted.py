"""List the players and turns that bots must not learn from."""

from dataclasses import dataclass

from kogpt2_chat.domain.lake.layout import DISTRUST
from kogpt2_chat.domain.learning.distrust import DistrustEntry
from kogpt2_chat.ports import Tables


@dataclass(frozen=True, slots=True, kw_only=True)
class ListDistrustedResult:
    """The distrusted subjects.

    Attributes:
        distrusted: the last entry on each, newest first.
    """

    distrusted: tuple[DistrustEntry, ...]


def list_distrusted(*, tables: Tables) -> ListDistrustedResult:
    """List the last entry on each distrusted subject, newest first.

    Args:
        tables: the lake.

    Returns:
        The entries.
    """
    entries = sorted(map(DistrustEntry.from_row, tables.read(DISTRUST.name)), key=_order)
    last = {(entry.kind, entry.subject): entry for entry in entries}
    found = sorted((entry for entry in last.values() if entry.action == "distrust"), key=_order, reverse=True)
    return ListDistrustedResult(distrusted=tuple(found))


def _order(entry: DistrustEntry) -> tuple[str, str]:
    return str(entry.at), entry.entry_id
