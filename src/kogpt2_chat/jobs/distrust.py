"""Exclude a player or a turn from all training data, or undo that.

Nothing is deleted. The job adds an entry to the lake's table ``distrust``; the last entry on a subject counts. The next
dataset of every bot rejects the affected rows with the reason ``distrusted``. A pair withdrawn this way is enough to
start a retraining.
"""

import uuid
from dataclasses import asdict
from datetime import UTC, datetime

from kogpt2_chat.domain.lake.layout import DISTRUST, app_id, seoul_date
from kogpt2_chat.domain.learning.distrust import DistrustEntry, subject_of
from kogpt2_chat.errors import InvalidInput
from kogpt2_chat.ports import Tables


def distrust(
    *, subject: str, by: str, reason: str, tables: Tables, undo: bool = False, now: datetime | None = None
) -> DistrustEntry:
    """Add an entry to the table ``distrust``.

    Args:
        subject: a player, or the id of a turn.
        by: who decides.
        reason: why; stored permanently.
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
    entry = DistrustEntry(
        entry_id=uuid.uuid4().hex,
        at=at,
        kind=found.kind,
        subject=found.name,
        action="trust" if undo else "distrust",
        by=by,
        reason=reason,
        date=seoul_date(at),
    )
    tables.append(DISTRUST.name, [asdict(entry)], {app_id(DISTRUST.name, entry.entry_id, 0): 1})
    return entry
