"""Response times over any window: counts, mean, percentiles and phases, as points of a series and as a whole."""

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
    """What the good checks of a window or of one step say, in milliseconds; None where there are none."""

    checks: int
    errors: int
    avg: float | None
    min: float | None
    max: float | None
    percentiles: tuple[float, ...] | None
    phases: tuple[float, ...] | None


class Series(NamedTuple):
    """The window as it was read, the whole of it, and its points by the time they begin at."""

    low: datetime
    high: datetime
    whole: Point
    points: dict[datetime, Point]


def bin_of(ms: float) -> int | None:
    """The bin b of a time, above 1.04^(b-1) and up to 1.04^b; None for 0, which has a bin of its own. Exact."""
    if ms == 0:
        return None
    number = math.ceil(math.log(ms) / math.log(1.04))
    while BASE ** (number - 1) >= Fraction(ms):
        number -= 1
    while BASE**number < Fraction(ms):
        number += 1
    return number


def middle(ms: float) -> float:
    """What a time is answered as: the geometric middle of its bin."""
    number = bin_of(ms)
    return 0.0 if number is None else float(1.04 ** (number - 0.5))


def percentile(times: Sequence[float], percent: int) -> float:
    """By nearest rank, answered as the middle of its bin, never outside of what was measured."""
    rank = max(-(-percent * len(times) // 100), 1)
    return min(max(middle(sorted(times)[rank - 1]), min(times)), max(times))


def point(checks: Sequence[Check]) -> Point:
    times = [one.total_ms for one in checks if one.good and one.total_ms is not None]
    measured = [one for one in checks if one.good and one.total_ms is not None and one.first_byte_ms is not None]
    return Point(
        len(checks),
        sum(not one.good for one in checks),
        math.fsum(times) / len(times) if times else None,
        min(times, default=None),
        max(times, default=None),
        tuple(percentile(times, percent) for percent in PERCENTS) if times else None,
        _phases(measured) if measured else None,
    )


def _phases(measured: Sequence[Check]) -> tuple[float, ...]:
    """Means: name lookup, connection, TLS, first byte, and what they leave of the whole."""
    total, *parts = (one / len(measured) for one in phase_sums(measured))
    return (*parts, total - min(total, sum(parts)))


def series(
    checks: Sequence[Check], tier: str, start: datetime, end: datetime, step: timedelta, days: LocalDays
) -> Series:
    """The answer of one tier to a window and a step; the checks are those of one service."""
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
    """The window as it is read: as it is from raw checks, else to whole buckets. Hours are those that the clocks of
    the zone show at its start, counted on from there."""
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
