"""Layout of the lake: paths, table schemas, and conversion of records to rows.

This module contains names and values only. The adapters map the column kinds to the types of their libraries.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Any, Final, Literal

from kogpt2_chat.domain.chat.players import masked_player
from kogpt2_chat.domain.chat.times import PLAUSIBLE_YEARS, SEOUL, with_offset
from kogpt2_chat.domain.chat.turns import CONSENT_KEY, MINOR_KEY, Feedback, Turn, masked_fields, masked_turn
from kogpt2_chat.domain.text.masking import mask_pii, masked_count
from kogpt2_chat.errors import InvalidMessage

ColumnKind = Literal["string", "long", "bool", "time", "longs"]
TableName = Literal["turns", "feedback", "quarantine", "gaps", "audit", "distrust"]
_TURN_FIELDS: Final = frozenset(entry.name for entry in fields(Turn))


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table of the lake.

    Attributes:
        topic: the topic whose records it holds; empty if it does not hold the records of a single topic.
        columns: kind by column name, in order; all columns except the partition columns may be null.
        partition_by: the partition columns.
    """

    name: TableName
    topic: str
    columns: Mapping[str, ColumnKind]
    partition_by: tuple[str, ...]


_POSITION: Final[Mapping[str, ColumnKind]] = {
    "date": "string",
    "kafka_partition": "long",
    "kafka_offset": "long",
    "ingested_at": "time",
}
TURNS: Final = Table(
    name="turns",
    topic="conversation_log",
    columns={
        "turn_id": "string",
        "question_id": "string",
        "bot": "string",
        "player_id": "string",
        "sender": "string",
        "session_id": "string",
        "text": "string",
        "answer": "string",
        "answer_token_ids": "longs",
        "prompt_tokens": "long",
        "model_version": "long",
        "epoch": "long",
        "decoding": "string",
        "fallback": "string",
        "sent_at": "time",
        "received_at": "time",
        "answered_at": "time",
        "latency_ms": "long",
        "consent_store": "bool",
        "consent_train": "bool",
        "source": "string",
        "worker": "string",
        "authenticated": "bool",
        "minor": "bool",
        "kafka_ms": "long",
        "queue_ms": "long",
        "decode_ms": "long",
        "unknown_tokens": "long",
        "logged_at": "time",
        "extra": "string",
        "v": "long",
        "pii_hits": "long",
        **_POSITION,
    },
    partition_by=("bot", "date"),
)
# A feedback record names a turn and not a bot, so its table is partitioned by date only.
FEEDBACK: Final = Table(
    name="feedback",
    topic="feedback",
    columns={
        "feedback_id": "string",
        "turn_id": "string",
        "player_id": "string",
        "kind": "string",
        "text": "string",
        "sent_at": "time",
        "received_at": "time",
        "authenticated": "bool",
        "extra": "string",
        "v": "long",
        "pii_hits": "long",
        **_POSITION,
    },
    partition_by=("date",),
)
# Records that do not have the format of their topic, kept until they can be read. `domain/lake/quarantine.py` documents
# the rows.
QUARANTINE: Final = Table(
    name="quarantine",
    topic="",
    columns={
        "topic": "string",
        "reason": "string",
        "value": "string",
        **_POSITION,
        "timestamp_ms": "long",
        "replayed_at": "time",
    },
    partition_by=("topic",),
)
# Ranges of a topic that were lost before ingest. `end` is null if the end of the lost topic is unknown.
GAPS: Final = Table(
    name="gaps",
    topic="",
    columns={
        "table": "string",
        "topic": "string",
        "topic_id": "string",
        "kafka_partition": "long",
        "start": "long",
        "end": "long",
        "reason": "string",
        "found_at": "time",
        "date": "string",
    },
    partition_by=("topic",),
)
# Access to hidden turns: who opened which turn, when and why. A row is written before the turn is shown.
AUDIT: Final = Table(
    name="audit",
    topic="",
    columns={
        "audit_id": "string",
        "at": "time",
        "reviewer": "string",
        "system_user": "string",
        "action": "string",
        "turn_id": "string",
        "reason": "string",
        "date": "string",
    },
    partition_by=("date",),
)
# Players and turns that are excluded from training, and who excluded them. The last entry on a subject counts.
DISTRUST: Final = Table(
    name="distrust", topic="", partition_by=("date",),
    columns={
        "at": "time", "entry_id": "string", "kind": "string", "subject": "string", "action": "string", "by": "string",
        "reason": "string", "date": "string",
    },
)  # fmt: skip
TABLE_BY_NAME: Final[Mapping[str, Table]] = {
    table.name: table for table in (TURNS, FEEDBACK, QUARANTINE, GAPS, AUDIT, DISTRUST)
}


def table_path(root: str, table: str) -> str:
    """Return the folder of a Delta table."""
    return f"{root}/lake/{table}"


def datasets_path(root: str, bot: str) -> str:
    """Return the folder of a bot's datasets."""
    return f"{root}/datasets/{bot}"


def dataset_path(root: str, bot: str, dataset_id: str) -> str:
    """Return the folder of one immutable dataset."""
    return f"{datasets_path(root, bot)}/{dataset_id}"


