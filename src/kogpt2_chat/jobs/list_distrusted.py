"""List the players and turns that bots must not learn from."""

from dataclasses import dataclass

from kogpt2_chat.domain.lake.layout import DISTRUST
from kogpt2_chat.domain.learning.distrust import DistrustEntry, distrusted_entries
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
    return ListDistrustedResult(distrusted=tuple(distrusted_entries(tables.read(DISTRUST.name))))
