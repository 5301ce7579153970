"""The codes with which the gateway closes a connection. Those above 4000 are its own."""

from typing import Final

NORMAL: Final = 1000
POLICY: Final = 1008
"""Malformed or too many messages; a refused `enter`."""
FAULT: Final = 1011
"""Something failed in the gateway; the client may connect again."""
TRY_AGAIN: Final = 1013
"""The client was too slow; it may connect again."""
REPLACED: Final = 4001
"""The player has connected again, for example in another tab."""
FORBIDDEN: Final = 4403
"""No valid token, another origin, or banned."""
