"""The uptime calendar of one service or of all services: the days of each month, padded to whole weeks."""

from datetime import date
from itertools import groupby
from typing import Annotated, Literal, TypeVar

import msgspec
from litestar import Router, get
from litestar.params import PathParameter, QueryParameter

from api.auth.permissions import requires
from api.cache.entries import Cacheable
from api.rest.errors import ApiError, raise_problems
from api.rest.injected import Injected
from api.rest.moments import year_problems
from api.services.names import ALL_SYSTEMS, ServiceName, is_slug
from api.uptime.status import DayStatus
from sql import Pool, database

CACHEABLE = (Cacheable("/api/uptime/", frozenset({"checks", "event", "services"}), frozenset({"months", "startDate"})),)
MAX_MONTHS = 24
MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
DAYS_OF_A_WEEK = 7
ServiceOrAll = Annotated[str, PathParameter(description="The id of a public service, or `all-systems`")]
Cell = Literal["o", "po", "mo", "nd", "e"]
_AnyCell = TypeVar("_AnyCell")


class Day(msgspec.Struct, rename="camel"):
    """One day. `uptime`: in percent, "-" without data. `incidents`: the number of public incidents that were open on
    this day and affect the service (for `all-systems`: any service)."""

    date: date
    status: DayStatus
    uptime: str
    checks: int
    downtime_seconds: int
    incidents: int


class Month(msgspec.Struct):
    """`days`: whole weeks that begin on Sunday. `o` operational, `po` degraded, `mo` outage, `nd` no data, `e` a day
    outside the month or in the future. `details`: the days of the month that have begun."""

    name: str
    uptime: str
    days: list[Cell]
    details: list[Day]


class Uptime(msgspec.Struct):
    """The calendar of a service, oldest month first."""

    service: ServiceName
    months: list[Month]


class DayRow(msgspec.Struct):
    """A row of the query uptime/months: a day, or the whole month if `day` is None."""

    month: date
    day: date | None
    status: Cell
    uptime: str
    checks: int
    downtime_seconds: int
    incidents: int


def calendar(rows: list[DayRow]) -> list[Month]:
    """The months in `rows`. Each month has a row for its total, followed by its days in order."""
    return [
        Month(
            f"{MONTHS[first.month - 1]} {first.year}",
            total.uptime,
            whole_weeks(first, [row.status for row in days], "e"),
            begun_days(days),
        )
        for first, (total, *days) in groupby(rows, key=lambda row: row.month)
    ]


def begun_days(rows: list[DayRow]) -> list[Day]:
    """The days that have begun."""
    return [
        Day(row.day, row.status, row.uptime, row.checks, row.downtime_seconds, row.incidents)
        for row in rows
        if row.day is not None and row.status != "e"
    ]


def whole_weeks(first: date, days: list[_AnyCell], outside: _AnyCell) -> list[_AnyCell]:
    """The days of the month that begins on `first`, padded with `outside` to whole weeks from Sunday."""
    before = [outside] * (first.isoweekday() % DAYS_OF_A_WEEK)
    after = [outside] * (-(len(before) + len(days)) % DAYS_OF_A_WEEK)
    return [*before, *days, *after]


async def calendar_rows(
    pool: Pool, service: ServiceName, months: int, start_date: date | None, internal: bool = False
) -> list[DayRow]:
    """The rows for `calendar`. `internal`: include private services and internal incidents."""
    return await database.rows(
        pool,
        "uptime/months",
        DayRow,
        service_id=None if service is ALL_SYSTEMS else service.id,
        months=months,
        start_date=start_date,
        internal=internal,
    )


async def chosen_service(pool: Pool, service_id: str) -> ServiceName:
    """The public service `service_id`, or ALL_SYSTEMS. Raises 404 as `public_service` does."""
    return ALL_SYSTEMS if service_id == ALL_SYSTEMS.id else await public_service(pool, service_id)


async def public_service(pool: Pool, service_id: str) -> ServiceName:
    """The public service `service_id`. Raises the same 404 for a private service and for an unknown one."""
    found = None
    if is_slug(service_id):
        found = await database.row(pool, "services/public", ServiceName, id=service_id)
    if found is None:
        raise ApiError(404, "unknown_service_id")
    return found


@get(
    "/uptime/{service_id:str}",
    summary="Get the uptime calendar of a service",
    **requires("status:read", 400, 404),
)
async def uptime(
    pool: Injected[Pool],
    service_id: ServiceOrAll,
    months: Annotated[int, QueryParameter(ge=1, le=MAX_MONTHS, description="The number of months")] = 3,
    start_date: Annotated[
        date | None, QueryParameter(name="startDate", description="Any day of the first month")
    ] = None,
) -> Uptime:
    """The calendar of a public service, or of all public services for `all-systems`. `months`: 1 to 24. `startDate`:
    any day of the first month; without it, the last month is the current one. Days are those of the reporting time
    zone. 404 for an unknown or private service."""
    raise_problems(year_problems("startDate", start_date))
    service = await chosen_service(pool, service_id)
    return Uptime(service, calendar(await calendar_rows(pool, service, months, start_date)))


router = Router("/api", route_handlers=[uptime], tags=["status"])
