"""Rows of the table ``quarantine``: records that could not be stored, and the marks of those replayed since.

Rows are never changed. A replay adds a second row for the same position, without a value and with a time in
``replayed_at``. In a first row, the value is null if the player did not consent to storage.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from kogpt2_chat.domain.chat.times import PLAUSIBLE_YEARS
from kogpt2_chat.domain.lake.layout import QUARANTINE, seoul_date
from kogpt2_chat.domain.lake.storable import storable
from kogpt2_chat.domain.text.masking import mask_pii
from kogpt2_chat.errors import InvalidInput

Row = Mapping[str, object]
RecordPosition = tuple[str, int, int, datetime]
"""Topic, partition, offset and ingest time of a record. A recreated topic has the same offsets again."""

REASONS: Final = ("schema", "too_large", "unknown_bot", "unreadable")
"""First words of the reasons that this release writes; other releases may have written others."""
_MAX_REASON_CHARS: Final = 300
# Fields that are not masked: keys, and values that are not free text. A masked key no longer matches other records.
_UNMASKED: Final = frozenset(
    {"turn_id", "question_id", "feedback_id", "player_id", "session_id", "worker", "bot", "kind", "source", "fallback"}
    | {"sent_at", "received_at", "answered_at"}
)


def quarantine_row(
    topic: str,
    reason: str,
    value: bytes | None,
    *,
    partition: int,
    offset: int,
    ingested_at: datetime,
    timestamp_ms: int | None = None,
) -> dict[str, object]:
    """Return a row of ``quarantine``: the record with personal data masked; JSON stays JSON.

    Args:
        topic: topic of the record.
        reason: why the record could not be stored.
        value: value of the record.
        partition: partition of the record.
        offset: offset of the record.
        ingested_at: one time for all rows of an ingest run.
        timestamp_ms: the time of the broker.

    Returns:
        A value for each column.
    """
    kept = _kept(value or b"")
    # Reasons may quote the value: without consent only the first word is kept, otherwise they are masked.
    kept_reason = reason.partition(":")[0] if kept is None else mask_pii(reason[:_MAX_REASON_CHARS])[0]
    row = {
        "topic": topic,
        "reason": kept_reason,
        "value": kept,
        "timestamp_ms": timestamp_ms if timestamp_ms is not None and abs(timestamp_ms) < 2**63 else None,
        "date": seoul_date(ingested_at),
        "kafka_partition": partition,
        "kafka_offset": offset,
        "ingested_at": ingested_at,
    }
    return storable(row, QUARANTINE)


def waiting(rows: Iterable[Row]) -> list[Row]:
    """Return the rows that are not replayed yet, in the order of their positions."""
    rows = list(rows)
    replayed = {position_of(row) for row in rows if row["replayed_at"] is not None}
    left = {position_of(row): row for row in rows if row["replayed_at"] is None and position_of(row) not in replayed}
    return [left[position] for position in sorted(left)]


def replayed_row(row: Row, at: datetime) -> dict[str, object]:
    """Return the row that marks a row of ``quarantine`` as replayed."""
    mark = {name: row[name] for name in ("topic", "reason", "kafka_partition", "kafka_offset", "ingested_at")}
    return storable({**mark, "date": seoul_date(at), "replayed_at": at}, QUARANTINE)


def position_of(row: Row) -> RecordPosition:
    """Return the identity of the record that a row is about."""
    partition, offset, came = row["kafka_partition"], row["kafka_offset"], row["ingested_at"]
    if not isinstance(partition, int) or not isinstance(offset, int) or not isinstance(came, datetime):
        raise TypeError(
            "quarantine: expected a row with partition, offset and ingest time, "
            f"found {partition!r}, {offset!r}, {came!r}"
        )
    return str(row["topic"]), partition, offset, came


def sent_ms(row: Row) -> int:
    """Return the time of a record in milliseconds: its timestamp, or its ingest time if the timestamp is unusable.

    Earlier releases did not store the timestamp, and a timestamp set by a client may be outside the accepted years.
    """
    sent, (*_, came) = row["timestamp_ms"], position_of(row)
    return sent if isinstance(sent, int) and _is_sane(sent) else int(came.timestamp() * 1000)


def _is_sane(timestamp_ms: int) -> bool:
    try:
        return datetime.fromtimestamp(timestamp_ms / 1000, UTC).year in PLAUSIBLE_YEARS
    except (ValueError, OverflowError, OSError):
        return False


def reason_word(row: Row) -> str:
    """Return the first word of the reason, by which rows are counted."""
    return str(row["reason"] or "unknown").partition(":")[0]


def is_unwanted(record: object) -> bool:
    """Check whether a parsed record is a turn whose player did not consent to storage."""
    return isinstance(record, dict) and record.get("consent_store") is False


def check_reasons(reasons: Sequence[str], rows: Iterable[Row]) -> None:
    """Check that the selected reasons are known.

    Args:
        reasons: first words of the selected reasons.
        rows: the rows that are not replayed yet.

    Raises:
        InvalidInput: a reason is neither in :data:`REASONS` nor in a row; the message lists the known ones.
    """
    known = sorted({*REASONS, *map(reason_word, rows)})
    if unknown := [reason for reason in reasons if reason not in known]:
        raise InvalidInput(f"unknown quarantine reason {', '.join(unknown)}; expected {', '.join(known)}")


def _kept(value: bytes) -> str | None:
    """Return the record as masked text with invalid bytes escaped, or None without consent to store it."""
    try:
        found = json.loads(value)
        if is_unwanted(found):
            return None
        text = json.dumps(_masked(found), ensure_ascii=False)
    except (ValueError, RecursionError):  # not JSON: masked as a whole
        text = mask_pii(value.decode("utf-8", "backslashreplace"))[0]
    return text.encode("utf-8", "backslashreplace").decode()


def _masked(value: object, name: str = "") -> object:
    if isinstance(value, str):
        return value if name in _UNMASKED else mask_pii(value)[0]
    if isinstance(value, dict):
        return {key: _masked(inner, key) for key, inner in value.items()}
    if isinstance(value, Sequence):
        return [_masked(inner) for inner in value]
    return value
