"""/console/maintenance: current, planned and past maintenance windows, and the forms to create, change and delete
one."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from litestar import Response, Router, get, post
from litestar.params import FromPath
from litestar.response import Template

from api.auth.gatekeeper import actor
from api.auth.permissions import authorise, shown_to
from api.auth.requests import ApiRequest, principal_of
from api.cache.entries import Cacheable
from api.console import repetition
from api.console.maintenance_form import Filled, blank, changes, filled, of_window, zones
from api.console.submissions import REFUSED, PageNumber, confirmation, done, done_key, refusal, service_choices
from api.maintenance import routes as stored
from api.maintenance.fields import NewWindow, WindowChange, WindowRow
from api.pages.forms import read_form
from api.pages.problems import Problem
from api.pages.site import page, page_texts
from api.rest.injected import Injected
from api.rest.pagination import Pagination
from api.rest.validation import converted
from sla_monitor.recurrence.occurrences import Occurrence
from sla_monitor.texts.languages import Texts, texts
from sql import Pool, database

CACHEABLE: tuple[Cacheable, ...] = ()
HERE = "/console/maintenance"
PAST_A_PAGE = 20
FARTHEST = timedelta(days=6 * 366)
NEXT_SHOWN = 4


class PastRow(msgspec.Struct):
    window_id: UUID
    title: str
    public: bool
    starts_at: datetime
    ends_at: datetime
    service_ids: list[str]


@get(HERE, **shown_to("incidents:read-internal"))
async def windows(request: ApiRequest, pool: Injected[Pool], number: PageNumber = 1) -> Template:
    """Windows under way come first, then the others by their next occurrence."""
    now = datetime.now(UTC)
    planned = await stored.between(pool, request.user, now, now + FARTHEST)
    total = await database.count(pool, "maintenance/past_count")
    offset = (number - 1) * PAST_A_PAGE
    past = await database.rows(pool, "maintenance/past", PastRow, limit=PAST_A_PAGE, offset=offset)
    return await page(
        request,
        "console/maintenance.html",
        planned=planned if number == 1 else [],
        past=past,
        pagination=Pagination.of(number, PAST_A_PAGE, total),
        names={service.id: service.name for service in await service_choices(pool)},
        recurring=_recurring,
        upcoming=lambda row: list(zip(row.occurrence_starts, row.occurrence_ends, strict=True))[:NEXT_SHOWN],
        done=done_key(request, "maintenance", "created", "saved", "deleted"),
    )


@get(f"{HERE}/new", **shown_to("maintenance:write"))
async def new_window(request: ApiRequest, pool: Injected[Pool]) -> Template:
    t = await page_texts(request)
    return await _form(request, pool, blank(t.zone, datetime.now(UTC)))


@post(HERE, **shown_to("maintenance:write"))
async def create_window(request: ApiRequest, pool: Injected[Pool]) -> Response[Any]:
    form = await read_form(request)
    entered, t = filled(form), await page_texts(request)
    if wrong := entered.problems(t):
        return await _form(request, pool, entered, wrong)
    if form.flag("preview"):
        return await _preview(request, pool, entered, t)
    try:
        new = converted(msgspec.to_builtins(entered.body(t)), NewWindow)
        await stored.create(pool, principal_of(request), actor(request), new)
    except REFUSED as error:
        return await _form(request, pool, entered, *refusal(error))
    return done(HERE, "created")


@get(HERE + "/{window_id:str}", **shown_to("maintenance:write"))
async def edit_window(request: ApiRequest, pool: Injected[Pool], window_id: FromPath[str]) -> Template:
    row = await _window(request, pool, window_id)
    return await _form(request, pool, of_window(row), window=row)


@post(HERE + "/{window_id:str}", **shown_to("maintenance:write"))
async def change_window(request: ApiRequest, pool: Injected[Pool], window_id: FromPath[str]) -> Response[Any]:
    """Changes a window. If another user saved it since the form was opened, the form is shown again with the stored
    values; saving again overwrites them."""
    form = await read_form(request)
    entered, t = filled(form), await page_texts(request)
    row = await _window(request, pool, window_id)
    base = form.number("version")
    if wrong := entered.problems(t):
        return await _form(request, pool, entered, wrong, window=row, base=base)
    if form.flag("preview"):
        return await _preview(request, pool, entered, t, row, base)
    try:
        change = converted(msgspec.to_builtins(changes(entered, of_window(row), t)), WindowChange)
        await stored.change(pool, actor(request), window_id, change, f'"{base}"')
    except stored.WindowOutdatedError:
        window = await _window(request, pool, window_id)
        return await _form(request, pool, entered, status=412, window=window, outdated=True)
    except REFUSED as error:
        return await _form(request, pool, entered, *refusal(error), row, base)
    return done(HERE, "saved")


@get(HERE + "/{window_id:str}/delete", **shown_to("maintenance:delete"))
async def confirm_deletion(request: ApiRequest, pool: Injected[Pool], window_id: FromPath[str]) -> Template:
    row = await _window(request, pool, window_id)
    authorise(request.user, "maintenance:delete", owner_id=row.created_by)
    return await confirmation(request, "maintenance", row.title, HERE)


@post(HERE + "/{window_id:str}/delete", **shown_to("maintenance:delete"))
async def delete_window(request: ApiRequest, pool: Injected[Pool], window_id: FromPath[str]) -> Response[Any]:
    await read_form(request)
    row = await _window(request, pool, window_id)
    try:
        await stored.remove(pool, principal_of(request), actor(request), window_id)
    except REFUSED as error:
        return await confirmation(request, "maintenance", row.title, HERE, *refusal(error))
    return done(HERE, "deleted")


async def _form(
    request: ApiRequest,
    pool: Pool,
    entered: Filled,
    problems: Mapping[str, Problem] | None = None,
    status: int = 400,
    window: WindowRow | None = None,
    base: int | str | None = None,
    preview: list[Occurrence] | None = None,
    outdated: bool = False,
) -> Template:
    """The form. `base` is the version that it was opened with; after a conflict was shown it is the stored version."""
    t = await page_texts(request)
    return await page(
        request,
        "console/maintenance_form.html",
        status_code=status if problems or outdated else 200,
        filled=entered,
        window=window,
        version=base if base is not None else window.version if window is not None else None,
        problems=problems or {},
        saved=of_window(window) if outdated and window is not None else None,
        services=await service_choices(pool),
        zones=zones(t.zone, entered.time_zone),
        weekdays=list(zip(repetition.WEEKDAYS, t.weekdays(), strict=True)),
        kinds=repetition.KINDS,
        preview=preview,
        there=texts(t.language, entered.time_zone) if preview else t,
    )


async def _preview(
    request: ApiRequest,
    pool: Pool,
    entered: Filled,
    t: Texts,
    row: WindowRow | None = None,
    base: int | str | None = None,
) -> Template:
    """The form with the next occurrences of the window. Nothing is saved."""
    try:
        ahead = entered.ahead(t, datetime.now(UTC))
    except REFUSED as error:
        return await _form(request, pool, entered, *refusal(error), window=row, base=base)
    return await _form(request, pool, entered, window=row, base=base, preview=ahead)


async def _window(request: ApiRequest, pool: Pool, window_id: str) -> WindowRow:
    now = datetime.now(UTC)
    return await stored.one(pool, request.user, window_id, now, now + FARTHEST)


def _recurring(row: WindowRow, t: Texts) -> str:
    """How the window recurs, as a text; empty if it does not recur."""
    first = row.starts_at.astimezone(ZoneInfo(row.time_zone)).date()
    return repetition.read(row.rrule, first).described(t, first)


router = Router(
    "/",
    route_handlers=[
        windows,
        new_window,
        create_window,
        edit_window,
        change_window,
        confirm_deletion,
        delete_window,
    ],
    include_in_schema=False,
)
