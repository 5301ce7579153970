"""The names and values of a job's result, as ``--json`` prints them and as Airflow stores them in XCom."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Protocol, runtime_checkable


@runtime_checkable
class HasJsonForm(Protocol):
    """A result whose JSON form differs from its fields."""

    def as_json(self) -> dict[str, object]:
        """Return plain values for JSON."""
        ...


def fields_of(result: object) -> dict[str, object]:
    """Return the fields of a job's result by name, nested results included.

    Args:
        result: a dataclass, an object with ``as_json``, or a mapping of such results.

    Returns:
        The fields: dictionaries, lists and plain values.

    Raises:
        TypeError: the result has no named fields.
    """
    plain = _plain(result)
    if not isinstance(plain, dict):
        raise TypeError(f"expected a result with named fields, found {type(result).__name__}")
    return plain


def _plain(value: object) -> object:
    if isinstance(value, HasJsonForm):
        return value.as_json()
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
