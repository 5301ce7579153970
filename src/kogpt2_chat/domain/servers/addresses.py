"""Addresses of servers, and the login that people write into them: taken out before an address is kept or shown."""

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
    """An address with its login apart: ``address`` has none; user and password are None where there was none."""

    address: str
    user: str | None
    password: str | None


def login_apart(address: str) -> Login:
    """Take ``user:password@`` out of an address; what was written in percent signs is decoded."""
    found = _LOGIN.match(address)
    if found is None:
        return Login(address, None, None)
    user, colon, password = found[2].partition(":")
    return Login((found[1] or "") + address[found.end() :], unquote(user), unquote(password) if colon else None)


def without_login(text: str) -> str:
    """A value for people, also one that is no address: ``***`` stands for whatever may be a login."""
    return _ALL_BEFORE_THE_HOST.sub(lambda found: f"{found[1] or ''}***@", text)


def is_host_and_port(text: str, *, port_needed: bool = False) -> bool:
    """Whether a text is ``host`` or ``host:port``, an IPv6 address in brackets."""
    host, colon, port = text.rpartition(":") if re.search(r":\d*$", text) else (text, "", "")
    if colon and not (port.isascii() and port.isdigit() and 0 < int(port) <= HIGHEST_PORT):
        return False
    return _HOST.fullmatch(host) is not None and bool(colon or not port_needed)


def is_address(text: str, schemes: tuple[str, ...], *, port_needed: bool = False) -> bool:
    """Whether a text is ``scheme://host[:port]`` with one of these schemes, perhaps with a path; without any space."""
    if any(unicodedata.category(char)[0] in "CZ" for char in text):  # a client would refuse it, and say it whole
        return False
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in schemes and is_host_and_port(parts.netloc, port_needed=port_needed)


def is_host_name(text: str) -> bool:
    """Whether a text is a machine's name or IPv4 address that every client takes: ASCII, and no port."""
    if re.fullmatch(r"[\d.]+", text):
        with suppress(ValueError):
            return bool(IPv4Address(text))
        return False
    return _NAME.fullmatch(text) is not None
