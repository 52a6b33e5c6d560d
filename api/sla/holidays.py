"""Holiday calendars: the days without service hours of SLA policies. They are stored days, so that no past figure
changes with a law or a library."""

from datetime import date
from typing import Annotated

import msgspec
from litestar import Router, delete, get, put
from litestar.params import JSONBody, PathParameter
from msgspec import Meta
from psycopg.errors import ForeignKeyViolation

import sql
from api.auth.gatekeeper import actor
from api.auth.permissions import requires
from api.auth.requests import ApiRequest
from api.cache.entries import Cacheable
from api.rest.errors import BODY_ERRORS, ApiError, raise_problems
from api.rest.injected import Injected
from api.rest.moments import year_problems
from api.rest.problems import FieldProblem
from api.rest.texts import line_problems, repeated_problems
from api.sla.policy_terms import Name
from sql import Pool, database

CACHEABLE: tuple[Cacheable, ...] = ()
MAX_NAME = 100
CalendarPath = Annotated[str, PathParameter(description="The name of a holiday calendar")]


class Holiday(msgspec.Struct, forbid_unknown_fields=True):
    """A day without service hours."""

    day: date
    name: Name


class CalendarChange(msgspec.Struct, forbid_unknown_fields=True):
    """All days of a holiday calendar."""

    days: Annotated[list[Holiday], Meta(max_length=2000)]


class HolidayCalendar(msgspec.Struct):
    """A holiday calendar with its days in order."""

    name: str
    days: list[Holiday]


class CalendarAnswer(msgspec.Struct):
    calendar: HolidayCalendar


class CalendarList(msgspec.Struct):
    calendars: list[HolidayCalendar]


class CalendarRow(msgspec.Struct):
    """A row of the query sla/holidays."""

    name: str
    days: list[date]
    names: list[str]

    def published(self) -> HolidayCalendar:
        pairs = zip(self.days, self.names, strict=True)
        return HolidayCalendar(self.name, [Holiday(day, name) for day, name in pairs])


@get(
    "/sla/holidays",
    summary="List the holiday calendars",
    **requires("sla-policies:read"),
)
async def list_calendars(pool: Injected[Pool]) -> CalendarList:
    """All calendars, sorted by name, with their days."""
    rows = await database.rows(pool, "sla/holidays", CalendarRow)
    return CalendarList([row.published() for row in rows])


@put(
    "/sla/holidays/{calendar_name:str}",
    summary="Save a holiday calendar",
    **requires("sla-policies:write", *BODY_ERRORS),
)
async def save_calendar(
    request: ApiRequest, pool: Injected[Pool], calendar_name: CalendarPath, data: JSONBody[CalendarChange]
) -> CalendarAnswer:
    """Creates the calendar or replaces all its days. The figures of all SLA policies with this calendar follow, also
    those of the past."""
    _require_name(calendar_name)
    raise_problems(_problems(data))
    days = sorted(data.days, key=lambda item: item.day)
    values = {"name": calendar_name, "days": [item.day for item in days], "names": [item.name for item in days]}
    async with database.transaction(pool, actor(request)) as connection:
        await connection.execute(sql.query("sla/save_holidays"), values)
    return CalendarAnswer(HolidayCalendar(calendar_name, days))


@delete(
    "/sla/holidays/{calendar_name:str}",
    summary="Delete a holiday calendar",
    **requires("sla-policies:write", 400, 404, 409),
)
async def delete_calendar(request: ApiRequest, pool: Injected[Pool], calendar_name: CalendarPath) -> None:
    """409 while a version of an SLA policy uses the calendar, also a past one."""
    _require_name(calendar_name)
    try:
        async with database.transaction(pool, actor(request)) as connection:
            cursor = await connection.execute(sql.query("sla/delete_holidays"), {"name": calendar_name})
            deleted = await cursor.fetchone()
    except ForeignKeyViolation:
        raise ApiError(409, "calendar_in_use") from None
    if deleted != (True,):
        raise ApiError(404, "unknown_calendar_name")


def _require_name(name: str) -> None:
    """Raises 400 for a name of a calendar that cannot be stored."""
    too_long = [FieldProblem.of("name", "too_long", most=MAX_NAME)] if len(name) > MAX_NAME else []
    raise_problems(too_long or line_problems("name", name))


def _problems(change: CalendarChange) -> list[FieldProblem]:
    found = repeated_problems("days", [item.day.isoformat() for item in change.days])
    for n, item in enumerate(change.days):
        found += year_problems(f"days[{n}].day", item.day) + line_problems(f"days[{n}].name", item.name)
    return found


router = Router("/api", route_handlers=[list_calendars, save_calendar, delete_calendar], tags=["sla"])
