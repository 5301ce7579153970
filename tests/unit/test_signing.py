"""Signatures: canonical bytes, keys and verification."""

import hashlib
import hmac
import json
import re
import unicodedata
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from kogpt2_chat.domain.chat.signing import AUTH, UNSIGNED, SigningKeys, canonical_bytes, key_fault, key_id
from kogpt2_chat.errors import InvalidMessage
from kogpt2_chat.settings import CHECKOUT

OLD, NEW, OTHER = ("a" * 32, "b" * 40, "c" * 32)
KEYS = SigningKeys((NEW, OLD))
BODY: dict[str, Any] = {"v": 1, "text": "축제가 언제야? 😀", "consent": {"train": False, "store": True}, "n": [1, 0.1]}
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
BODIES = st.dictionaries(TEXTS, VALUES, max_size=5)


def example() -> dict[str, str]:
    """Return the example of the contract, which authors of other clients check."""
    page = (CHECKOUT / "docs" / "contracts.md").read_text("utf-8")
    (block,) = re.findall(r"```\n(key  .*?)```", page, re.DOTALL)
    return dict(re.split(r" {2,}", line, maxsplit=1) for line in block.splitlines())


def test_the_example_of_the_contract_is_right() -> None:
    """Its parts are computed here without this project's code, and then with it."""
    found = example()
    key, canonical = found["key"], found["canonical"].encode()
    assert found["key id"] == hashlib.sha256(b"kogpt2-chat/world/key-id\n" + key.encode()).hexdigest()[:8]
    assert found["mac"] == hmac.digest(key.encode(), canonical, "sha256").hex()
    record = json.loads(found["record"])
    assert record[AUTH] == {"key": found["key id"], "mac": found["mac"]}
    assert canonical_bytes(record) == canonical
    assert SigningKeys((key,)).verify(record)
    assert SigningKeys((key,)).sign(record) == record


@pytest.mark.parametrize(
    ("body", "written"),
    [
        ({}, "{}"),
        ({"b": 1, "a": {"d": None, "c": True}}, '{"a":{"c":true,"d":null},"b":1}'),
        ({"auth": {"key": "k", "mac": "m"}, "x": {"auth": 1}}, '{"x":{"auth":1}}'),
        ({"나": 1, "가": 2, "z": 3, "Z": 4}, '{"Z":4,"z":3,"가":2,"나":1}'),
        ({"": 1, "😀": 2}, '{"":1,"😀":2}'),
        ({"a": '"\\/\b\t\n\f\r\x00\x1f\x7f\u2028é'}, '{"a":"\\"\\\\/\\b\\t\\n\\f\\r\\u0000\\u001f\x7f\u2028é"}'),
        ({"a": [1, -1, 10**20, 0.1, 1e16, 100.0, -0.0]}, '{"a":[1,-1,100000000000000000000,0.1,1e+16,100.0,-0.0]}'),
    ],
)
def test_canonical_bytes_have_one_fixed_spelling(body: dict[str, Any], written: str) -> None:
    """Names are sorted by code point, nothing is escaped without need, and only the outer ``auth`` is left out."""
    assert canonical_bytes(body) == written.encode()


@given(BODIES, st.randoms())
def test_the_order_of_names_and_the_spelling_of_the_record_do_not_matter(body: dict[str, Any], random: Any) -> None:
    """A client may write the signed record with any order, indentation and escapes."""
    assume(AUTH not in body)
    signed = KEYS.sign(body)
    names = list(signed)
    random.shuffle(names)
    for text in (
        json.dumps({name: signed[name] for name in names}, indent=2),
        json.dumps(signed, ensure_ascii=False, sort_keys=True),
    ):
        assert KEYS.verify(json.loads(text))
        assert canonical_bytes(json.loads(text)) == canonical_bytes(body)


@given(BODIES, BODIES)
def test_different_objects_have_different_canonical_bytes(one: dict[str, Any], other: dict[str, Any]) -> None:
    """No two objects share a signature. Numbers such as 1 and 1.0, and true, are different values."""
    assume(AUTH not in one and AUTH not in other)
    assert (canonical_bytes(one) == canonical_bytes(other)) == (repr_of(one) == repr_of(other))