def building_path(root: str, build: str = "") -> str:
    """Return the folder that one Spark application writes to before it publishes; without an id, that of all builds."""
    return f"{root}/datasets/.building/{build}".rstrip("/")


def quarantined_dataset_path(root: str, bot: str, build: str) -> str:
    """Return the folder of a dataset that failed validation, kept for inspection."""
    return f"{root}/quarantine/datasets/{bot}/{build}"


def daily_csv_path(root: str, date: str, bot: str) -> str:
    """Return the path of a bot's daily file. The path has only month and day of ``date`` (``YYYY-MM-DD``)."""
    return f"{root}/dailydata/{date[5:7]}{date[8:10]}/{bot}.csv"


def app_id(table: str, topic: str, partition: int) -> str:
    """Return the Delta application id under which a table stores its read position in a partition."""
    return f"{table}/{topic}/{partition}"


def seoul_date(time: datetime) -> str:
    """Return the calendar date in Korea, ``YYYY-MM-DD``."""
    return time.astimezone(SEOUL).date().isoformat()


def read_time(text: str | None) -> datetime | None:
    """Parse an RFC 3339 time, by default in Seoul time, and return it in UTC; None if it is missing or invalid."""
    try:
        time = with_offset(datetime.fromisoformat(text or "")).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return time if time.year in PLAUSIBLE_YEARS else None


def plausible_time(timestamp_ms: int) -> datetime | None:
    """Return the time of a record in UTC; None if it is not plausible."""
    try:
        time = datetime.fromtimestamp(timestamp_ms / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return None
    return time if time.year in PLAUSIBLE_YEARS else None


def turn_row(turn: Turn, *, partition: int, offset: int, timestamp_ms: int, ingested_at: datetime) -> dict[str, object]:
    """Return the row of ``turns`` for a turn, masked again.

    Args:
        turn: the turn as logged.
        partition: partition of the record in ``conversation_log``.
        offset: offset of the record in ``conversation_log``.
        timestamp_ms: the time of the broker. It is ``logged_at`` if it is plausible, and replaces a time of the worker
            that cannot be parsed.
        ingested_at: one time for all rows of an ingest run.

    Returns:
        A value for each column.
    """
    turn = masked_turn(turn)
    received_at = read_time(turn.received_at) or datetime.fromtimestamp(timestamp_ms / 1000, UTC)
    row: dict[str, Any] = asdict(turn) | {
        "answer_token_ids": list(turn.answer_token_ids),
        "decoding": _compact(turn.decoding),
        "extra": _compact(turn.extra),
        "sent_at": read_time(turn.sent_at),
        "received_at": received_at,
        "answered_at": read_time(turn.answered_at) or received_at,
        "logged_at": plausible_time(timestamp_ms),
        "pii_hits": masked_count(turn.text) + masked_count(turn.answer),
    }
    return row | _position(received_at, partition, offset, ingested_at)


def turn_from_document(document: Mapping[str, object]) -> Turn:
    """Rebuild a turn from the JSON form of its row in ``turns``; its times are in UTC.

    Args:
        document: a document of the search index.

    Returns:
        The turn.

    Raises:
        InvalidMessage: a column is missing or has a wrong type.
    """
    body = {name: document[name] for name in _TURN_FIELDS if name in document}
    for name in ("decoding", "extra"):
        try:
            body[name] = json.loads(str(body.get(name, "{}")))
        except ValueError as error:
            raise InvalidMessage("schema", f"turn: column `{name}` is not valid JSON") from error
    return Turn.from_json(json.dumps(body))


def feedback_row(
    feedback: Feedback, *, partition: int, offset: int, timestamp_ms: int, ingested_at: datetime
) -> dict[str, object]:
    """Return the row of ``feedback`` for a feedback, masked.

    Args:
        feedback: the feedback as sent.
        partition: partition of the record in ``feedback``.
        offset: offset of the record in ``feedback``.
        timestamp_ms: the time of the broker. The client's ``sent_at`` is only stored.
        ingested_at: one time for all rows of an ingest run.

    Returns:
        A value for each column.
    """
    received_at = datetime.fromtimestamp(timestamp_ms / 1000, UTC)
    text = None if feedback.text is None else mask_pii(feedback.text)[0]
    stated = {} if feedback.consent_train is None else {CONSENT_KEY: feedback.consent_train}
    stated |= {MINOR_KEY: True} if feedback.minor else {}
    row: dict[str, Any] = asdict(feedback) | {
        "text": text,
        "player_id": masked_player(feedback.player_id),
        "extra": _compact({**masked_fields(feedback.extra), **stated}),
        "sent_at": read_time(feedback.sent_at),
        "received_at": received_at,
        "pii_hits": masked_count(text or ""),
    }
    return row | _position(received_at, partition, offset, ingested_at)


def _position(time: datetime, partition: int, offset: int, ingested_at: datetime) -> dict[str, object]:
    return {
        "date": seoul_date(time),
        "kafka_partition": partition,
        "kafka_offset": offset,
        "ingested_at": ingested_at,
    }


def _compact(value: Mapping[str, object]) -> str:
    return json.dumps(dict(value), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
