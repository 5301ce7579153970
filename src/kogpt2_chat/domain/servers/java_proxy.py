"""Proxy settings from environment variables as Java options, since Java ignores ``http_proxy``."""

from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import unquote, urlsplit

OPTIONS: Final = "JDK_JAVA_OPTIONS"
"""Read by ``java`` itself. Options on the command line would show the password to all users of the machine."""
_PORT_BY_SCHEME: Final = {"http": 80, "https": 443}


def with_proxy(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment with its proxies added as Java options.

    Args:
        environment: environment of the process.

    Returns:
        The complete environment. It is unchanged if it names no proxy, or if the Java options already do.
    """
    present = environment.get(OPTIONS, "")
    if "proxyHost" in present + environment.get("JAVA_TOOL_OPTIONS", ""):
        return dict(environment)
    found = [option for scheme in ("http", "https") for option in _options(scheme, _variable(environment, scheme))]
    if not found:
        return dict(environment)
    direct = _direct(_variable(environment, "no").split(","))
    return {**environment, OPTIONS: " ".join([present, *found, *direct]).strip()}


def _variable(environment: Mapping[str, str], what: str) -> str:
    every = ("all_proxy", "ALL_PROXY") if what != "no" else ()
    names = (f"{what}_proxy", f"{what}_proxy".upper(), *every)
    return next((environment[name] for name in names if environment.get(name)), "")


def _options(scheme: str, address: str) -> Iterable[str]:
    parts = urlsplit(address if "://" in address else f"http://{address}")
    if not address or not parts.hostname or parts.scheme not in _PORT_BY_SCHEME:  # these options support only HTTP(S)
        return
    yield _option(f"{scheme}.proxyHost", parts.hostname)
    yield _option(f"{scheme}.proxyPort", str(parts.port or _PORT_BY_SCHEME[parts.scheme]))
    if parts.username:
        yield _option("http.proxyUser", unquote(parts.username))
        yield _option("http.proxyPassword", unquote(parts.password or ""))
        # By default, Java does not use basic authentication for HTTPS tunnels; an empty list allows it.
        yield _option("jdk.http.auth.tunneling.disabledSchemes", "")


def _direct(hosts: Iterable[str]) -> Iterable[str]:
    named = [host.strip() for host in hosts if host.strip()]
    if named:
        forms = (form for host in named for form in ((f"*{host}",) if host.startswith(".") else (host, f"*.{host}")))
        yield _option("http.nonProxyHosts", "|".join(["localhost", "127.*", *forms]))


def _option(name: str, value: str) -> str:
    """Quote an option for ``JDK_JAVA_OPTIONS``, in which a quoted string has no escape for its own quote."""
    return "-D" + name + "=" + "'\"'".join(f'"{part}"' for part in value.split('"'))
