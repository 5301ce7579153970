"""Check whether a row fits the schema of its table.

The check runs before the Delta library writes. An error here rejects one record; an error in the library fails the
whole commit.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from kogpt2_chat.domain.chat.times import PLAUSIBLE_YEARS
from kogpt2_chat.domain.lake.layout import ColumnKind, Table
from kogpt2_chat.errors import InvalidMessage

MAX_RECORD_BYTES: Final = 128 * 1024
"""Four times the size of a turn for the longest question. One request to the search index has up to 500 records."""
MAX_ID_BYTES: Final = 512
"""The longest document id that Elasticsearch accepts."""
_LONGS: Final = range(-(2**63), 2**63)


def storable(row: Mapping[str, object], table: Table) -> dict[str, object]:
    """Return the row with a checked value for each column.

    Lone surrogates become question marks: JSON can express them, but UTF-8 files cannot.

    Args:
        row: values by column; a missing column is null.
        table: the table that the row is for.

    Returns:
        The row.

    Raises:
        InvalidMessage: a value does not have the kind of its column, is out of range, or is empty in a partition
            column; ``schema``.
    """
    checked = {name: _checked(name, row.get(name), kind) for name, kind in table.columns.items()}
    for name in table.partition_by:
        if not checked[name]:
            raise _misfit(name, checked[name])
    return checked


def checked_id(name: str, value: str) -> str:
    """Check that an id can be used in the search index.

    Args:
        name: name of the field.
        value: the id.

    Returns:
        The id.

    Raises:
        InvalidMessage: the id is empty, or longer than the search index accepts; ``schema``.
    """
    if not 0 < len(value.encode("utf-8", "replace")) <= MAX_ID_BYTES:
        raise InvalidMessage("schema", f"`{name}` must have 1 to {MAX_ID_BYTES} bytes")
    return value


def _checked(name: str, value: object, kind: ColumnKind) -> object:
    if value is None:
        return None
    if kind == "string" and isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if kind == "time" and isinstance(value, datetime) and value.tzinfo and value.year in PLAUSIBLE_YEARS:
        return value
    if kind == "bool" and isinstance(value, bool):
        return value
    if kind == "long" and _is_long(value):
        return value
    if kind == "longs" and isinstance(value, list) and all(_is_long(part) for part in value):
        return value
    raise _misfit(name, value)


def _is_long(value: object) -> bool:
    return type(value) is int and value in _LONGS  # not isinstance: a bool is an int


def _misfit(name: str, value: object) -> InvalidMessage:
    return InvalidMessage("schema", f"`{name}` cannot be stored: {type(value).__name__} of the wrong type or range")