def repr_of(value: Any) -> Any:
    """Return a value that is equal only for objects with equal types at every depth, regardless of the order of names."""
    if isinstance(value, dict):
        return {name: repr_of(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [repr_of(inner) for inner in value]
    return type(value).__name__, repr(value)


@given(TEXTS)
def test_normal_forms_are_different_texts(text: str) -> None:
    """Texts are signed as they are. A program between client and worker that normalises them breaks the signature."""
    composed, decomposed = (unicodedata.normalize(form, text) for form in ("NFC", "NFD"))
    signed = KEYS.sign({"text": decomposed})
    assert KEYS.verify(signed)
    assert KEYS.verify({**signed, "text": composed}) == (composed == decomposed)


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), "\ud800", {"a": ["\udfff"]}, {1, 2}], ids=repr)
def test_what_is_not_json_in_utf8_can_be_neither_signed_nor_verified(odd: object) -> None:
    """Readers reject such a record anyway, or it is not authenticated."""
    with pytest.raises(InvalidMessage):
        KEYS.sign({"a": odd})
    assert not KEYS.verify({"a": odd, AUTH: {"key": key_id(NEW), "mac": "0" * 64}})


@pytest.mark.parametrize(
    "change",
    [{"text": "축제가 언제야?"}, {"v": True}, {"n": [1.0, 0.1]}, {"consent": {"train": True, "store": True}}, {"more": None}],
    ids=str,
)  # fmt: skip
def test_a_change_breaks_the_signature(change: dict[str, Any]) -> None:
    """So does a field that is added, or a number of another type."""
    signed = KEYS.sign(BODY)
    assert KEYS.verify(signed)
    assert not KEYS.verify({**signed, **change})
    assert not KEYS.verify({name: value for name, value in signed.items() if name != "consent"})


def test_the_first_key_signs_and_each_is_accepted() -> None:
    """While keys are rotated, both generations of gateways and workers understand each other."""
    assert KEYS.sign(BODY)[AUTH] == SigningKeys((NEW,)).sign(BODY)[AUTH]
    assert KEYS.verify(SigningKeys((OLD,)).sign(BODY))
    assert SigningKeys((OLD, NEW)).verify(KEYS.sign(BODY))
    assert not SigningKeys((OLD,)).verify(KEYS.sign(BODY))
    assert not KEYS.verify(SigningKeys((OTHER,)).sign(BODY))


def test_without_keys_nothing_is_signed_or_verified() -> None:
    """An ``auth`` that somebody else wrote is removed."""
    signed = KEYS.sign(BODY)
    assert UNSIGNED.sign(signed) == BODY
    assert not UNSIGNED.verify(signed)


@pytest.mark.parametrize("auth", [None, True, 1, "x", [], {}, {"key": key_id(NEW)}, {"mac": "0" * 64}], ids=repr)
def test_an_odd_auth_is_not_a_signature(auth: object) -> None:
    """It is never an error."""
    assert not KEYS.verify({**BODY, AUTH: auth})


def test_a_mac_in_another_form_is_not_a_signature() -> None:
    """The id and the digits must be exactly as in the contract."""
    good = KEYS.sign(BODY)[AUTH]
    assert isinstance(good, dict)
    mac = good["mac"]
    for change in ({"mac": mac.upper()}, {"mac": mac[:-1]}, {"mac": f"{mac}\n"}, {"mac": "０" * 64}, {"mac": 5}, {"key": 5},
                   {"key": key_id(OLD)}, {"key": None}):  # fmt: skip
        assert not KEYS.verify({**BODY, AUTH: {**good, **change}}), change
    assert KEYS.verify({**BODY, AUTH: {**good, "later": "release"}})


@pytest.mark.parametrize(
    ("keys", "fault"),
    [
        ((), None),
        ((OLD, NEW, OTHER), None),
        ((OLD, NEW, OTHER, "d" * 32), "at most 3"),
        (("a" * 31,), "key 1"),
        ((OLD, "한" * 32), "key 2"),
        (("a b" * 20,), "key 1"),
        (("a" * 32 + "\n",), "key 1"),
        ((OLD, OLD), "twice"),
    ],
)
def test_keys_are_long_and_plain(keys: tuple[str, ...], fault: str | None) -> None:
    """A short key can be guessed, and a key with spaces or Hangul is easily copied wrongly. No fault quotes a key."""
    found = key_fault(keys)
    assert (found is None) == (fault is None)
    assert fault is None or fault in (found or "")
    assert not any(key in (found or "") for key in keys)


def test_keys_are_not_shown() -> None:
    """They are parts of objects that may be printed."""
    assert NEW not in f"{KEYS!r} {KEYS}"
    assert re.fullmatch(r"[0-9a-f]{8}", key_id(NEW))
    assert key_id(NEW) != hashlib.sha256(NEW.encode()).hexdigest()[:8]
