"""/console/holidays: the holiday calendars, and the forms to create, change and delete one. A form has a line for each
day, such as `2026-12-25 Christmas Day`."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from litestar import Response, Router, get, post
from litestar.params import FromPath
from litestar.response import Template
from psycopg import DataError

from api.auth.gatekeeper import actor
from api.auth.permissions import shown_to
from api.auth.requests import ApiRequest
from api.cache.entries import Cacheable
from api.console.submissions import REFUSED, Refusal, confirmation, done, done_key, refusal
from api.pages.forms import read_form
from api.pages.problems import Problem, problem_text
from api.pages.site import page, page_texts
from api.rest.errors import ApiError
from api.rest.injected import Injected
from api.rest.validation import converted
from api.sla import holidays as stored
from api.sla.holidays import CalendarChange, CalendarRow, HolidayCalendar
from sla_monitor.texts.languages import Texts
from sql import Pool, database

CACHEABLE: tuple[Cacheable, ...] = ()
HERE = "/console/holidays"
_ENTRY = re.compile(r"days\[(\d+)\]")


@get(HERE, **shown_to("sla-policies:read"))
async def calendars(request: ApiRequest, pool: Injected[Pool]) -> Template:
    return await page(
        request,
        "console/holidays.html",
        calendars=[row.published() for row in await database.rows(pool, "sla/holidays", CalendarRow)],
        done=done_key(request, "holidays", "saved", "deleted"),
    )


@get(f"{HERE}/new", **shown_to("sla-policies:write"))
async def new_calendar(request: ApiRequest) -> Template:
    return await _form(request, "", "")


@post(HERE, **shown_to("sla-policies:write"))
async def create_calendar(request: ApiRequest, pool: Injected[Pool]) -> Response[Any]:
    form = await read_form(request)
    return await _save(request, pool, form.text("name"), form.text("days"), is_new=True)


@get(HERE + "/{calendar_name:str}", **shown_to("sla-policies:write"))
async def edit_calendar(request: ApiRequest, pool: Injected[Pool], calendar_name: FromPath[str]) -> Template:
    calendar = await stored.one(pool, calendar_name)
    return await _form(request, calendar.name, _lines(calendar), calendar.name)


@post(HERE + "/{calendar_name:str}", **shown_to("sla-policies:write"))
async def change_calendar(request: ApiRequest, pool: Injected[Pool], calendar_name: FromPath[str]) -> Response[Any]:
    form = await read_form(request)
    calendar = await stored.one(pool, calendar_name)
    return await _save(request, pool, calendar.name, form.text("days"), is_new=False)


@get(HERE + "/{calendar_name:str}/delete", **shown_to("sla-policies:write"))
async def confirm_deletion(request: ApiRequest, pool: Injected[Pool], calendar_name: FromPath[str]) -> Template:
    calendar = await stored.one(pool, calendar_name)
    return await confirmation(request, "holidays", calendar.name, HERE)


@post(HERE + "/{calendar_name:str}/delete", **shown_to("sla-policies:write"))
async def delete_calendar(request: ApiRequest, pool: Injected[Pool], calendar_name: FromPath[str]) -> Response[Any]:
    await read_form(request)
    try:
        await stored.remove(pool, actor(request), calendar_name)
    except REFUSED as error:
        return await confirmation(request, "holidays", calendar_name, HERE, *refusal(error))
    return done(HERE, "deleted")


async def _save(request: ApiRequest, pool: Pool, name: str, lines: str, *, is_new: bool) -> Response[Any]:
    """Saves the days. A new calendar must not replace one that exists; its name is part of paths."""
    opened, t = None if is_new else name, await page_texts(request)
    if is_new and "/" in name:
        return await _form(request, name, lines, opened, {"name": t("holidays.name_slash")}, 400)
    if is_new and name in await stored.calendar_names(pool):
        return await _form(request, name, lines, opened, {"name": t("holidays.name_taken")}, 409)
    days = [line.strip().partition(" ") for line in lines.splitlines() if line.strip()]
    body = {"days": [{"day": day, "name": text.strip()} for day, _, text in days]}
    try:
        await stored.save(pool, actor(request), name, converted(body, CalendarChange))
    except REFUSED as error:
        return await _form(request, name, lines, opened, *_refusal(error, lines, t))
    return done(HERE, "saved")


def _refusal(error: ApiError | DataError, lines: str, t: Texts) -> Refusal:
    """As `refusal`. The problem of a day names its line."""
    refused = refusal(error)
    details = error.details if isinstance(error, ApiError) else ()
    numbers = [number for number, line in enumerate(lines.splitlines(), 1) if line.strip()]
    for problem in details:
        if entry := _ENTRY.match(problem.field):
            number = numbers[int(entry[1])]
            text = t("holidays.line", number=number, problem=problem_text(problem, t))
            return Refusal({**refused.problems, "days": text}, refused.status)
    return refused


def _lines(calendar: HolidayCalendar) -> str:
    return "\n".join(f"{item.day} {item.name}" for item in calendar.days)


async def _form(
    request: ApiRequest,
    name: str,
    lines: str,
    opened: str | None = None,
    problems: Mapping[str, Problem] | None = None,
    status: int = 200,
) -> Template:
    """The form. `opened`: the calendar that it changes, None for a new one."""
    return await page(
        request,
        "console/holiday_form.html",
        status_code=status,
        entered_name=name,
        lines=lines,
        opened=opened,
        action=HERE + (f"/{quote(opened, safe='')}" if opened is not None else ""),
        problems=problems or {},
    )


router = Router(
    "/",
    route_handlers=[
        calendars,
        new_calendar,
        create_calendar,
        edit_calendar,
        change_calendar,
        confirm_deletion,
        delete_calendar,
    ],
    include_in_schema=False,
)
