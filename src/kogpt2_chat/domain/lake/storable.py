"""Whether a row fits the columns of its table.

Asked before a library is: what a library refuses is an error of a whole commit, what is refused here is one record.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from kogpt2_chat.domain.lake.layout import SANE_YEARS, Kind, Table
from kogpt2_chat.errors import InvalidMessage

MAX_RECORD_BYTES: Final = 128 * 1024
"""Four times what a worker makes of the longest question; 500 of them are one request to the search index."""
MAX_ID_BYTES: Final = 512
"""The longest id that the search index takes."""
_LONGS: Final = range(-(2**63), 2**63)


def storable(row: Mapping[str, object], table: Table) -> dict[str, object]:
    """A value for each column; half characters, which JSON can spell and no file can hold, become question marks.

    Args:
        row: values by column; a column left out is null.
        table: where the row goes.

    Returns:
        The row.

    Raises:
        InvalidMessage: a value is of another kind than its column, or out of its range; ``schema``.
    """
    fitting = {name: _fitting(name, row.get(name), kind) for name, kind in table.columns.items()}
    for name in table.partition_by:
        if not fitting[name]:
            raise _misfit(name, fitting[name])
    return fitting


def checked_id(name: str, value: str) -> str:
    """An id that can be looked up.

    Args:
        name: of the field.
        value: what it holds.

    Returns:
        The value.

    Raises:
        InvalidMessage: empty, or longer than the search index takes; ``schema``.
    """
    if not 0 < len(value.encode("utf-8", "replace")) <= MAX_ID_BYTES:
        raise InvalidMessage("schema", f"`{name}` must have 1 to {MAX_ID_BYTES} bytes")
    return value


def _fitting(name: str, value: object, kind: Kind) -> object:
    if value is None:
        return None
    if kind == "string" and isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if kind == "time" and isinstance(value, datetime) and value.tzinfo and value.year in SANE_YEARS:
        return value
    if kind == "bool" and isinstance(value, bool):
        return value
    if kind == "long" and _is_long(value):
        return value
    if kind == "longs" and isinstance(value, list) and all(_is_long(part) for part in value):
        return value
    raise _misfit(name, value)


def _is_long(value: object) -> bool:
    return type(value) is int and value in _LONGS  # exact: True is no number


def _misfit(name: str, value: object) -> InvalidMessage:
    return InvalidMessage("schema", f"`{name}` cannot be stored: {type(value).__name__} of a wrong kind or range")
