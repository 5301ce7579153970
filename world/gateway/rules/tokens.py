"""The signed token of a guest: who a browser is, since when, and what it consented to. No account, no password."""

import base64
import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from itsdangerous import BadSignature, URLSafeSerializer

LIFETIME_S: Final = 180 * 24 * 3600
RENEW_AFTER_S: Final = 24 * 3600
_SALT: Final = "kogpt2-chat/world/guest"
TAG_CHARS: Final = 16
_TAG_PREFIX: Final = b"kogpt2-chat/world/tag/"
_FIELDS: Final = ("id", "name", "first_seen", "issued", "store", "learn", "minor", "consented")


@dataclass(frozen=True, slots=True, kw_only=True)
class Guest:
    """A player's identity, as the token says it.

    Attributes:
        id: random; the ``sender_id`` of the player's questions.
        name: the name that others see.
        first_seen: seconds since the epoch at which the id was made; renewals keep it.
        issued: seconds since the epoch at which this token was signed.
        store: whether the player's talk with bots may be stored.
        learn: whether bots may learn from it.
        minor: whether the player is a minor, of whom nothing is stored and nothing is learned.
        consented: seconds since the epoch at which the player said so; renewals keep it.
    """

    id: str
    name: str
    first_seen: int
    issued: int
    store: bool = False
    learn: bool = False
    minor: bool = False
    consented: int = 0

    @property
    def tag(self) -> str:
        """What other players know the guest by. It says nothing about the id, which is random and stays secret."""
        digest = hashlib.sha256(_TAG_PREFIX + self.id.encode()).digest()
        return base64.b32encode(digest)[:TAG_CHARS].decode().lower()

    @property
    def may_learn(self) -> bool:
        """Whether bots may learn from this player: consent to store and to learn, and not a minor."""
        return self.store and self.learn and not self.minor


def new_guest(name: str, now: float, *, store: bool, learn: bool, minor: bool) -> Guest:
    """Return a guest with a new random id."""
    guest = Guest(id=f"w-{secrets.token_urlsafe(12)}", name=name, first_seen=int(now), issued=int(now))
    return consenting(guest, now, store=store, learn=learn, minor=minor)


def consenting(guest: Guest, now: float, *, store: bool, learn: bool, minor: bool) -> Guest:
    """Return a guest with another consent. A minor consents to nothing, and what is not stored is not learned."""
    store = store and not minor
    return replace(guest, store=store, learn=learn and store, minor=minor, consented=int(now))


class GuestTokens:
    """Signs and reads tokens.

    Args:
        keys: secrets, the newest first. The first one signs; all of them are accepted, so a key can be replaced while
            old tokens stay valid.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self._serializer, self._newest = _serializer(keys), _serializer(keys[:1])

    def sign(self, guest: Guest) -> str:
        """Return the guest's token."""
        return self._serializer.dumps({name: getattr(guest, name) for name in _FIELDS})

    def read(self, token: str, now: float) -> Guest | None:
        """Return the guest of a token; None if the token is forged, unreadable or expired.

        Args:
            token: as the browser sent it.
            now: seconds since the epoch.
        """
        try:
            found: Any = self._serializer.loads(token)
            guest = Guest(**{"consented": 0, **{name: found[name] for name in _FIELDS if name in found}})
        except (BadSignature, TypeError, ValueError):
            return None
        guest = consenting(guest, guest.consented, store=guest.store, learn=guest.learn, minor=guest.minor)
        return guest if 0 <= now - guest.issued <= LIFETIME_S else None

    def renewed(self, token: str, now: float) -> Guest | None:
        """Return the guest to sign again: a day after the last time, or if another key than the newest one signed.

        Args:
            token: as the browser sent it.
            now: seconds since the epoch.

        Returns:
            The guest; None if the token is fresh or not valid.
        """
        guest = self.read(token, now)
        if guest is None or (now - guest.issued <= RENEW_AFTER_S and self._has_newest_key(token)):
            return None
        return replace(guest, issued=int(now))

    def _has_newest_key(self, token: str) -> bool:
        try:
            self._newest.loads(token)
        except BadSignature:
            return False
        return True


def _serializer(keys: Sequence[str]) -> URLSafeSerializer:
    return URLSafeSerializer(list(reversed(keys)), salt=_SALT, signer_kwargs={"digest_method": hashlib.sha256})
