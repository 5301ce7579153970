"""Which addresses are reached without a proxy: the stack's own, whatever the surroundings say of the outside."""

from collections.abc import Iterable, Mapping
from typing import Final

_NAMES: Final = ("no_proxy", "NO_PROXY")
_LOCAL: Final = ("localhost", "127.0.0.1")
_EVERY: Final = "*"


def without_proxy(environment: Mapping[str, str], hosts: Iterable[str]) -> dict[str, str]:
    """The two spellings of ``no_proxy``, each with everything that either of them says and these hosts.

    Both, because programs differ in which one they read, and most that read one ignore the other. A star that stands
    alone means every address; beside others it would mean none, so nothing is added to it.

    Args:
        environment: of the process.
        hosts: to be reached directly, beside this machine's own names.

    Returns:
        The variables to set.
    """
    if any(environment.get(name, "").strip() == _EVERY for name in _NAMES):
        return dict.fromkeys(_NAMES, _EVERY)
    said = [entry.strip() for name in _NAMES for entry in environment.get(name, "").split(",")]
    entries = dict.fromkeys(entry for entry in (*said, *_LOCAL, *hosts) if entry)
    return dict.fromkeys(_NAMES, ",".join(entries))
