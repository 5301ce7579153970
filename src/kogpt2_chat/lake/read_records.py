"""Convert a topic's record to a row of its table, or to a row of ``quarantine`` if it cannot be stored."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.domain.chat.signing import UNSIGNED, SigningKeys
from kogpt2_chat.domain.chat.turns import Feedback, Turn
from kogpt2_chat.domain.lake.layout import FEEDBACK, TURNS, Table, feedback_row, turn_row
from kogpt2_chat.domain.lake.quarantine import quarantine_row
from kogpt2_chat.domain.lake.storable import MAX_RECORD_BYTES, checked_id, storable
from kogpt2_chat.errors import InvalidMessage
from kogpt2_chat.ports import Record

TABLE_BY_TOPIC: Final[Mapping[str, Table]] = {table.topic: table for table in (TURNS, FEEDBACK)}


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordReader:
    """Reads the records of an ingest run or of a replay.

    Attributes:
        ingested_at: one time for all rows.
        keys: the keys of those who may vouch for the author of a feedback.
    """

    ingested_at: datetime
    keys: SigningKeys = UNSIGNED

    def read(self, record: Record) -> dict[str, object] | None:
        """Convert a record to a row of the table that stores its topic.

        Args:
            record: a record of ``conversation_log`` or ``feedback``.

        Returns:
            The row; None if the player does not consent to storage.

        Raises:
            InvalidMessage: the record cannot be stored. One record must not block all others, so any unexpected error
                is converted too, with the reason ``unreadable``.
        """
        size = len(record.value or b"")
        if size > MAX_RECORD_BYTES:
            raise InvalidMessage("too_large", f"{size} bytes, at most {MAX_RECORD_BYTES}")
        try:
            return _READERS[record.topic](self, record)
        except InvalidMessage:
            raise
        except Exception as error:  # the record goes to quarantine and can be replayed
            raise InvalidMessage("unreadable", f"{type(error).__name__}: {error}") from error

    def quarantined(self, record: Record, error: InvalidMessage) -> dict[str, object]:
        """Return the row of ``quarantine`` for a record that cannot be stored."""
        return quarantine_row(
            record.topic,
            f"{error.reason}: {error}",
            record.value,
            partition=record.partition,
            offset=record.offset,
            ingested_at=self.ingested_at,
            timestamp_ms=record.timestamp_ms,
        )


def _read_turn(reader: RecordReader, record: Record) -> dict[str, object] | None:
    turn = Turn.from_json(record.value or b"")
    if not turn.consent_store:  # checked first: a later error would store the turn's text in quarantine
        return None
    checked_id("turn_id", turn.turn_id)
    if turn.bot not in BOT_IDS:
        raise InvalidMessage("unknown_bot", f"turn {turn.turn_id}: unknown bot {turn.bot!r}")
    row = turn_row(
        turn,
        partition=record.partition,
        offset=record.offset,
        timestamp_ms=record.timestamp_ms,
        ingested_at=reader.ingested_at,
    )
    return storable(row, TURNS)


def _read_feedback(reader: RecordReader, record: Record) -> dict[str, object] | None:
    row = feedback_row(
        Feedback.from_json(record.value or b"", reader.keys),
        partition=record.partition,
        offset=record.offset,
        timestamp_ms=record.timestamp_ms,
        ingested_at=reader.ingested_at,
    )
    return storable(row, FEEDBACK)


_READERS: Final[Mapping[str, Callable[[RecordReader, Record], dict[str, object] | None]]] = {
    TURNS.topic: _read_turn,
    FEEDBACK.topic: _read_feedback,
}
