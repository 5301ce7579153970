"""Correction of quarantined records by hand: one line of JSON per record, to edit in a file and read back."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from kogpt2_chat.domain.lake.quarantine import RecordPosition, Row, is_unwanted, position_of
from kogpt2_chat.domain.safety.crisis import find_crisis
from kogpt2_chat.domain.safety.turns import safety_kind
from kogpt2_chat.errors import InvalidInput

_MAX_FAULTS_SHOWN: Final = 5


def shown_record(row: Row) -> dict[str, object]:
    """Return a row of ``quarantine`` in the form that an operator corrects.

    Args:
        row: a row that is not replayed yet.

    Returns:
        The position, the reason and the ``value`` of the record. The value is an object if the record is a JSON
        object, and a string otherwise. If the value must not be shown, ``hidden`` gives the reason instead: the player
        did not consent to storage, or the text may be about a crisis. `review-safety` opens texts about a crisis, and
        only those that are in the lake.
    """
    topic, partition, offset, came = position_of(row)
    position = {"topic": topic, "partition": partition, "offset": offset, "came": came.astimezone(UTC).isoformat()}
    shown = {**position, "reason": row["reason"]}
    value = None if row["value"] is None else _value(str(row["value"]))
    if value is None or is_unwanted(value):  # earlier releases stored such values
        return {**shown, "hidden": "no consent to store"}
    return {**shown, "hidden": "may be about a crisis"} if _is_about_crisis(value) else {**shown, "value": value}


def read_corrected(text: str, name: str) -> dict[RecordPosition, str]:
    """Read the corrected records of a file.

    Args:
        text: lines in the form of :func:`shown_record`. Empty lines and records without a ``value`` are skipped.
        name: name of the file for error messages.

    Returns:
        The value of each record by its position.

    Raises:
        InvalidInput: lines have another format; the message lists them with their numbers.
    """
    found: dict[RecordPosition, str] = {}
    faults: list[str] = []
    for number, line in enumerate(text.split("\n"), start=1):
        try:
            if line.strip() and "value" in (record := _object(line)):
                found[_position(record)] = _text(record["value"])
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            faults.append(f"line {number}: {type(error).__name__}: {error}")
    if faults:
        more = f"\n  and {len(faults) - _MAX_FAULTS_SHOWN} more" if len(faults) > _MAX_FAULTS_SHOWN else ""
        raise InvalidInput(
            f"{name} does not have the form that `show-quarantine` prints; expected one JSON object per line with "
            "topic, partition, offset, came and value:\n  " + "\n  ".join(faults[:_MAX_FAULTS_SHOWN]) + more
        )
    return found


def _value(kept: str) -> object:
    try:
        found = json.loads(kept)
    except (ValueError, RecursionError):
        return kept
    return found if isinstance(found, dict) else kept


def _object(line: str) -> dict[str, Any]:
    found = json.loads(line)
    if not isinstance(found, dict):
        raise TypeError("expected a JSON object")
    return found


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _position(record: Mapping[str, Any]) -> RecordPosition:
    return str(record["topic"]), int(record["partition"]), int(record["offset"]), datetime.fromisoformat(record["came"])


def _is_about_crisis(value: object) -> bool:
    if isinstance(value, Mapping):
        return safety_kind(value) is not None
    return find_crisis(str(value)) is not None
