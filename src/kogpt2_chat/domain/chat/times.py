"""The time zone of the project: Korean time."""

from datetime import datetime, timedelta, timezone
from typing import Final

SEOUL: Final = timezone(timedelta(hours=9), "Asia/Seoul")
"""Korea has no daylight saving time, so a fixed offset is enough."""


def with_offset(time: datetime) -> datetime:
    """Return the time, with the offset of Seoul if it has none."""
    return time if time.tzinfo else time.replace(tzinfo=SEOUL)
