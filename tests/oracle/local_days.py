"""The days of a time zone, from nothing but zoneinfo: exact moments at which clocks are turned, the first moment of
each local date, and the date that a moment belongs to. No grid of any width is assumed."""

from bisect import bisect_right
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
FIRST, LAST = datetime(1989, 12, 1, tzinfo=UTC), datetime(2040, 2, 1, tzinfo=UTC)
# Nothing less apart than this was ever turned and turned back since 1990 (see test_local_days.py).
PACE = timedelta(hours=6)
# No local date is further from the same date in UTC, the zones beside the date line and their moves across it included.
FARTHEST = timedelta(days=3)


class Turn(NamedTuple):
    """From `at` on, the clocks of the zone are `after` ahead of UTC; until then they were `before` ahead."""

    at: datetime
    before: timedelta
    after: timedelta

    @property
    def touches_midnight(self) -> bool:
        """Whether the clocks showed midnight right before or right after, so that a day begins or began here."""
        return time() in ((self.at + self.before).time(), (self.at + self.after).time())


class LocalDays:
    """The calendar of one zone, from 1990 to 2039."""

    def __init__(self, zone: str, pace: timedelta = PACE) -> None:
        self.zone = zone
        self._local = ZoneInfo(zone)
        self.turns = list(self._turns(pace))
        self._from = [FIRST, *(turn.at for turn in self.turns)]
        self._offsets = [self.offset(FIRST), *(turn.after for turn in self.turns)]

    def offset(self, moment: datetime) -> timedelta:
        """How far the clocks of the zone are ahead of UTC."""
        offset = moment.astimezone(self._local).utcoffset()
        assert offset is not None
        return offset

    def starts(self, day: date) -> datetime:
        """The first moment whose local date is `day` or a later one."""
        midnight = datetime.combine(day, time(), UTC)
        first = max(bisect_right(self._from, midnight - FARTHEST) - 1, 0)
        for number in range(first, len(self._from)):
            earliest = max(self._from[number], midnight - self._offsets[number])
            if number + 1 == len(self._from) or earliest < self._from[number + 1]:
                return earliest
        raise AssertionError("the last stretch has no end")

    def date_of(self, moment: datetime) -> date:
        """The day whose bounds hold `moment`: where a date comes twice or not at all, not always what clocks show."""
        day = moment.astimezone(UTC).date() + 3 * DAY
        while self.starts(day) > moment:
            day -= DAY
        return day

    def bounds(self, day: date) -> tuple[datetime, datetime]:
        """The first moment of a day and the first one after it; the same where the zone has skipped the day."""
        return self.starts(day), self.starts(day + DAY)

    def skipped(self, low: date, high: date) -> list[date]:
        """The dates that the zone never had."""
        days = (low + number * DAY for number in range((high - low).days))
        return [day for day in days if self.starts(day) == self.starts(day + DAY)]

    def _turns(self, pace: timedelta) -> Iterator[Turn]:
        at, offset = FIRST, self.offset(FIRST)
        while at < LAST:
            following = min(at + pace, LAST)
            if (changed := self.offset(following)) != offset:
                turned = self._moment_of_turn(at, following)
                yield Turn(turned, offset, changed)
            at, offset = following, changed

    def _moment_of_turn(self, low: datetime, high: datetime) -> datetime:
        """The whole second within (low, high] from which on the offset is that of `high`."""
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
    """The calendar of a zone, made once: that takes a moment."""
    return LocalDays(zone)


def months_from(day: date, count: int, before: int = 0) -> list[date]:
    """The first days of `count` months, from the one `before` months before that of `day`."""
    first = day.year * 12 + day.month - 1 - before
    return [date(number // 12, number % 12 + 1, 1) for number in range(first, first + count)]


def days_of_month(first: date) -> list[date]:
    [_, following] = months_from(first, 2)
    return [first + number * DAY for number in range((following - first).days)]
