"""Show what waits in quarantine, record by record, so that somebody can mend it."""

from collections.abc import Sequence

from kogpt2_chat.domain.lake.layout import QUARANTINE
from kogpt2_chat.domain.lake.mending import shown_record
from kogpt2_chat.domain.lake.quarantine import check_reasons, reason_word, waiting
from kogpt2_chat.ports import Tables


def show_quarantine(*, tables: Tables, reasons: Sequence[str] = ()) -> dict[str, object]:
    """The records that wait, in the order of their positions.

    Args:
        tables: the lake.
        reasons: which reasons to choose, by their first word; all by default.

    Returns:
        ``records``: place, reason and value of each. A reason that no record has is an :class:`InvalidInput`.
    """
    rows = waiting(tables.read(QUARANTINE.name))
    check_reasons(reasons, rows)
    return {"records": [shown_record(row) for row in rows if not reasons or reason_word(row) in reasons]}
