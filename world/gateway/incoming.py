"""What every HTTP request is checked for: the origin of its page, the size of its body, the address of its client."""

from collections.abc import Collection
from ipaddress import ip_address
from typing import Final, TypeVar
from urllib.parse import urlsplit

import msgspec
from starlette.requests import HTTPConnection, Request

from world.gateway.refused import Refused
from world.gateway.rules.limits import counted_as

MOST_BODY_BYTES: Final = 4096

T = TypeVar("T")


def check_origin(connection: HTTPConnection, origins: Collection[str]) -> None:
    """Check that the page comes from this gateway, or from an origin that the settings name.

    A program that is not a browser sends no ``Origin``. It is let in: it has the cookie, which a page of another origin
    cannot use. The gateway's own origin is an IP address, ``localhost`` or a name in the settings; any other name could
    be one that somebody lets point to this machine.

    Args:
        connection: the request.
        origins: origins besides the gateway's own from which pages may connect.

    Raises:
        Refused: the page comes from elsewhere.
    """
    origin = connection.headers.get("origin")
    if origin is None or origin in origins:
        return
    host = _host_of(origin)
    names = {urlsplit(known).hostname for known in origins} | {"localhost"}
    is_own = host is not None and (_is_address(host) or host in names)
    if not is_own or urlsplit(origin).netloc != connection.headers.get("host"):
        raise Refused("origin", "the page's origin is not this gateway's")


def address_of(connection: HTTPConnection) -> str:
    """Return what the limits per address count a client as."""
    return counted_as(connection.client.host) if connection.client else ""


async def read_body(request: Request, kind: type[T], expected: str) -> T:
    """Return a small JSON body.

    Args:
        request: the request.
        kind: the struct that the body is.
        expected: what the body should be, for the error.

    Raises:
        Refused: it is too long, or something else.
    """
    content = b""
    async for part in request.stream():
        content += part
        if len(content) > MOST_BODY_BYTES:
            raise Refused("message", f"a request has at most {MOST_BODY_BYTES} bytes")
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Refused("message", f"expected JSON with {expected}") from None


def _host_of(origin: str) -> str | None:
    try:
        return urlsplit(origin).hostname
    except ValueError:  # for example an unfinished IPv6 address
        return None


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
