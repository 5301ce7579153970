"""What no table will ever have, and how a topic is told from one of the same name that was made later."""

import uuid
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final, Literal

from kogpt2_chat.domain.lake.layout import GAPS, Table, seoul_date
from kogpt2_chat.domain.lake.storable import storable

GapReason = Literal["retention", "topic_made_anew"]
FOUND: Final = "gaps/found"
TOLD: Final = "gaps/told"
"""Under these names the table counts its rows, and those that an operator was told of."""
_SAME: Final = ("table", "topic", "topic_id", "kafka_partition", "reason")


def topic_app_id(table: str, topic: str) -> str:
    """Under which name a table remembers which topic its positions are of; its value is that topic's mark."""
    return f"{table}/{topic}"


def topic_mark(topic_id: str) -> int | None:
    """A topic's id (a UUID) as a number that stands where positions stand; None where brokers give no ids."""
    return uuid.UUID(topic_id).int >> 65 if topic_id else None


def gap_row(
    table: Table, topic_id: str, partition: int, start: int, end: int | None, *, reason: GapReason, found_at: datetime
) -> dict[str, object]:
    """A row of ``gaps``.

    Args:
        table: which table lacks the records.
        topic_id: of the topic as it is now.
        partition: of the topic.
        start: the first offset that is lost.
        end: the offset after the last one; None where nobody knows.
        reason: what took them.
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
    """What of a gap no known row speaks of: a run that was killed has noted the beginning, and it grows meanwhile.

    Args:
        row: of ``gaps``.
        known: the table's rows.

    Returns:
        The row, begun where the known ones end; None where nothing is left.
    """
    before = [one for one in known if _same(one) == _same(row)]
    if row["end"] is None:  # nobody knows how far it goes: the same beginning is the same gap
        return None if row["start"] in {one["start"] for one in before} else dict(row)
    start = max(int(str(place)) for place in (row["start"], *(one["end"] for one in before)))
    return {**row, "start": start} if start < int(str(row["end"])) else None


def _same(row: Mapping[str, object]) -> tuple[object, ...]:
    """What rows about one range of one topic have in common."""
    return tuple(row[name] for name in _SAME)
