"""Loader for the crisis rules in ``crisis_rules/*.rules``. The README in that folder documents the format.

The rules are data files and not code, so that people who do not write Python can review and change them line by line.
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

CrisisRules = Mapping[str, Sequence[str]]
"""Patterns by section."""


@cache
def crisis_rules() -> CrisisRules:
    """Return all rules; the files are read once per process."""
    found: dict[str, list[str]] = {}
    for path in sorted(FOLDER.glob("*.rules")):
        for section, pattern in read_rules(path.read_text(encoding="utf-8")):
            found.setdefault(section, []).append(pattern)
    return found


def read_rules(content: str) -> Iterator[tuple[str, str]]:
    """Read the section and the pattern of each line.

    Args:
        content: content of one file.

    Yields:
        The name of the section and a pattern with its named parts inserted.

    Raises:
        ValueError: a pattern comes before the first section, or uses a name that no line above it defines.
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
            raise ValueError(f"crisis rules: expected a [section] before the first pattern, found {line[:40]!r}")


def _part(parts: Mapping[str, str], name: str) -> str:
    if name not in parts:
        raise ValueError(f"crisis rules: %{name}% is used, but no line above it in the file defines it")
    return parts[name]
