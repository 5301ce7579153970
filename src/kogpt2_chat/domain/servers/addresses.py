"""Validation of server addresses, and removal of the login in them before an address is stored or shown."""

import re
import unicodedata
from contextlib import suppress
from ipaddress import IPv4Address
from typing import Final, NamedTuple
from urllib.parse import unquote, urlsplit

_LOGIN: Final = re.compile(r"^([a-z][a-z0-9+.-]*://)?([^/?#\s]*)@", re.IGNORECASE)
_ALL_BEFORE_THE_HOST: Final = re.compile(r"^([a-z][a-z0-9+.-]*://)?.*@", re.IGNORECASE | re.DOTALL)
_HOST: Final = re.compile(r"[\w.-]+|\[[0-9a-f:.]+\]", re.IGNORECASE)
_LABEL: Final = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?", re.IGNORECASE | re.ASCII)
HIGHEST_PORT: Final = 65535


class Login(NamedTuple):
    """An address without its login, and the login; user and password are None if the address had none."""

    address: str
    user: str | None
    password: str | None


def split_login(address: str) -> Login:
    """Split ``user:password@`` from an address and decode its percent-encoding."""
    found = _LOGIN.match(address)
    if found is None:
        return Login(address, None, None)
    user, colon, password = found[2].partition(":")
    return Login((found[1] or "") + address[found.end() :], unquote(user), unquote(password) if colon else None)


def without_login(text: str) -> str:
    """Return a text for display with everything that may be a login replaced by ``***``; works for any text."""
    return _ALL_BEFORE_THE_HOST.sub(lambda found: f"{found[1] or ''}***@", text)


def is_host_and_port(text: str, *, port_needed: bool = False) -> bool:
    """Check whether a text is ``host`` or ``host:port``, with an IPv6 address in brackets."""
    host, colon, port = text.rpartition(":") if re.search(r":\d*$", text) else (text, "", "")
    if colon and not (port.isascii() and port.isdigit() and 0 < int(port) <= HIGHEST_PORT):
        return False
    return _HOST.fullmatch(host) is not None and bool(colon or not port_needed)


def is_address(text: str, schemes: tuple[str, ...], *, port_needed: bool = False) -> bool:
    """Check whether a text is ``scheme://host[:port]`` with one of the schemes and an optional path, without spaces."""
    if any(unicodedata.category(char)[0] in "CZ" for char in text):  # a client's error would quote the whole address
        return False
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in schemes and is_host_and_port(parts.netloc, port_needed=port_needed)


def is_host_name(text: str) -> bool:
    """Check whether a text is an ASCII host name or an IPv4 address, without a port."""
    if re.fullmatch(r"[\d.]+", text):
        with suppress(ValueError):
            return bool(IPv4Address(text))
        return False
    return _NAME.fullmatch(text) is not None
