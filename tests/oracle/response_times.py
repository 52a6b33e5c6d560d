"""Response times over any window: counts, mean, percentiles and phases, in total and as points of a series."""

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from fractions import Fraction
from typing import NamedTuple

from tests.oracle.figures import QUARTER, floor, grouped, phase_sums
from tests.oracle.local_days import DAY, HOUR, LocalDays
from tests.oracle.rows import Check

BASE = Fraction(104, 100)
PERCENTS = (50, 95, 99)


class Point(NamedTuple):
    """The figures of the successful checks of a window or a step in milliseconds, None without any."""

    checks: int
    errors: int
    avg: float | None
    min: float | None
    max: float | None
    percentiles: tuple[float, ...] | None
    phases: tuple[float, ...] | None


class Series(NamedTuple):
    """The window as widened to buckets, its total, and its points by start time."""

    low: datetime
    high: datetime
    whole: Point
    points: dict[datetime, Point]


def bin_of(ms: float) -> int | None:
    """Returns the bin b of a time above 1.04^(b-1) and up to 1.04^b, computed exactly. None for 0, which has its own
    bin."""
    if ms == 0:
        return None
    number = math.ceil(math.log(ms) / math.log(1.04))
    while BASE ** (number - 1) >= Fraction(ms):
        number -= 1
    while BASE**number < Fraction(ms):
        number += 1
    return number


def middle(ms: float) -> float:
    """Returns the geometric middle of the bin of a time."""
    number = bin_of(ms)
    return 0.0 if number is None else float(1.04 ** (number - 0.5))


def percentile(times: Sequence[float], percent: int) -> float:
    """Returns the percentile by nearest rank as the middle of its bin, limited to the measured range."""
    rank = max(-(-percent * len(times) // 100), 1)
    return min(max(middle(sorted(times)[rank - 1]), min(times)), max(times))


def point(checks: Sequence[Check]) -> Point:
    times = [one.total_ms for one in checks if one.successful and one.total_ms is not None]
    measured = [one for one in checks if one.successful and one.total_ms is not None and one.first_byte_ms is not None]
    return Point(
        len(checks),
        sum(not one.successful for one in checks),
        math.fsum(times) / len(times) if times else None,
        min(times, default=None),
        max(times, default=None),
        tuple(percentile(times, percent) for percent in PERCENTS) if times else None,
        _phases(measured) if measured else None,
    )


def _phases(measured: Sequence[Check]) -> tuple[float, ...]:
    """Returns the means of DNS, connection, TLS and first byte, and the rest of the total."""
    total, *parts = (one / len(measured) for one in phase_sums(measured))
    return (*parts, total - min(total, sum(parts)))


def series(
    checks: Sequence[Check], tier: str, start: datetime, end: datetime, step: timedelta, days: LocalDays
) -> Series:
    """Returns the expected response times of one tier for a window and a step, from the checks of one service."""
    low, high = widened(tier, start, end, days)
    counted = [one for one in checks if low <= one.at < high]
    if tier == "daily":
        first, number = days.date_of(low), step // DAY
        groups = grouped(
            counted, lambda one: days.starts(first + (days.date_of(one.at) - first) // DAY // number * number * DAY)
        )
    else:
        groups = grouped(counted, lambda one: floor(one.at, step, low))
    return Series(low, high, point(counted), {time: point(group) for time, group in groups.items()})


def widened(tier: str, start: datetime, end: datetime, days: LocalDays) -> tuple[datetime, datetime]:
    """Returns the window widened to whole buckets, unchanged for raw checks. Hours are local hours at the start of the
    window."""
    if tier == "raw":
        return start, end
    if tier == "daily":
        return days.starts(days.date_of(start)), days.starts(days.date_of(end - timedelta(microseconds=1)) + DAY)
    if tier == "15m":
        return floor(start, QUARTER), _ceiling(end, QUARTER, floor(start, QUARTER))
    low = floor(start + days.offset(start), HOUR) - days.offset(start)
    return low, _ceiling(end, HOUR, low)


def _ceiling(at: datetime, width: timedelta, origin: datetime) -> datetime:
    lower = floor(at, width, origin)
    return lower if lower == at else lower + width
