"""The local days of a time zone, computed from zoneinfo only: the exact changes of clocks, the start of each date, and
the date of a time. Days may start at any second."""

from bisect import bisect_right
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
FIRST, LAST = datetime(1989, 12, 1, tzinfo=UTC), datetime(2040, 2, 1, tzinfo=UTC)
# Since 1990 no zone has changed its clocks and changed them back within this time (see test_local_days.py).
STEP = timedelta(hours=6)
# No local date is further from the same date in UTC, including zones that moved across the date line.
FARTHEST = timedelta(days=3)


class ClockChange(NamedTuple):
    """A change of clocks: the UTC offset is `before` until `at`, and `after` from then on."""

    at: datetime
    before: timedelta
    after: timedelta

    @property
    def touches_midnight(self) -> bool:
        """Whether the local time is midnight right before or right after the change, so that a day begins here."""
        return time() in ((self.at + self.before).time(), (self.at + self.after).time())


class LocalDays:
    """The calendar of one zone, from 1990 to 2039."""

    def __init__(self, zone: str, step: timedelta = STEP) -> None:
        self.zone = zone
        self._local = ZoneInfo(zone)
        self.changes = list(self._find_changes(step))
        self._from = [FIRST, *(change.at for change in self.changes)]
        self._offsets = [self.offset(FIRST), *(change.after for change in self.changes)]

    def offset(self, moment: datetime) -> timedelta:
        """Returns the UTC offset at this time."""
        offset = moment.astimezone(self._local).utcoffset()
        assert offset is not None
        return offset

    def starts(self, day: date) -> datetime:
        """Returns the first time whose local date is `day` or later."""
        midnight = datetime.combine(day, time(), UTC)
        first = max(bisect_right(self._from, midnight - FARTHEST) - 1, 0)
        for number in range(first, len(self._from)):
            earliest = max(self._from[number], midnight - self._offsets[number])
            if number + 1 == len(self._from) or earliest < self._from[number + 1]:
                return earliest
        raise AssertionError("the last offset applies without end")

    def date_of(self, moment: datetime) -> date:
        """Returns the day whose bounds contain `moment`. It can differ from the local date if a date occurs twice."""
        day = moment.astimezone(UTC).date() + 3 * DAY
        while self.starts(day) > moment:
            day -= DAY
        return day

    def bounds(self, day: date) -> tuple[datetime, datetime]:
        """Returns start and end of a day, which are equal if the zone skipped the day."""
        return self.starts(day), self.starts(day + DAY)

    def skipped(self, low: date, high: date) -> list[date]:
        """Returns the dates that the zone skipped."""
        days = (low + number * DAY for number in range((high - low).days))
        return [day for day in days if self.starts(day) == self.starts(day + DAY)]

    def _find_changes(self, step: timedelta) -> Iterator[ClockChange]:
        at, offset = FIRST, self.offset(FIRST)
        while at < LAST:
            following = min(at + step, LAST)
            if (new_offset := self.offset(following)) != offset:
                change_at = self._time_of_change(at, following)
                yield ClockChange(change_at, offset, new_offset)
            at, offset = following, new_offset

    def _time_of_change(self, low: datetime, high: datetime) -> datetime:
        """Returns the first whole second within (low, high] with the offset of `high`."""
        before = self.offset(low)
        while high - low > timedelta(seconds=1):
            middle = low + timedelta(seconds=(high - low) // timedelta(seconds=1) // 2)
            if self.offset(middle) == before:
                low = middle
            else:
                high = middle
        return high


@cache
def local_days(zone: str) -> LocalDays:
    """Returns the calendar of a zone, cached because it takes some time."""
    return LocalDays(zone)


def months_from(day: date, count: int, before: int = 0) -> list[date]:
    """Returns the first days of `count` months, beginning `before` months before the month of `day`."""
    first = day.year * 12 + day.month - 1 - before
    return [date(number // 12, number % 12 + 1, 1) for number in range(first, first + count)]


def days_of_month(first: date) -> list[date]:
    [_, following] = months_from(first, 2)
    return [first + number * DAY for number in range((following - first).days)]
