"""The addresses that bypass a proxy: those of the stack in addition to those that the environment names."""

from collections.abc import Iterable, Mapping
from typing import Final

_NAMES: Final = ("no_proxy", "NO_PROXY")
_LOCAL: Final = ("localhost", "127.0.0.1")
_EVERY: Final = "*"


def without_proxy(environment: Mapping[str, str], hosts: Iterable[str]) -> dict[str, str]:
    """Return both spellings of ``no_proxy`` with the entries of either of them and the given hosts.

    Programs differ in which spelling they read, and most read only one. A single ``*`` means every address. In a list
    with other entries it has no effect, so nothing is added to it.

    Args:
        environment: environment of the process.
        hosts: hosts to reach directly, in addition to this machine.

    Returns:
        The variables to set.
    """
    if any(environment.get(name, "").strip() == _EVERY for name in _NAMES):
        return dict.fromkeys(_NAMES, _EVERY)
    present = [entry.strip() for name in _NAMES for entry in environment.get(name, "").split(",")]
    entries = dict.fromkeys(entry for entry in (*present, *_LOCAL, *hosts) if entry)
    return dict.fromkeys(_NAMES, ",".join(entries))
