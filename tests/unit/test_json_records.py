"""Checks of JSON records that programs of this project write."""

import pytest

from kogpt2_chat.domain.text.json_records import check_fields, read_object
from kogpt2_chat.errors import InvalidMessage


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "note: not valid JSON"),
        (b"\xff", "note: not valid JSON"),
        ("[" * 100_000, "note: not valid JSON"),
        ('["my secret"]', "note: expected a JSON object, found list"),
        ("null", "note: expected a JSON object, found NoneType"),
    ],
)
def test_only_an_object_is_read(text: str | bytes, message: str) -> None:
    """The error names the type that was found, and quotes no value."""
    with pytest.raises(InvalidMessage) as raised:
        read_object(text, "note")
    assert (raised.value.reason, str(raised.value)) == ("schema", message)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "note: `at` must be int, found NoneType"),
        ({"at": None}, "note: `at` must be int, found NoneType"),
        ({"at": True}, "note: `at` must be int, found bool"),
        ({"at": 1, "text": 3}, "note: `text` must be str or null, found int"),
    ],
)
def test_a_field_of_another_type_is_named(body: dict[str, object], message: str) -> None:
    """Types must match exactly. In Python True is an int, but here it is not."""
    with pytest.raises(InvalidMessage) as raised:
        check_fields(body, "note", {"at": int}, {"text": str})
    assert (raised.value.reason, str(raised.value)) == ("schema", message)


@pytest.mark.parametrize("body", [{"at": 1}, {"at": 1, "text": None}, {"at": 1, "text": "a", "later": []}])
def test_optional_and_unknown_fields_are_accepted(body: dict[str, object]) -> None:
    """A record of a later release may have more fields."""
    check_fields(body, "note", {"at": int}, {"text": str})
