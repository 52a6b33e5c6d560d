"""The service levels of groups, and of all services together."""

from datetime import date

import msgspec
from litestar import Router, get

from api.auth.permissions import requires
from api.cache.entries import Cacheable
from api.rest.injected import Injected
from api.rest.moments import read_moment
from api.sla.figures import AsOf, PeriodText, days_of
from api.sla.level_rows import Verdict
from api.sla.policy_terms import GroupMethod
from sql import Pool, database

CACHEABLE = (Cacheable("/api/sla/groups", frozenset({"checks", "services"}), frozenset({"period", "asOf"})),)


class GroupBudget(msgspec.Struct, rename="camel"):
    """The error budget in seconds: of the whole period, spent until now, and left (negative if it is exceeded)."""

    total_seconds: float
    spent_seconds: float
    left_seconds: float


class GroupLevel(msgspec.Struct):
    """`group`: null for all services together. `services`: those to which a policy applies. `method`: `worst`, the
    figures are those of the service with the lowest uptime; `mean`, they are means by time. `outages`: of all services
    of the group. Other fields: as those of a service."""

    group: str | None
    services: int
    method: GroupMethod
    target: float
    uptime: str
    verdict: Verdict | None
    coverage: float | None
    outages: int
    budget: GroupBudget


class GroupLevels(msgspec.Struct):
    """`from` and `to`: the first and the last day of the period, in the time zone of each policy."""

    from_: date = msgspec.field(name="from")
    to: date
    groups: list[GroupLevel]


class GroupRow(msgspec.Struct):
    """A row of sla/group_levels."""

    group_name: str | None
    services: int
    method: GroupMethod
    target: float
    uptime: str
    verdict: Verdict | None
    coverage: float | None
    outages: int
    budget: float
    spent: float
    left: float


class _Today(msgspec.Struct):
    """A row of sla/this_month."""

    month: str


@get(
    "/sla/groups",
    summary="List the service levels of groups",
    **requires("status:read", 400),
)
async def group_levels(pool: Injected[Pool], period: PeriodText = None, as_of: AsOf = None) -> GroupLevels:
    """The uptime of each group of public services against its target, all services together first. By default in the
    present month of the reporting time zone. A service belongs to the last group that it had in the period. Groups
    without a policy are not listed.

    Times are seconds.
    """
    known_at = read_moment("asOf", as_of)
    if period is None:
        today = await database.row(pool, "sla/this_month", _Today)
        assert today is not None
        period = today.month
    first_day, last_day = days_of(period)
    values = {"first_day": first_day, "last_day": last_day, "known_at": known_at}
    rows = await database.rows(pool, "sla/group_levels", GroupRow, **values)
    return GroupLevels(first_day, last_day, [_published(row) for row in rows])


def _published(row: GroupRow) -> GroupLevel:
    return GroupLevel(
        group=row.group_name,
        services=row.services,
        method=row.method,
        target=row.target,
        uptime=row.uptime,
        verdict=row.verdict,
        coverage=row.coverage,
        outages=row.outages,
        budget=GroupBudget(row.budget, row.spent, row.left),
    )


router = Router("/api", route_handlers=[group_levels], tags=["sla"])
