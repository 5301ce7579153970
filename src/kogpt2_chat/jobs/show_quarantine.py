"""Show the records in quarantine, so that a person can correct them."""

from collections.abc import Sequence

from kogpt2_chat.domain.lake.layout import QUARANTINE
from kogpt2_chat.domain.lake.mending import shown_record
from kogpt2_chat.domain.lake.quarantine import check_reasons, reason_word, waiting
from kogpt2_chat.ports import Tables


def show_quarantine(*, tables: Tables, reasons: Sequence[str] = ()) -> dict[str, object]:
    """Return the records that are not replayed yet, in the order of their positions.

    Args:
        tables: the lake.
        reasons: the reasons to select, by their first word; all by default.

    Returns:
        ``records``: identity, reason and value of each record.

    Raises:
        InvalidInput: a selected reason is unknown; the message lists the known ones.
    """
    rows = waiting(tables.read(QUARANTINE.name))
    check_reasons(reasons, rows)
    return {"records": [shown_record(row) for row in rows if not reasons or reason_word(row) in reasons]}
