"""Who is logged in, as a signed cookie says it. Nothing here is I/O."""

import hashlib
import hmac
import secrets
import unicodedata
from dataclasses import dataclass
from typing import Any, Final

from itsdangerous import BadSignature, URLSafeSerializer

from kogpt2_chat.operator_login import OperatorLogin

LIFETIME_S: Final = 12 * 3600
_SALT: Final = "kogpt2-chat/ops/session"
_PASSWORD_DOMAIN: Final = b"kogpt2-chat/ops/password\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A login.

    Attributes:
        id: random; a login that was ended is known by it.
        user: the account.
        issued: seconds since the epoch at which the operator logged in.
    """

    id: str
    user: str
    issued: int


class Sessions:
    """Checks credentials, and signs and reads the cookies of who is logged in.

    The account is part of the key that signs. So a cookie of an earlier password or of another account is as invalid as
    a forged one.

    Args:
        login: the account and the key.
    """

    def __init__(self, login: OperatorLogin) -> None:
        self._user = login.username
        self._credentials = _digest(login.username, login.password or "")
        self.has_password = bool(login.password)
        account = _PASSWORD_DOMAIN + self._credentials
        key = hmac.new(login.key.encode(), account, hashlib.sha256).hexdigest()
        self._serializer = URLSafeSerializer(key, salt=_SALT, signer_kwargs={"digest_method": hashlib.sha256})
        self._ended: dict[str, int] = {}

    def is_right(self, user: str, password: str) -> bool:
        """Return whether somebody may log in. The time that this takes says nothing about the right answer."""
        return hmac.compare_digest(_digest(user, password), self._credentials) and self.has_password

    def begin(self, now: float) -> str:
        """Return the cookie of a new login."""
        return self._serializer.dumps({"id": secrets.token_urlsafe(12), "user": self._user, "issued": int(now)})

    def read(self, cookie: str, now: float) -> Session | None:
        """Return the login of a cookie; None if it is forged, expired, of an earlier password, or was ended here.

        Args:
            cookie: as the browser sent it.
            now: seconds since the epoch.
        """
        try:
            found: Any = self._serializer.loads(cookie)
            session = Session(id=found["id"], user=found["user"], issued=found["issued"])
        except (BadSignature, KeyError, TypeError, ValueError):
            return None
        is_valid = 0 <= now - session.issued <= LIFETIME_S and session.id not in self._ended
        return session if is_valid and self.has_password else None

    def end(self, session: Session, now: float) -> None:
        """Accept a login's cookie no more, also if somebody has copied it."""
        self._ended = {known: issued for known, issued in self._ended.items() if now - issued <= LIFETIME_S}
        self._ended[session.id] = session.issued


def _digest(user: str, password: str) -> bytes:
    """Return a digest that differs for each pair, whatever its lengths; keyboards may write Hangul in two ways."""
    parts = [unicodedata.normalize("NFC", part).encode("utf-8", "surrogatepass") for part in (user, password)]
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).digest()
