"""The occurrences of a maintenance window or a correction: the days that its rule matches, at one time of day in one
time zone.

Users enter the rules, so each rule must take a bounded time: this module visits each day up to a horizon once.
python-dateutil, which the tests compare it with, visits all days up to the year 9999 if a rule never matches.
"""

from calendar import isleap, monthrange
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import count, islice, pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from sla_monitor.recurrence.rules import Rule, WeekDay

LONGEST = timedelta(days=30)
"""The longest occurrence of a maintenance window."""
END = datetime(2101, 1, 1, tzinfo=UTC)
"""Occurrences of corrections start before this time."""


class Occurrence(NamedTuple):
    starts_at: datetime
    ends_at: datetime


class Schedule(NamedTuple):
    """The first occurrence and the rule by which it recurs. Later occurrences start at the same local time and have the
    same duration."""

    starts_at: datetime
    ends_at: datetime
    rule: Rule | None
    zone: ZoneInfo

    @property
    def first(self) -> datetime:
        """The local time at which the first occurrence starts."""
        return self.starts_at.astimezone(self.zone).replace(tzinfo=None, fold=0)

    @property
    def duration(self) -> timedelta:
        return self.ends_at - self.starts_at

    def start(self, local: datetime) -> datetime:
        """The moment at which the occurrence with this local time starts. The first occurrence keeps its own moment,
        which can be the second of two with the same local time."""
        return self.starts_at if local == self.first else instant(local, self.zone)


def occurrences(schedule: Schedule, horizon: datetime) -> list[Occurrence]:
    """The occurrences that start before `horizon`, in order. An occurrence ends at the latest when the next one
    starts."""
    if schedule.rule is None:
        return [Occurrence(schedule.starts_at, schedule.ends_at)]
    # An occurrence after the horizon can shorten the last one before it.
    upto = (horizon + LONGEST).astimezone(schedule.zone).replace(tzinfo=None)
    starts = [schedule.start(local) for local in local_starts(schedule, upto)]
    ends = [
        min(start + schedule.duration, following)
        for start, following in pairwise([*starts, datetime.max.replace(tzinfo=UTC)])
    ]
    # Empty occurrences are left out: in a zone that skips a whole day, two local times are one moment.
    return [Occurrence(start, end) for start, end in zip(starts, ends, strict=True) if start < min(end, horizon)]


def stored_occurrences(schedule: Schedule, now: datetime) -> tuple[list[Occurrence], datetime | None]:
    """The occurrences of a correction that are stored at `now`, and the time at which the next one is due.

    Of a schedule with an end, all occurrences are stored, and none is due. Of an endless one, those that start before
    `now` are stored; the next one is due when it starts. None: no other one starts before END.
    """
    rule = schedule.rule
    if rule is None or rule.count is not None or rule.until is not None:
        return occurrences(schedule, END), None
    last = END.astimezone(schedule.zone).replace(tzinfo=None)
    starts = (schedule.start(local) for local in local_starts(schedule, last))
    return occurrences(schedule, now), next((start for start in starts if start >= now), None)


def overlap(schedule: Schedule, horizon: datetime) -> bool:
    """Whether an occurrence before `horizon` lasts into the next one, in local time. Overlaps that only a clock change
    causes do not count; `occurrences` shortens them."""
    upto = horizon.astimezone(schedule.zone).replace(tzinfo=None)
    return any(later - earlier < schedule.duration for earlier, later in pairwise(local_starts(schedule, upto)))


def local_starts(schedule: Schedule, upto: datetime) -> Iterator[datetime]:
    """The local times at which occurrences start, in order, up to the local time `upto`."""
    rule, first = schedule.rule, schedule.first
    if rule is None:
        yield first
        return
    days = _days(_with_defaults(rule, first.date()), first.date(), upto.date())
    for day in islice(days, rule.count):
        local = datetime.combine(day, first.time())
        if local > upto or _is_after(local, rule.until, schedule):
            return
        yield local


def instant(local: datetime, zone: ZoneInfo) -> datetime:
    """The moment of a local time, as RFC 5545 (3.3.5) defines it. A local time that occurs twice is the first of the
    two moments. A local time that does not exist is read with the UTC offset before the gap: 02:30 becomes 03:30 if
    clocks are set forward from 02:00 to 03:00."""
    return local.replace(tzinfo=zone, fold=0).astimezone(UTC)


def _is_after(local: datetime, until: datetime | None, schedule: Schedule) -> bool:
    """Whether an occurrence starts after UNTIL, which is a moment if it has a time zone and a local time if not."""
    if until is None:
        return False
    return local > until if until.tzinfo is None else schedule.start(local) > until


def _with_defaults(rule: Rule, first: date) -> Rule:
    """The rule with the weekday, day of the month or month of the first occurrence, if the rule selects no days."""
    if rule.month_days or rule.year_days or rule.week_days:
        return rule
    match rule.frequency:
        case "WEEKLY":
            return msgspec.structs.replace(rule, week_days=frozenset({WeekDay(0, first.weekday())}))
        case "MONTHLY":
            return msgspec.structs.replace(rule, month_days=frozenset({first.day}))
        case "YEARLY":
            months = rule.months or frozenset({first.month})
            return msgspec.structs.replace(rule, months=months, month_days=frozenset({first.day}))
    return rule


def _days(rule: Rule, first: date, last: date) -> Iterator[date]:
    """The days from `first` on that the rule matches, in order. Visits each day at most once, up to the
    period of `last`."""
    for number in count():
        period = _period(rule, first, number * rule.interval)
        if not period or period[0] > last:
            return
        matches = [day for day in period if _matches(rule, day)]
        if rule.positions:
            matches = [day for n, day in enumerate(matches) if rule.positions & {n + 1, n - len(matches)}]
        yield from (day for day in matches if day >= first)


def _period(rule: Rule, first: date, offset: int) -> list[date]:
    """The days of the day, week, month or year that lies `offset` periods after the one of `first`. Empty if the period
    lies outside the years 1 to 9999."""
    try:
        match rule.frequency:
            case "DAILY":
                return [first + timedelta(days=offset)]
            case "WEEKLY":
                start = first + timedelta(days=7 * offset - (first.weekday() - rule.week_start) % 7)
                length = 7
            case "MONTHLY":
                year, month = divmod(12 * first.year + first.month - 1 + offset, 12)
                start, length = date(year, month + 1, 1), monthrange(year, month + 1)[1]
            case "YEARLY":
                start = date(first.year + offset, 1, 1)
                length = 365 + isleap(start.year)
        return [start + timedelta(days=n) for n in range(length)]
    except (OverflowError, ValueError):
        return []


def _matches(rule: Rule, day: date) -> bool:
    """Whether `day` fulfils the BY… parts of the rule, except BYSETPOS."""
    year_day, year_length = day.timetuple().tm_yday, 365 + isleap(day.year)
    month_length = monthrange(day.year, day.month)[1]
    if rule.months and day.month not in rule.months:
        return False
    if rule.month_days and not rule.month_days & {day.day, day.day - month_length - 1}:
        return False
    if rule.year_days and not rule.year_days & {year_day, year_day - year_length - 1}:
        return False
    if not rule.week_days:
        return True
    if rule.frequency == "YEARLY" and not rule.months:
        position, length = year_day, year_length
    else:
        position, length = day.day, month_length
    nths = (0, (position - 1) // 7 + 1, -((length - position) // 7) - 1)
    return any(WeekDay(nth, day.weekday()) in rule.week_days for nth in nths)
