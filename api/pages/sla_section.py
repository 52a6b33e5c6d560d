"""The service level on the page of a service: the current period, burn rates, and the burn-down of the error budget."""

from collections.abc import Sequence
from datetime import date, datetime
from itertools import pairwise
from typing import NamedTuple
from uuid import UUID

import msgspec

from api.sla.level_rows import RateRow, Verdict
from api.sla.policy_terms import Length
from api.sla.timeline import MAX_POINTS, PointRow
from sql import Pool, database

WIDTH, HEIGHT = 1000, 100
"""The size of the chart in its own units. The page stretches it."""
LEAST_WIDTH = 3
"""The least width of the mark of an outage."""


class Level(msgspec.Struct):
    """A row of sla_page/level. `uptime`: in percent with two decimals, "-" without data. `first_day` and `last_day`:
    the period. `starts_at` and `ends_at`: the part of it in which a policy applies."""

    name: str
    period: Length
    rolling_days: int | None
    first_day: date
    last_day: date
    target: float
    uptime: str
    coverage: float | None
    verdict: Verdict | None
    estimated: bool
    outages: int
    down_seconds: float
    budget_seconds: float
    spent_seconds: float
    left_seconds: float
    projected_end: datetime | None
    starts_at: datetime
    ends_at: datetime
    policy_id: UUID
    version: int

    @property
    def known(self) -> str | None:
        """The coverage in percent with two decimals, rounded down; None for full coverage."""
        return None if self.coverage is None or self.coverage >= 100 else f"{int(self.coverage * 100) / 100:.2f}"

    @property
    def share(self) -> float:
        """The part of the error budget that is left, 0 to 1."""
        return min(max(self.left_seconds / self.budget_seconds, 0), 1) if self.budget_seconds else 0

    @property
    def report_period(self) -> str | None:
        """The period for a report, as in its query; None for a rolling one."""
        match self.period:
            case "month":
                return f"{self.first_day:%Y-%m}"
            case "quarter":
                return f"{self.first_day:%Y}-Q{(self.first_day.month + 2) // 3}"
            case "year":
                return f"{self.first_day:%Y}"
        return None


class Spending(NamedTuple):
    """A time that spent some of the error budget. `left_seconds`: at its end."""

    starts_at: datetime
    ends_at: datetime
    spent_seconds: float
    left_seconds: float


class Mark(NamedTuple):
    """Where the chart shows a `Spending`."""

    x: float
    width: float


class BurnDown(NamedTuple):
    """The chart, WIDTH by HEIGHT. `line`: the points of the budget that is left; `area`: the shape between it and zero.
    `zero`: the height of zero. `pace`: the line of a budget that lasts exactly to the end of the period."""

    line: str
    area: str
    zero: float
    pace: tuple[float, float]
    marks: list[Mark]
    spendings: list[Spending]
    lowest: float


class Section(NamedTuple):
    level: Level
    rates: list[RateRow]
    chart: BurnDown | None


async def section(pool: Pool, service_id: str) -> Section | None:
    """The service level in the current period; None if no policy applies to the service now."""
    level = await database.row(pool, "sla_page/level", Level, service_id=service_id)
    if level is None:
        return None
    values = {"service_id": service_id, "policy_id": level.policy_id, "version": level.version, "known_at": None}
    rates = await database.rows(pool, "sla/burn_rates", RateRow, **values)
    window = {"service_id": service_id, "low": level.starts_at, "high": level.ends_at, "known_at": None}
    points = await database.rows(pool, "sla/burn_down", PointRow, most=MAX_POINTS, **window)
    return Section(level, rates, burn_down(level, points))


def burn_down(level: Level, points: Sequence[PointRow]) -> BurnDown | None:
    """The chart of a budget. None without points, and for a budget of zero that nothing was spent of."""
    lowest = min((point.left_seconds for point in points), default=0.0)
    lowest = min(lowest, 0.0)
    height = level.budget_seconds - lowest
    length = (level.ends_at - level.starts_at).total_seconds()
    if not points or height <= 0 or length <= 0:
        return None

    def x(moment: datetime) -> float:
        return WIDTH * (moment - level.starts_at).total_seconds() / length

    def y(left: float) -> float:
        return HEIGHT * (level.budget_seconds - left) / height

    corners = [f"{x(point.at):.1f} {y(point.left_seconds):.2f}" for point in points]
    first, last, zero = x(points[0].at), x(points[-1].at), y(0)
    spendings = [
        Spending(before.at, after.at, before.left_seconds - after.left_seconds, after.left_seconds)
        for before, after in pairwise(points)
        if after.left_seconds < before.left_seconds
    ]
    return BurnDown(
        line="M" + "L".join(corners),
        area=f"M{first:.1f} {zero:.2f}L" + "L".join(corners) + f"L{last:.1f} {zero:.2f}z",
        zero=zero,
        pace=(y(level.budget_seconds), zero),
        marks=[Mark(x(one.starts_at), max(x(one.ends_at) - x(one.starts_at), LEAST_WIDTH)) for one in spendings],
        spendings=spendings,
        lowest=lowest,
    )
