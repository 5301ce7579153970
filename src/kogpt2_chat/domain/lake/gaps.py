"""Records that were lost before ingest, and how ingest recognises that a topic was deleted and created again."""

import uuid
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final, Literal

from kogpt2_chat.domain.lake.layout import GAPS, Table, seoul_date
from kogpt2_chat.domain.lake.storable import storable

GapReason = Literal["retention", "topic_made_anew"]
FOUND: Final = "gaps/found"
REPORTED: Final = "gaps/told"
"""Delta application ids under which the table counts its rows, and the rows already reported to the operator."""
_KEY: Final = ("table", "topic", "topic_id", "kafka_partition", "reason")


def topic_app_id(table: str, topic: str) -> str:
    """Return the Delta application id under which a table stores the mark of the topic that its positions refer to."""
    return f"{table}/{topic}"


def topic_mark(topic_id: str) -> int | None:
    """Return a topic's id (a UUID) as a 63-bit number, so that it can be stored like a position; None without an id."""
    return uuid.UUID(topic_id).int >> 65 if topic_id else None


def gap_row(
    table: Table, topic_id: str, partition: int, start: int, end: int | None, *, reason: GapReason, found_at: datetime
) -> dict[str, object]:
    """Return a row of ``gaps``.

    Args:
        table: the table that lacks the records.
        topic_id: current id of the topic.
        partition: partition of the topic.
        start: the first lost offset.
        end: the offset after the last lost one; None if it is unknown.
        reason: how the records were lost.
        found_at: one time for all rows of an ingest run.

    Returns:
        A value for each column.
    """
    row = {
        "table": table.name,
        "topic": table.topic,
        "topic_id": topic_id,
        "kafka_partition": partition,
        "start": start,
        "end": end,
        "reason": reason,
        "found_at": found_at,
        "date": seoul_date(found_at),
    }
    return storable(row, GAPS)


def rest_of_gap(row: Mapping[str, object], known: Iterable[Mapping[str, object]]) -> dict[str, object] | None:
    """Return the part of a gap that is not yet in the table.

    A run that was killed may have stored the beginning of a gap, and the gap may have grown since then.

    Args:
        row: a row of ``gaps``.
        known: the rows of the table.

    Returns:
        The row, starting where the known ones end, or None if they cover it.
    """
    before = [one for one in known if _key(one) == _key(row)]
    if row["end"] is None:  # the end is unknown, so two gaps with the same start are the same gap
        return None if row["start"] in {one["start"] for one in before} else dict(row)
    start = max(int(str(offset)) for offset in (row["start"], *(one["end"] for one in before)))
    return {**row, "start": start} if start < int(str(row["end"])) else None


def _key(row: Mapping[str, object]) -> tuple[object, ...]:
    """Return the values that all rows about the same partition and reason share."""
    return tuple(row[name] for name in _KEY)
