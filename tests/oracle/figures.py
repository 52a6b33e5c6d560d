"""Sums of raw checks over quarters of an hour, hours and local days, and the uptimes computed from them."""

import math
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import NamedTuple, TypeVar

from tests.oracle.local_days import DAY, HOUR, LocalDays, days_of_month, months_from
from tests.oracle.rows import SEVERITIES, Check

QUARTER = timedelta(minutes=15)
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
Key = TypeVar("Key")
LineKey = tuple[datetime, str, str]
"""The start of a bucket, a service and a location."""


class Sums(NamedTuple):
    """One row of checks_15m, checks_hourly or checks_daily, without its key."""

    checks: int
    operational: int
    degraded: int
    failed: int
    worst: str
    covered_seconds: int
    degraded_seconds: int
    down_seconds: int
    good: int
    sum_ms: float
    min_ms: float | None
    max_ms: float | None


def summed(checks: Collection[Check]) -> Sums:
    times = [one.total_ms for one in checks if one.successful and one.total_ms is not None]
    return Sums(
        checks=len(checks),
        operational=sum(one.severity == "o" for one in checks),
        degraded=sum(one.severity == "po" for one in checks),
        failed=sum(one.severity == "mo" for one in checks),
        worst=max((one.severity for one in checks), key=SEVERITIES.index),
        covered_seconds=sum(one.interval for one in checks),
        degraded_seconds=sum(one.interval for one in checks if one.severity == "po"),
        down_seconds=sum(one.interval for one in checks if one.severity == "mo"),
        good=len(times),
        sum_ms=math.fsum(times),
        min_ms=min(times, default=None),
        max_ms=max(times, default=None),
    )


def grouped(checks: Iterable[Check], key: Callable[[Check], Key]) -> dict[Key, list[Check]]:
    groups: dict[Key, list[Check]] = defaultdict(list)
    for one in checks:
        groups[key(one)].append(one)
    return groups


def floor(at: datetime, width: timedelta, origin: datetime = EPOCH) -> datetime:
    """Returns the start of the step that contains `at`; the steps of `width` are aligned to `origin`."""
    return at - (at - origin) % width


def bucket_of(tier: str, days: LocalDays) -> Callable[[datetime], datetime]:
    """Returns a function from a time to the start of its bucket: 15m, hourly (UTC) or daily (local days)."""
    if tier == "15m":
        return lambda at: floor(at, QUARTER)
    if tier == "hourly":
        return lambda at: floor(at, HOUR)
    return lambda at: days.starts(days.date_of(at))


def rollup(checks: Iterable[Check], tier: str, days: LocalDays) -> dict[LineKey, Sums]:
    """Returns the rows of checks_15m, checks_hourly or checks_daily."""
    start = bucket_of(tier, days)
    groups = grouped(checks, lambda one: (start(one.at), one.service, one.location))
    return {key: summed(group) for key, group in groups.items()}


def phases(checks: Iterable[Check], tier: str, days: LocalDays) -> dict[LineKey, tuple[float, ...]]:
    """Returns the rows of phases_15m, phases_hourly or phases_daily: the number of measured checks and the sums."""
    start = bucket_of(tier, days)
    measured = [one for one in checks if one.successful and one.total_ms is not None and one.first_byte_ms is not None]
    groups = grouped(measured, lambda one: (start(one.at), one.service, one.location))
    return {key: (len(group), *phase_sums(group)) for key, group in groups.items()}


def phase_sums(measured: Sequence[Check]) -> tuple[float, ...]:
    """Returns the sums of total, DNS, connection, TLS and first byte in ms. A missing phase counts as 0."""
    names = ("total_ms", "dns_ms", "connect_ms", "tls_ms", "first_byte_ms")
    return tuple(math.fsum(getattr(one, name) or 0 for one in measured) for name in names)


def uptime(down_seconds: int, covered_seconds: int) -> str:
    """Returns the uptime in percent with two decimals, rounded down, or a dash without data."""
    if not covered_seconds:
        return "-"
    hundredths = 10000 * (covered_seconds - down_seconds) // covered_seconds
    return f"{hundredths // 100}.{hundredths % 100:02}"


class ServiceDay(NamedTuple):
    """One row of service_days; the error is that of uptime_records."""

    service: str
    day: date
    starts_at: datetime
    locations: int
    sums: Sums
    error_message: str | None

    @property
    def uptime(self) -> str:
        return uptime(self.sums.down_seconds, self.sums.covered_seconds)

    @property
    def downtime(self) -> Fraction:
        """The mean seconds of downtime of the locations."""
        return Fraction(self.sums.down_seconds, self.locations)


