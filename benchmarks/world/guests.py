"""Guests' tokens: signed with the benchmark's own key, so that no player has to pass the door, or got at the door."""

import asyncio
import json
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


async def sign_in(host: str, port: int, name: str, *, source: str) -> str:
    """Return the cookie of a new guest who has passed the door.

    Raises:
        OSError: the gateway refuses the guest.
    """
    body = json.dumps({"name": name, "store": True, "learn": False, "minor": False}).encode()
    head = f"POST /session HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    reader, writer = await asyncio.open_connection(host, port, local_addr=(source, 0))
    try:
        writer.write(head.encode() + body)
        answer = (await reader.read()).decode()
    finally:
        writer.close()
    for line in answer.partition("\r\n\r\n")[0].split("\r\n"):
        if line.lower().startswith("set-cookie:"):
            return line.partition(":")[2].strip().partition(";")[0]
    raise ConnectionRefusedError(f"the door gave {name} no cookie: {answer[:200]!r}")
