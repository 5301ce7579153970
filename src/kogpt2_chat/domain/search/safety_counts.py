"""Count the vetted answers by bot and hour. The counts are all that the search index knows of such turns.

A count covers one partition of ``conversation_log`` and says up to which offset, so that a record that is read again is
not counted again.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from kogpt2_chat.domain.search.documents import Row


def safety_id(row: Row, topic_id: str) -> str:
    """Return the id of the count that a turn belongs to.

    Args:
        row: a row of ``turns`` that may be about a crisis.
        topic_id: the id of the topic that it was read from: the offsets of a topic that is created again start anew.

    Returns:
        Bot, hour, partition and topic. Rows of any partition and hour may be mixed.
    """
    return f"{row['bot']}:{_hour(row).strftime('%Y-%m-%dT%H')}:{row['kafka_partition']}:{topic_id}"


def counted(rows: Iterable[Row], known: Mapping[str, Row], topic_id: str) -> dict[str, Row]:
    """Add turns to the counts.

    Args:
        rows: rows of ``turns`` that may be about a crisis; those of a partition in the order of their offsets.
        known: the present counts by id.
        topic_id: the id of the topic that the rows were read from.

    Returns:
        The counts that change, by id.
    """
    found: dict[str, dict[str, object]] = {}
    for row in rows:
        count_id, offset = safety_id(row, topic_id), _number(row["kafka_offset"])
        before = found.get(count_id) or known.get(count_id) or {}
        if offset <= _number(before.get("log_offset", -1)):
            continue
        found[count_id] = {
            "bot": row["bot"],
            "hour": _hour(row).isoformat(),
            "log_partition": row["kafka_partition"],
            "log_offset": offset,
            "count": _number(before.get("count", 0)) + 1,
        }
    return dict(found)


def _hour(row: Row) -> datetime:
    received_at = row["received_at"]
    if not isinstance(received_at, datetime):
        raise TypeError(f"row of `turns` at offset {row['kafka_offset']}: `received_at` is not a time")
    return received_at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _number(value: object) -> int:
    return int(str(value))
