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
_LONGEST: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
"""Days of each month, in the longest of its years."""
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
        if not _numbers(word, lowest, highest, names_):
            return (
                f"expected the {name} as `*`, or {lowest} to {highest}, with ranges (1-5), lists (1,3) and steps (*/2)"
            )
    days, months = (_numbers(words[place], *_FIELDS[place][1:]) for place in (2, 3))
    if words[4] == "*" and min(days) > max(_LONGEST[month - 1] for month in months):
        return f"no month of `{words[3]}` has a day of `{words[2]}`: expected one that comes"
    return None


def _numbers(word: str, lowest: int, highest: int, names: dict[str, int]) -> list[int]:
    """What a field stands for; nothing where one of its parts cannot be read."""
    spans = [_span(part, lowest, highest, names) for part in word.split(",")]
    return [number for span in spans for number in span] if all(spans) else []


def _span(part: str, lowest: int, highest: int, names: dict[str, int]) -> range:
    found = _PART.fullmatch(part)
    step = int(found["step"] or 1) if found else 0
    if found is None or step == 0:
        return range(0)
    if found["first"] is None:
        return range(lowest, highest + 1, step)
    first = _number(found["first"], names)
    # With a step and no end, it goes on to the last one.
    last = _number(found["last"], names) if found["last"] else highest if found["step"] else first
    return range(first, last + 1, step) if lowest <= first <= last <= highest else range(0)


def _number(text: str, names: dict[str, int]) -> int:
    """Out of every range where it is none."""
    return names.get(text.lower(), int(text) if text.isascii() and text.isdigit() else -1)
