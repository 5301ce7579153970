"""Show the records in quarantine, so that a person can correct them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kogpt2_chat.domain.lake.layout import QUARANTINE
from kogpt2_chat.domain.lake.mending import shown_record
from kogpt2_chat.domain.lake.quarantine import check_reasons, reason_word, waiting
from kogpt2_chat.ports import Tables


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowQuarantineResult:
    """The records in quarantine.

    Attributes:
        records: identity, reason and value of each record, in the form that an operator corrects.
    """

    records: tuple[Mapping[str, object], ...]


def show_quarantine(*, tables: Tables, reasons: Sequence[str] = ()) -> ShowQuarantineResult:
    """Return the records that were not replayed yet, in the order of their positions.

    Args:
        tables: the lake.
        reasons: the reasons to select, by their first word; all by default.

    Returns:
        The records.

    Raises:
        InvalidInput: a selected reason is unknown; the message lists the known ones.
    """
    rows = waiting(tables.read(QUARANTINE.name))
    check_reasons(reasons, rows)
    return ShowQuarantineResult(
        records=tuple(shown_record(row) for row in rows if not reasons or reason_word(row) in reasons)
    )
