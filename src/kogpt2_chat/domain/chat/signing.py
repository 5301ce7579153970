"""Signatures of questions and feedback: who vouches for the player that a record names.

A signature is an HMAC-SHA256 over the canonical bytes of a JSON object, with a key that only servers have. It says that
the holder of a key wrote every field of the record as it is. A record without a signature, or with a bad one, is not
refused; it is only not authenticated. This module does not depend on Kafka or on the settings.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from kogpt2_chat.errors import InvalidMessage

AUTH: Final = "auth"
"""The field of a record that contains its signature: ``{"key": KEY_ID, "mac": HEX}``."""
MAX_KEYS: Final = 3
MIN_KEY_CHARS: Final = 32
_KEY: Final = re.compile(rf"[!-~]{{{MIN_KEY_CHARS},}}")
_ID_DOMAIN: Final = b"kogpt2-chat/world/key-id\n"
"""Separates the digest for the id from any other digest of a key."""
_ID_CHARS: Final = 8
_MAC: Final = re.compile(r"[0-9a-f]{64}")


def canonical_bytes(body: Mapping[str, object]) -> bytes:
    """Return the bytes that a signature covers: the JSON object without its field ``auth``, in one fixed spelling.

    UTF-8; names sorted by code point, at every depth; no spaces; characters as they are, except for those that JSON
    must escape; numbers as Python's ``json`` writes them. Texts are not normalised.

    Args:
        body: a JSON object.

    Returns:
        The bytes.

    Raises:
        InvalidMessage: the object cannot be written as JSON in UTF-8: NaN, infinity, or a lone surrogate.
    """
    signed = {name: value for name, value in body.items() if name != AUTH}
    try:
        text = json.dumps(signed, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))
        return text.encode("utf-8")
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidMessage("schema", f"cannot be signed: {type(error).__name__}") from error


def key_id(key: str) -> str:
    """Return the id of a key, which is public: the first 8 hexadecimal digits of a SHA-256 of the key."""
    return hashlib.sha256(_ID_DOMAIN + key.encode()).hexdigest()[:_ID_CHARS]


def key_fault(keys: Sequence[str]) -> str | None:
    """Return what is wrong with a list of keys, without quoting any; None if it can be used."""
    if len(keys) > MAX_KEYS:
        return f"expected at most {MAX_KEYS} keys, found {len(keys)}"
    for number, key in enumerate(keys, start=1):
        if _KEY.fullmatch(key) is None:
            return f"key {number} must have {MIN_KEY_CHARS} or more ASCII letters, digits or marks, without spaces"
    return "a key is listed twice" if len(set(keys)) < len(keys) else None


@dataclass(frozen=True, slots=True)
class SigningKeys:
    """The keys that gateways, workers and ingest share. Its text form does not show them.

    Attributes:
        keys: the newest first. The first one signs; each of them is accepted. Without keys, nothing is signed and
            nothing is authenticated.
    """

    keys: tuple[str, ...] = field(default=(), repr=False)

    def sign(self, body: Mapping[str, object]) -> dict[str, object]:
        """Return a JSON object with its signature in ``auth``; without keys, the object without ``auth``.

        Args:
            body: the object; an existing ``auth`` is replaced.

        Returns:
            A new object.

        Raises:
            InvalidMessage: the object cannot be written as JSON in UTF-8.
        """
        unsigned = {name: value for name, value in body.items() if name != AUTH}
        if not self.keys:
            return unsigned
        key = self.keys[0]
        return {**unsigned, AUTH: {"key": key_id(key), "mac": _mac(key, canonical_bytes(unsigned))}}

    def verify(self, body: Mapping[str, object]) -> bool:
        """Check whether a JSON object has a valid signature by one of the keys.

        Args:
            body: the object, with anything in ``auth``.

        Returns:
            Whether the signature is valid. A missing, malformed or wrong one is False, never an error.
        """
        auth = body.get(AUTH)
        if not isinstance(auth, Mapping):
            return False
        named, mac = auth.get("key"), auth.get("mac")
        if not isinstance(mac, str) or _MAC.fullmatch(mac) is None:
            return False
        known = [key for key in self.keys if key_id(key) == named]
        if not known:
            return False
        try:
            message = canonical_bytes(body)
        except InvalidMessage:
            return False
        matches = [hmac.compare_digest(_mac(key, message), mac) for key in known]
        return any(matches)


UNSIGNED: Final = SigningKeys()
"""No keys."""


def _mac(key: str, message: bytes) -> str:
    return hmac.new(key.encode(), message, hashlib.sha256).hexdigest()
