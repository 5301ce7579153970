"""The rules of a crisis as they stand in ``crisis_rules/*.rules``; the form is told in its README.

Data and not code: they are read and reviewed a line at a time, and changed by people who write no Python.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).with_name("crisis_rules")
_SECTION: Final = re.compile(r"\[([a-z_ ]+)\]")
_NAMED: Final = re.compile(r"%([A-Z]+)% = (.+)")
_NAME: Final = re.compile(r"%([A-Z]+)%")

Rules = Mapping[str, Sequence[str]]
"""Patterns by section."""


@cache
def crisis_rules() -> Rules:
    """All rules; read once."""
    found: dict[str, list[str]] = {}
    for path in sorted(FOLDER.glob("*.rules")):
        for section, pattern in read_rules(path.read_text(encoding="utf-8")):
            found.setdefault(section, []).append(pattern)
    return found


def read_rules(content: str) -> Iterator[tuple[str, str]]:
    """Section and pattern of each line.

    Args:
        content: of one file.

    Yields:
        The section's words and a pattern, its names replaced.

    Raises:
        ValueError: a pattern stands before the first section, or uses a name that is not there.
    """
    section, parts = "", dict[str, str]()
    for line in content.splitlines():
        if not line or line.startswith("#"):
            continue
        if found := _SECTION.fullmatch(line):
            section = found.group(1)
        elif found := _NAMED.fullmatch(line):
            parts[found.group(1)] = found.group(2)
        elif section:
            yield section, _NAME.sub(lambda name: _part(parts, name.group(1)), line)
        else:
            raise ValueError(f"a pattern before any section: {line[:40]!r}")


def _part(parts: Mapping[str, str], name: str) -> str:
    if name not in parts:
        raise ValueError(f"the rules use %{name}%, which no line above names")
    return parts[name]
