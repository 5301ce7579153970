"""Checks of records that programs of this project write as JSON objects.

Messages name fields and types, and never quote values: a value may be a player's text.
"""

import json
from collections.abc import Mapping
from typing import Any, cast

from kogpt2_chat.errors import InvalidMessage


def read_object(text: str | bytes, what: str) -> dict[str, Any]:
    """Parse a JSON object.

    Args:
        text: the value of a record.
        what: name of the record for error messages.

    Returns:
        The object's fields.

    Raises:
        InvalidMessage: the text is not JSON, or not an object; ``schema``.
    """
    try:
        body = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidMessage("schema", f"{what}: not valid JSON") from error
    if not isinstance(body, dict):
        raise InvalidMessage("schema", f"{what}: expected a JSON object, found {type(body).__name__}")
    return cast("dict[str, Any]", body)


def object_or_empty(text: object) -> dict[str, Any]:
    """Return the object in a column of JSON; empty if the column is null, damaged, or holds another value."""
    try:
        found = json.loads(str(text or "{}"))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def check_fields(
    body: Mapping[str, object], what: str, required: Mapping[str, type], optional: Mapping[str, type] | None = None
) -> None:
    """Check the types of an object's fields; ignore fields that are not named.

    Args:
        body: the object.
        what: name of the record for error messages.
        required: the type of each field that must be there.
        optional: the type of each field that may be missing or null.

    Raises:
        InvalidMessage: a field is missing or has another type; ``schema``.
    """
    for name, expected in required.items():
        if type(body.get(name)) is not expected:  # not isinstance: a bool is an int
            found = type(body.get(name)).__name__
            raise InvalidMessage("schema", f"{what}: `{name}` must be {expected.__name__}, found {found}")
    for name, expected in (optional or {}).items():
        if body.get(name) is not None and type(body[name]) is not expected:
            found = type(body[name]).__name__
            raise InvalidMessage("schema", f"{what}: `{name}` must be {expected.__name__} or null, found {found}")
