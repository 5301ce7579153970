"""Guests' tokens, signed with the benchmark's own key, so that no player has to pass the door first."""

import time
from typing import Final

from kogpt2_chat.domain.chat.signing import SigningKeys
from world.gateway.door import COOKIE
from world.gateway.rules.tokens import GuestTokens, new_guest

KEY: Final = "benchmark-key-" + "0123456789abcdef" * 2
KEYS: Final = SigningKeys((KEY,))
_TOKENS: Final = GuestTokens(KEYS.keys)


def cookie_of(name: str) -> str:
    """Return the cookie of a new guest."""
    guest = new_guest(name, time.time(), store=True, learn=False, minor=False)
    return f"{COOKIE}={_TOKENS.sign(guest)}"
