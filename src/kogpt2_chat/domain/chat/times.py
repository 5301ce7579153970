"""The time zone in which people here write times."""

from datetime import datetime, timedelta, timezone
from typing import Final

SEOUL: Final = timezone(timedelta(hours=9), "Asia/Seoul")
"""Korea has no summer time, so calendar dates need no time zone database."""


def with_offset(time: datetime) -> datetime:
    """The time; one without an offset is that of Seoul."""
    return time if time.tzinfo else time.replace(tzinfo=SEOUL)