def service_days(checks: Iterable[Check], days: LocalDays) -> dict[tuple[str, date], ServiceDay]:
    found = {}
    for (service, day), group in grouped(checks, lambda one: (one.service, days.date_of(one.at))).items():
        locations = len({one.location for one in group})
        found[service, day] = ServiceDay(
            service,
            day,
            days.starts(day),
            locations,
            summed(group),
            last_error(one for one in group if not one.successful),
        )
    return found


def last_error(failed: Iterable[Check]) -> str | None:
    """Returns the error of the last failed check; of several at the same time that of the first location."""
    last = min(failed, key=lambda one: (-one.at.timestamp(), one.location), default=None)
    return last.error_message if last else None


class Cell(NamedTuple):
    """A day of the calendar, or a month if `day` is None."""

    month: date
    day: date | None
    status: str
    uptime: str
    checks: int
    downtime: Fraction


def calendar(
    service_days_: Iterable[ServiceDay], days: LocalDays, present: datetime, months: int, start: date | None
) -> list[Cell]:
    """Returns the calendar of these days of services, in the order of the query: each month before its days."""
    today = days.date_of(present)
    by_day = defaultdict(list)
    for one in service_days_:
        by_day[one.day].append(one)
    listed = months_from(start, months) if start else months_from(today, months, before=months - 1)
    cells = []
    for month in listed:
        of_month = days_of_month(month)
        cells.append(_cell(month, None, of_month, by_day, today))
        cells += [_cell(month, day, [day], by_day, today) for day in of_month]
    return cells


def _cell(
    month: date, day: date | None, dates: Sequence[date], by_day: dict[date, list[ServiceDay]], today: date
) -> Cell:
    service_days_ = [one for date_ in dates for one in by_day.get(date_, ())]
    status = max((one.sums.worst for one in service_days_), key=SEVERITIES.index, default="nd")
    downtimes = [
        sum((one.downtime for one in by_day[date_]), Fraction()) / len(by_day[date_])
        for date_ in dates
        if by_day.get(date_)
    ]
    return Cell(
        month,
        day,
        "e" if all(date_ > today for date_ in dates) else status,
        uptime_of(one.sums for one in service_days_),
        sum(one.sums.checks for one in service_days_),
        sum(downtimes, Fraction()),
    )


def uptime_of(sums: Iterable[Sums]) -> str:
    parts = list(sums)
    return uptime(sum(one.down_seconds for one in parts), sum(one.covered_seconds for one in parts))


class Window(NamedTuple):
    """A row of service_page/uptimes."""

    days: int
    starts_at: datetime
    uptime: str
    coverage: float
    downtime: Fraction
    first_at: datetime | None


def window_start(count: int, days: LocalDays, present: datetime) -> datetime:
    """Returns the start of the last 24 hours in whole quarters, or of `count` local days including today."""
    if count == 1:
        return floor(present - DAY, QUARTER)
    return days.starts(days.date_of(present) - (count - 1) * DAY)


def windows(checks: Collection[Check], days: LocalDays, present: datetime) -> list[Window]:
    """Returns the uptimes on the page of one service, from its checks."""
    return [_window(checks, days, present, count) for count in (1, 7, 30, 90, 365)]


def in_window(checks: Iterable[Check], days: LocalDays, present: datetime, count: int) -> list[Check]:
    """Returns the checks of a window. Windows of days end with today; that of 24 hours has no end."""
    start = window_start(count, days, present)
    ends = days.starts(days.date_of(present) + DAY)
    return [one for one in checks if start <= one.at and (count == 1 or one.at < ends)]


def _window(checks: Iterable[Check], days: LocalDays, present: datetime, count: int) -> Window:
    start = window_start(count, days, present)
    counted = in_window(checks, days, present, count)
    buckets = defaultdict(list)
    for (bucket, _, _), sums in rollup(counted, "15m" if count == 1 else "daily", days).items():
        buckets[bucket].append(sums)
    covered_seconds = sum(max(one.covered_seconds for one in group) for group in buckets.values())
    share = Fraction(covered_seconds) / Fraction((present - start) // timedelta(microseconds=1), 1000000)
    downtimes = [Fraction(sum(one.down_seconds for one in group), len(group)) for group in buckets.values()]
    return Window(
        count,
        start,
        uptime_of(one for group in buckets.values() for one in group),
        math.floor(min(share, Fraction(1)) * 10000) / 10000,
        sum(downtimes, Fraction()),
        min(buckets, default=None),
    )
