"""Records that could not be stored, kept until somebody can read them: their rows, and what marks one as replayed.

A row is never changed. A replay adds a second one for the same position, without a value and with a time in
``replayed_at``. A row whose value is null is of a player who does not want it stored: its words are not kept.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from kogpt2_chat.domain.lake.layout import QUARANTINE, SANE_YEARS, seoul_date
from kogpt2_chat.domain.lake.storable import storable
from kogpt2_chat.domain.text.masking import mask_pii
from kogpt2_chat.errors import InvalidInput

Row = Mapping[str, object]
Place = tuple[str, int, int, datetime]
"""Topic, partition, offset, and when it came here: a topic made anew has the same positions again."""

REASONS: Final = ("schema", "too_large", "unknown_bot", "unreadable")
"""The first words of the reasons that this release gives; another one may have left others."""
_MAX_REASON_CHARS: Final = 300
# What joins a record to others, or is no text; masked, an id that looks like a telephone number would join no more.
_AS_THEY_ARE: Final = frozenset(
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
    """A row of ``quarantine``: the record with personal details masked, and still JSON where it was JSON.

    Args:
        topic: where the record stands.
        reason: why it could not be stored.
        value: its value.
        partition: of the record.
        offset: likewise.
        ingested_at: one time for all rows of an ingest run.
        timestamp_ms: the broker's time.

    Returns:
        A value for each column.
    """
    kept = _kept(value or b"")
    # Some reasons quote what they found.
    said = reason.partition(":")[0] if kept is None else mask_pii(reason[:_MAX_REASON_CHARS])[0]
    row = {
        "topic": topic,
        "reason": said,
        "value": kept,
        "timestamp_ms": timestamp_ms if timestamp_ms is not None and abs(timestamp_ms) < 2**63 else None,
        "date": seoul_date(ingested_at),
        "kafka_partition": partition,
        "kafka_offset": offset,
        "ingested_at": ingested_at,
    }
    return storable(row, QUARANTINE)


def waiting(rows: Iterable[Row]) -> list[Row]:
    """Rows that nobody has replayed, in the order of their positions."""
    rows = list(rows)
    replayed = {place_of(row) for row in rows if row["replayed_at"] is not None}
    left = {place_of(row): row for row in rows if row["replayed_at"] is None and place_of(row) not in replayed}
    return [left[place] for place in sorted(left)]


def replayed_row(row: Row, at: datetime) -> dict[str, object]:
    """The mark on a row of ``quarantine``."""
    mark = {name: row[name] for name in ("topic", "reason", "kafka_partition", "kafka_offset", "ingested_at")}
    return storable({**mark, "date": seoul_date(at), "replayed_at": at}, QUARANTINE)


def place_of(row: Row) -> Place:
    """Which record a row is about."""
    partition, offset, came = row["kafka_partition"], row["kafka_offset"], row["ingested_at"]
    if not isinstance(partition, int) or not isinstance(offset, int) or not isinstance(came, datetime):
        raise TypeError(f"quarantine: a row without a position: {partition!r}, {offset!r}, {came!r}")
    return str(row["topic"]), partition, offset, came


def sent_ms(row: Row) -> int:
    """When a kept record was sent, in milliseconds: the broker's time, or when it came here where that is none.

    Earlier releases did not keep the broker's time, and a sender's clock may have written one that no table takes.
    """
    sent, (*_, came) = row["timestamp_ms"], place_of(row)
    return sent if isinstance(sent, int) and _is_sane(sent) else int(came.timestamp() * 1000)


def _is_sane(timestamp_ms: int) -> bool:
    try:
        return datetime.fromtimestamp(timestamp_ms / 1000, UTC).year in SANE_YEARS
    except (ValueError, OverflowError, OSError):
        return False


def reason_word(row: Row) -> str:
    """The reason's first word, under which rows are counted."""
    return str(row["reason"] or "unknown").partition(":")[0]


def is_unwanted(record: object) -> bool:
    """Whether a record, as JSON has it, is of a player who does not want it stored."""
    return isinstance(record, dict) and record.get("consent_store") is False


def check_reasons(reasons: Sequence[str], rows: Iterable[Row]) -> None:
    """See that there are such reasons.

    Args:
        reasons: first words that somebody has chosen.
        rows: those that wait.

    Raises:
        InvalidInput: a reason that no record has, with those there are.
    """
    known = sorted({*REASONS, *map(reason_word, rows)})
    if unknown := [reason for reason in reasons if reason not in known]:
        raise InvalidInput(f"a record in quarantine has no reason {', '.join(unknown)}; there are {', '.join(known)}")


def _kept(value: bytes) -> str | None:
    """The record as text, what is unreadable escaped; None where its player does not want it stored."""
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
        return value if name in _AS_THEY_ARE else mask_pii(value)[0]
    if isinstance(value, dict):
        return {key: _masked(inner, key) for key, inner in value.items()}
    if isinstance(value, Sequence):
        return [_masked(inner) for inner in value]
    return value
