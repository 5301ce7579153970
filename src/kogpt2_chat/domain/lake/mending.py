"""Quarantined records as lines that a person reads, mends in an editor and gives back: one JSON object a record."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from kogpt2_chat.domain.lake.quarantine import Place, Row, is_unwanted, place_of
from kogpt2_chat.domain.safety.crisis import find_crisis
from kogpt2_chat.domain.safety.turns import safety_kind
from kogpt2_chat.errors import InvalidInput

_MAX_FAULTS_SHOWN: Final = 5


def shown_record(row: Row) -> dict[str, object]:
    """A row of ``quarantine`` for whoever mends it.

    Args:
        row: one that waits.

    Returns:
        Its place, its reason and its ``value``, which is an object where the record is one. In place of a value
        ``hidden`` says why there is none: its player did not want it stored, or it may speak of a crisis, and such
        words are opened in the lake only, by `review-safety`.
    """
    topic, partition, offset, came = place_of(row)
    place = {"topic": topic, "partition": partition, "offset": offset, "came": came.astimezone(UTC).isoformat()}
    said = {**place, "reason": row["reason"]}
    value = None if row["value"] is None else _value(str(row["value"]))
    if value is None or is_unwanted(value):  # earlier releases kept such words
        return {**said, "hidden": "no consent to store"}
    return {**said, "hidden": "may speak of a crisis"} if _is_of_a_crisis(value) else {**said, "value": value}


def read_mended(text: str, name: str) -> dict[Place, str]:
    """The records of a file that was mended.

    Args:
        text: lines as :func:`shown_record` gives them; empty ones, and those without a ``value``, are passed over.
        name: what messages call the file.

    Returns:
        Each record's value by its place.

    Raises:
        InvalidInput: lines that are none of these, with their numbers.
    """
    found: dict[Place, str] = {}
    faults: list[str] = []
    for number, line in enumerate(text.split("\n"), start=1):
        try:
            if line.strip() and "value" in (record := _object(line)):
                found[_place(record)] = _text(record["value"])
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            faults.append(f"line {number}: {type(error).__name__}: {error}")
    if faults:
        more = f"\n  and {len(faults) - _MAX_FAULTS_SHOWN} more" if len(faults) > _MAX_FAULTS_SHOWN else ""
        raise InvalidInput(
            f"{name} is not what `show-quarantine` prints, one record a line with topic, partition, offset, came and "
            "value:\n  " + "\n  ".join(faults[:_MAX_FAULTS_SHOWN]) + more
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
        raise TypeError("expected an object")
    return found


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _place(record: Mapping[str, Any]) -> Place:
    return str(record["topic"]), int(record["partition"]), int(record["offset"]), datetime.fromisoformat(record["came"])


def _is_of_a_crisis(value: object) -> bool:
    if isinstance(value, Mapping):
        return safety_kind(value) is not None
    return find_crisis(str(value)) is not None
