"""The service level of a service in a period: uptime against its target, error budget and burn rates.

The rules are in docs/accounting.md, the SQL in sql/accounting.
"""

from datetime import date
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Router, get
from litestar.params import QueryParameter

from api.auth.permissions import requires
from api.cache.entries import Cacheable
from api.rest.errors import ApiError, invalid
from api.rest.injected import Injected
from api.rest.moments import iso, iso_or_none, read_moment
from api.rest.problems import FieldProblem
from api.services.names import ServiceName, ServicePath
from api.sla.level_rows import LevelRow, PartRow, RateRow, SecondsRow, Verdict
from api.sla.periods import first_check, require_checked
from api.sla.subjects import Scope
from api.uptime.calendar import public_service
from sla_monitor.reports import request
from sql import Pool, database

CACHEABLE = (Cacheable("/api/sla/services/", frozenset({"checks", "services"}), frozenset({"period", "asOf"})),)
"""Saved policies, holidays and corrections count as a change of services (sql/accounting/saving.sql)."""
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


class Checks(msgspec.Struct):
    """All checks of the period, also those in maintenance and outside of the service hours. `uptime`: the successful
    ones in percent, rounded down, "-" without checks."""

    total: int
    failed: int
    uptime: str


class ObjectiveLevel(msgspec.Struct):
    """The promise that `share` percent of the successful checks take at most `ms` milliseconds. `actual`: the actual
    percentage, `met`: whether it is as high; null without successful checks."""

    ms: int
    share: float
    actual: float | None
    met: bool | None


class ResponseTimes(msgspec.Struct):
    """Percentiles of the response times of successful checks in milliseconds, null without any. `objective`: null if
    the policy has none."""

    p50: float | None
    p95: float | None
    p99: float | None
    objective: ObjectiveLevel | None


class ServiceLevel(msgspec.Struct, rename="camel"):
    """`from` and `to`: the first and the last day of the period in the time zone of the policy. `policy`: the latest
    version in the period. `target`: in percent; of several versions the mean by planned time. `uptime`: in percent,
    rounded down, "-" without data. `coverage`: the known share of the time that counts, in percent, null if no time
    counts. `estimated`: a part of the period is older than the raw checks, and its states were computed from
    aggregates. `verdict`: null if there is no data at all. `mttrSeconds`: the mean length of outages that have ended,
    `mtbfSeconds`: the mean up time between outages; null without outages. `credit`: the service credit in percent of
    the fee; null if the policy has no credits, or without a verdict."""

    service: ServiceName
    from_: date = msgspec.field(name="from")
    to: date
    policy: PolicyVersion
    target: float
    uptime: str
    verdict: Verdict | None
    coverage: float | None
    estimated: bool
    seconds: Seconds
    outages: int
    longest_outage_seconds: float
    mttr_seconds: float | None
    mtbf_seconds: float | None
    checks: Checks
    response_times: ResponseTimes
    budget: Budget
    credit: float | None
    burn_rates: list[BurnRate]
    parts: list[Part]


class CurrentRow(msgspec.Struct):
    """A row of sla/current_policy."""

    policy_id: UUID
    version: int
    first_day: date
    last_day: date


def days_of(text: str) -> tuple[date, date]:
    """The first and the last day of a month, quarter or year. Raises 400 for anything else."""
    try:
        return request.days_of(text)
    except request.ReportProblem as problem:
        raise invalid(FieldProblem.of(problem.field, problem.code)) from None


@get(
    "/sla/services/{service_id:str}",
    summary="Get the service level of a service",
    **requires("status:read", 400, 404),
)
async def service_level(
    service_id: ServicePath, pool: Injected[Pool], period: PeriodText = None, as_of: AsOf = None
) -> ServiceLevel:
    """The uptime of a public service against the target of its SLA policy, in the current or another period, with its
    error budget and burn rates. 404 if the service does not exist, or if no policy applies to it in the period. 400
    for a period that ended before the first check of the service.

    Times are seconds.
    """
    service = await public_service(pool, service_id)
    known_at = read_moment("asOf", as_of)
    current = await database.row(pool, "sla/current_policy", CurrentRow, service_id=service_id, known_at=known_at)
    if period is not None:
        first_day, last_day = days_of(period)
    elif current is not None:
        first_day, last_day = current.first_day, current.last_day
    else:
        raise ApiError(404, "no_policy")
    values = {"service_id": service_id, "first_day": first_day, "last_day": last_day, "known_at": known_at}
    level = await database.row(pool, "sla/level", LevelRow, **values)
    if level is None:
        raise ApiError(404, "no_policy")
    if period is not None:
        require_checked(await first_check(pool, service_id), "period", level.ends_at)
    parts = [_part(row) for row in await database.rows(pool, "sla/parts", PartRow, **values)]
    rates = []
    if current is not None:
        terms = {"policy_id": current.policy_id, "version": current.version, "known_at": known_at}
        rates = await database.rows(pool, "sla/burn_rates", RateRow, service_id=service_id, **terms)
    return ServiceLevel(
        service=service,
        from_=first_day,
        to=last_day,
        policy=parts[-1].policy,
        target=level.target,
        uptime=level.uptime,
        verdict=level.verdict,
        coverage=level.coverage,
        estimated=level.estimated,
        seconds=_seconds(level),
        outages=level.outages,
        longest_outage_seconds=level.longest,
        mttr_seconds=level.mttr,
        mtbf_seconds=level.mtbf,
        checks=Checks(level.checks, level.failed_checks, level.checks_uptime),
        response_times=ResponseTimes(level.p50, level.p95, level.p99, _objective(level)),
        budget=Budget(level.budget, level.spent, level.left, iso_or_none(level.projected_end)),
        credit=level.credit,
        burn_rates=[BurnRate(row.seconds, row.rate) for row in rates],
        parts=parts,
    )


def _part(row: PartRow) -> Part:
    policy = PolicyVersion(row.policy_id, row.version, row.name, row.scope, row.target)
    return Part(policy, iso(row.low), iso(row.high), _seconds(row), row.budget, row.spent)


def _seconds(row: SecondsRow) -> Seconds:
    return Seconds(*(getattr(row, name) for name in Seconds.__struct_fields__))


def _objective(level: LevelRow) -> ObjectiveLevel | None:
    if level.objective_ms is None or level.objective_share is None:
        return None
    return ObjectiveLevel(level.objective_ms, level.objective_share, level.fast_share, level.objective_met)


router = Router("/api", route_handlers=[service_level], tags=["sla"])
