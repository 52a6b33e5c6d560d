"""The service level of a service in a period: uptime against its target, error budget and burn rates.

The rules are in docs/accounting.md, the SQL in sql/accounting.
"""

import re
from datetime import date, datetime, timedelta
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from litestar import Router, get
from litestar.params import QueryParameter

from api.auth.permissions import requires
from api.cache.entries import Cacheable
from api.rest.errors import ApiError, invalid
from api.rest.injected import Injected
from api.rest.moments import FIRST_YEAR, LAST_YEAR, iso, read_moment
from api.rest.problems import FieldProblem
from api.services.names import ServiceName, ServicePath
from api.sla.subjects import Scope
from api.uptime.calendar import public_service
from sql import Pool, database

CACHEABLE = (Cacheable("/api/sla/services/", frozenset({"checks", "services"}), frozenset({"period", "asOf"})),)
"""Saved policies, holidays and corrections count as a change of services (sql/accounting/saving.sql)."""
_PERIOD = re.compile(r"([0-9]{4})(?:-(0[1-9]|1[0-2])|-Q([1-4]))?")
Verdict = Literal["met", "missed", "insufficient_data"]
PeriodText = Annotated[
    str | None,
    QueryParameter(
        max_length=7,
        description="A month (2026-10), a quarter (2026-Q3) or a year (2026); by default the policy's current period",
    ),
]
AsOf = Annotated[
    str | None,
    QueryParameter(
        name="asOf",
        max_length=40,
        format="date-time",
        description="The figures as they were known at this time, and nothing after it; by default now",
    ),
]


class PolicyVersion(msgspec.Struct):
    """A version of a policy. `scope`: what the policy is for. `target`: the promised uptime in percent."""

    id: UUID
    version: int
    name: str
    scope: Scope
    target: float


class Seconds(msgspec.Struct, rename="camel"):
    """What the elapsed time of the period counts as, in seconds. The sum is the time from the first check, or from the
    start of the period, until its end or now."""

    up: float
    degraded: float
    down: float
    unknown: float
    maintenance: float
    excluded: float
    outside_hours: float


class Part(msgspec.Struct, rename="camel"):
    """The part of a period to which one policy version applies. `from` is included, `to` is not."""

    policy: PolicyVersion
    from_: str = msgspec.field(name="from")
    to: str
    seconds: Seconds
    budget_seconds: float
    spent_seconds: float


class Budget(msgspec.Struct, rename="camel"):
    """The error budget in seconds: of the whole period, spent until now, and left (negative if it is exceeded).
    `projectedEnd`: when it will be spent if downtime continues as in the period so far; null if that is not before the
    end of the period, or if the budget is spent already."""

    total_seconds: float
    spent_seconds: float
    left_seconds: float
    projected_end: str | None


class BurnRate(msgspec.Struct, rename="camel"):
    """How fast the budget was spent in a window of `windowSeconds` until now. 1 spends it exactly in the period. Null
    without data, or if the target is 100."""

    window_seconds: int
    rate: float | None


class ServiceLevel(msgspec.Struct, rename="camel"):
    """`from` and `to`: the first and the last day of the period in the time zone of the policy. `policy`: the latest
    version in the period. `uptime`: in percent, rounded down, "-" without data. `coverage`: the known share of the time
    that counts, in percent, null if no time counts. `estimated`: a part of the period is older than the raw checks, and
    its states were computed from aggregates. `verdict`: null if there is no data at all."""

    service: ServiceName
    from_: date = msgspec.field(name="from")
    to: date
    policy: PolicyVersion
    uptime: str
    verdict: Verdict | None
    coverage: float | None
    estimated: bool
    seconds: Seconds
    outages: int
    longest_outage_seconds: float
    budget: Budget
    burn_rates: list[BurnRate]
    parts: list[Part]


class CurrentRow(msgspec.Struct):
    """A row of sla/current_policy."""

    policy_id: UUID
    version: int
    first_day: date
    last_day: date


class PartRow(msgspec.Struct):
    """A row of sla/parts. Times are seconds."""

    policy_id: UUID
    version: int
    scope: Scope
    name: str
    target: float
    low: datetime
    high: datetime
    now: datetime
    up: float
    degraded: float
    down: float
    unknown: float
    maintenance: float
    excluded: float
    outside_hours: float
    spent: float
    planned: float
    budget: float
    outages: int
    longest_outage: float
    least_coverage: float
    estimated: bool
    uptime: str

    @property
    def policy(self) -> PolicyVersion:
        return PolicyVersion(self.policy_id, self.version, self.name, self.scope, self.target)

    @property
    def seconds(self) -> Seconds:
        return Seconds(
            self.up, self.degraded, self.down, self.unknown, self.maintenance, self.excluded, self.outside_hours
        )


