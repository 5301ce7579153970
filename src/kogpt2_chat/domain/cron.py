"""Whether a text is a time that Airflow's clock can follow; Airflow itself says so by no longer showing the DAG."""

import re
from typing import Final

_NAMED: Final = frozenset({"@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually"})
_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS: Final[tuple[tuple[str, int, int, dict[str, int]], ...]] = (
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day", 1, 31, {}),
    ("month", 1, 12, {name: number for number, name in enumerate(_MONTHS, start=1)}),
    ("weekday", 0, 7, {name: number for number, name in enumerate(_DAYS)}),
)
_PART: Final = re.compile(r"(?:\*|(?P<first>\w+)(?:-(?P<last>\w+))?)(?:/(?P<step>[0-9]+))?")


def cron_fault(text: str) -> str | None:
    """What is wrong with a cron expression.

    Args:
        text: five fields (minute, hour, day, month, weekday) of numbers, names, ranges, lists and steps, or ``@daily``
            and its like.

    Returns:
        A sentence; None for a good one.
    """
    if text in _NAMED:
        return None
    words = text.split()
    if len(words) != len(_FIELDS):
        names = ", ".join(name for name, *_ in _FIELDS)
        return f"expected five fields ({names}) such as `0 4 * * *`, or one of {', '.join(sorted(_NAMED))}"
    for word, (name, lowest, highest, names_) in zip(words, _FIELDS, strict=True):
        if not all(_is_good(part, lowest, highest, names_) for part in word.split(",")):
            return (
                f"expected the {name} as `*`, or {lowest} to {highest}, with ranges (1-5), lists (1,3) and steps (*/2)"
            )
    return None


def _is_good(part: str, lowest: int, highest: int, names: dict[str, int]) -> bool:
    found = _PART.fullmatch(part)
    if found is None or (found["step"] is not None and not int(found["step"])):
        return False
    if found["first"] is None:
        return True
    first, last = (_number(found[side] or found["first"], names) for side in ("first", "last"))
    return lowest <= first <= last <= highest


def _number(text: str, names: dict[str, int]) -> int:
    """Out of every range where it is none."""
    return names.get(text.lower(), int(text) if text.isascii() and text.isdigit() else -1)
