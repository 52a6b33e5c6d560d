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
from sql.database import Actor

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


class CalendarResponse(msgspec.Struct):
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
) -> CalendarResponse:
    """Creates the calendar or replaces all its days. The figures of all SLA policies with this calendar follow, also
    those of the past."""
    return CalendarResponse(await save(pool, actor(request), calendar_name, data))


@delete(
    "/sla/holidays/{calendar_name:str}",
    summary="Delete a holiday calendar",
    **requires("sla-policies:write", 400, 404, 409),
)
async def delete_calendar(request: ApiRequest, pool: Injected[Pool], calendar_name: CalendarPath) -> None:
    """409 while a version of an SLA policy uses the calendar, also a past one."""
    await remove(pool, actor(request), calendar_name)


async def one(pool: Pool, name: str) -> HolidayCalendar:
    """A calendar. Raises 404 if there is none."""
    calendars = {row.name: row for row in await database.rows(pool, "sla/holidays", CalendarRow)}
    if name not in calendars:
        raise ApiError(404, "unknown_calendar_name")
    return calendars[name].published()


async def calendar_names(pool: Pool) -> list[str]:
    """The names of all calendars in order."""
    return [row.name for row in await database.rows(pool, "sla/holidays", CalendarRow)]


async def save(pool: Pool, by: Actor, name: str, data: CalendarChange) -> HolidayCalendar:
    """Creates the calendar or replaces its days. Raises 400 for an invalid name or day."""
    raise_problems(_name_problems(name) + _problems(data))
    days = sorted(data.days, key=lambda item: item.day)
    values = {"name": name, "days": [item.day for item in days], "names": [item.name for item in days]}
    async with database.transaction(pool, by) as connection:
        await connection.execute(sql.query("sla/save_holidays"), values)
    return HolidayCalendar(name, days)


async def remove(pool: Pool, by: Actor, name: str) -> None:
    """Deletes a calendar. Raises 400 for an invalid name, 404 if there is none, 409 while a policy version uses it."""
    raise_problems(_name_problems(name))
    try:
        async with database.transaction(pool, by) as connection:
            cursor = await connection.execute(sql.query("sla/delete_holidays"), {"name": name})
            deleted = await cursor.fetchone()
    except ForeignKeyViolation:
        raise ApiError(409, "calendar_in_use") from None
    if deleted != (True,):
        raise ApiError(404, "unknown_calendar_name")


def _name_problems(name: str) -> list[FieldProblem]:
    """The problems of the name of a calendar."""
    too_long = [FieldProblem.of("name", "too_long", most=MAX_NAME)] if len(name) > MAX_NAME else []
    return too_long or line_problems("name", name)


def _problems(change: CalendarChange) -> list[FieldProblem]:
    found = repeated_problems("days", [item.day.isoformat() for item in change.days])
    for n, item in enumerate(change.days):
        found += year_problems(f"days[{n}].day", item.day) + line_problems(f"days[{n}].name", item.name)
    return found


router = Router("/api", route_handlers=[list_calendars, save_calendar, delete_calendar], tags=["sla"])