class RateRow(msgspec.Struct):
    """A row of sla/burn_rates."""

    seconds: int
    rate: float | None


def days_of(text: str) -> tuple[date, date]:
    """The first and the last day of a month, quarter or year. Raises 400 for anything else."""
    found = _PERIOD.fullmatch(text)
    if found is None or not FIRST_YEAR <= int(found[1]) <= LAST_YEAR:
        raise invalid(FieldProblem.of("period", "sla_period"))
    year = int(found[1])
    if found[2]:
        first, months = int(found[2]), 1
    elif found[3]:
        first, months = 3 * int(found[3]) - 2, 3
    else:
        first, months = 1, 12
    following = first + months
    end = date(year + (following - 1) // 12, (following - 1) % 12 + 1, 1)
    return date(year, first, 1), end - timedelta(days=1)


def totals(rows: list[PartRow]) -> Seconds:
    """The sums over all parts of a period."""
    return Seconds(*(sum(getattr(row, name) for row in rows) for name in Seconds.__struct_fields__))


def budget_of(rows: list[PartRow], seconds: Seconds) -> Budget:
    """The error budget of a period: the sum of the budgets of its parts."""
    total, spent = sum(row.budget for row in rows), sum(row.spent for row in rows)
    left = total - spent
    counted = seconds.up + seconds.degraded + seconds.down
    projected = None
    if spent > 0 and left > 0 and counted > 0:
        remaining = left / (spent / counted)
        now, end = rows[-1].now, rows[-1].high
        if remaining < (end - now).total_seconds():
            projected = iso(now + timedelta(seconds=remaining))
    return Budget(total, spent, left, projected)


def verdict_of(rows: list[PartRow], coverage: float | None, spent: float, seconds: Seconds) -> Verdict | None:
    """Whether the target of the latest part is met by the time that counts."""
    known = seconds.up + seconds.degraded + seconds.down
    if coverage is None or known == 0:
        return None
    if coverage < rows[-1].least_coverage:
        return "insufficient_data"
    return "met" if 100 * ((known - spent) / known) >= rows[-1].target else "missed"


@get(
    "/sla/services/{service_id:str}",
    summary="Get the service level of a service",
    **requires("status:read", 400, 404),
)
async def service_level(
    service_id: ServicePath, pool: Injected[Pool], period: PeriodText = None, as_of: AsOf = None
) -> ServiceLevel:
    """The uptime of a public service against the target of its SLA policy, in the current or another period, with its
    error budget and burn rates. 404 if the service does not exist, or if no policy applies to it in the period.

    Times are seconds.
    """
    service = await public_service(pool, service_id)
    known_at = read_moment("asOf", as_of)
    current = await database.row(pool, "sla/current_policy", CurrentRow, service_id=service_id)
    if period is not None:
        first_day, last_day = days_of(period)
    elif current is not None:
        first_day, last_day = current.first_day, current.last_day
    else:
        raise ApiError(404, "no_policy")
    rows = await database.rows(
        pool, "sla/parts", PartRow, service_id=service_id, first_day=first_day, last_day=last_day, known_at=known_at
    )
    if not rows:
        raise ApiError(404, "no_policy")
    rates = []
    if current is not None:
        rates = await database.rows(
            pool,
            "sla/burn_rates",
            RateRow,
            service_id=service_id,
            policy_id=current.policy_id,
            version=current.version,
        )
    seconds = totals(rows)
    known = seconds.up + seconds.degraded + seconds.down
    counting = known + seconds.unknown
    coverage = 100 * (known / counting) if counting else None  # exactly 100 if all is known
    budget = budget_of(rows, seconds)
    return ServiceLevel(
        service=service,
        from_=first_day,
        to=last_day,
        policy=rows[-1].policy,
        uptime=rows[-1].uptime,
        verdict=verdict_of(rows, coverage, budget.spent_seconds, seconds),
        coverage=coverage,
        estimated=any(row.estimated for row in rows),
        seconds=seconds,
        outages=sum(row.outages for row in rows),
        longest_outage_seconds=max(row.longest_outage for row in rows),
        budget=budget,
        burn_rates=[BurnRate(row.seconds, row.rate) for row in rates],
        parts=[Part(row.policy, iso(row.low), iso(row.high), row.seconds, row.budget, row.spent) for row in rows],
    )


router = Router("/api", route_handlers=[service_level], tags=["sla"])
