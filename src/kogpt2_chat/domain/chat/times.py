"""The time zone of the project, Korean time, and the years that it accepts."""

from datetime import datetime, timedelta, timezone
from typing import Final

SEOUL: Final = timezone(timedelta(hours=9), "Asia/Seoul")
"""Korea has no daylight saving time, so a fixed offset is enough."""

PLAUSIBLE_YEARS: Final = range(2000, 2200)
"""Accepted years of a time. Spark rejects times before 1582 (ambiguous calendar), and some readers overflow on late
times, in nanoseconds or in a subtraction."""


def with_offset(time: datetime) -> datetime:
    """Return the time, with the offset of Seoul if it has none."""
    return time if time.tzinfo else time.replace(tzinfo=SEOUL)
