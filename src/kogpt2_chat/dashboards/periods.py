"""Periods of time, and the intervals that a chart divides them into, in Korean time."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from kogpt2_chat.domain.chat.times import PLAUSIBLE_YEARS, SEOUL
from kogpt2_chat.errors import InvalidInput

_MAX_INTERVALS: Final = 100
_HOUR_S: Final = 3600
_MONDAY: Final = datetime(2000, 1, 3, tzinfo=SEOUL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """The length of an interval.

    Attributes:
        name: in the notation of Elasticsearch.
        length: its length; that of a month is 30 days, and only serves to choose an interval.
        is_calendar: whether days, weeks and months of the calendar are meant.
    """

    name: str
    length: timedelta
    is_calendar: bool = False


INTERVALS: Final = (
    Interval(name="1m", length=timedelta(minutes=1)),
    Interval(name="5m", length=timedelta(minutes=5)),
    Interval(name="15m", length=timedelta(minutes=15)),
    Interval(name="1h", length=timedelta(hours=1)),
    Interval(name="3h", length=timedelta(hours=3)),
    Interval(name="12h", length=timedelta(hours=12)),
    Interval(name="1d", length=timedelta(days=1), is_calendar=True),
    Interval(name="1w", length=timedelta(weeks=1), is_calendar=True),
    Interval(name="1M", length=timedelta(days=30), is_calendar=True),
)
DAY: Final = INTERVALS[6]


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """The period that a panel shows.

    Attributes:
        start: the first moment.
        end: the first moment after it.
        bot: only this bot; None: all.

    Raises:
        InvalidInput: it is empty, a time has no offset, or a year is not plausible.
    """

    start: datetime
    end: datetime
    bot: str | None = None

    def __post_init__(self) -> None:
        for name, time in (("start", self.start), ("end", self.end)):
            if time.tzinfo is None:
                raise InvalidInput(f"period: `{name}` {time.isoformat()} has no offset from UTC")
            if time.year not in PLAUSIBLE_YEARS:
                raise InvalidInput(f"period: `{name}` {time.isoformat()} is not a plausible time")
        if self.start >= self.end:
            raise InvalidInput(f"period: it ends at {self.end.isoformat()}, before it begins")

    @property
    def length(self) -> timedelta:
        """How long it is."""
        return self.end - self.start


def interval_of(period: Period, *, at_least_a_day: bool) -> Interval:
    """Return the shortest interval of which the period has at most a hundred."""
    for interval in INTERVALS:
        if at_least_a_day and interval.length < DAY.length:
            continue
        if period.length <= interval.length * _MAX_INTERVALS:
            return interval
    return INTERVALS[-1]


def starts_of(period: Period, interval: Interval) -> list[datetime]:
    """Return the beginnings of all intervals that the period touches, in UTC.

    The first one may begin before the period.
    """
    start = _begin(period.start.astimezone(SEOUL), interval)
    found = []
    while start < period.end:
        found.append(start.astimezone(UTC))
        start = _following(start, interval)
    return found


def hours_of(start: datetime, interval: Interval) -> float:
    """Return the length of the interval that begins at a time."""
    local = start.astimezone(SEOUL)
    return (_following(local, interval) - local).total_seconds() / _HOUR_S


def _begin(time: datetime, interval: Interval) -> datetime:
    if interval.name == "1M":
        return time.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return _MONDAY + (time - _MONDAY) // interval.length * interval.length


def _following(start: datetime, interval: Interval) -> datetime:
    if interval.name == "1M":
        return (start + timedelta(days=31)).replace(day=1)
    return start + interval.length
