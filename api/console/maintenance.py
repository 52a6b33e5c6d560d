"""/console/maintenance: what runs, what comes, what has been; windows announced, changed and cancelled."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from litestar import Response, Router, get, post
from litestar.params import FromPath
from litestar.response import Template

from api.auth.permissions import authorise, shown_to
from api.auth.requests import ApiRequest
from api.cache.entries import Cacheable
from api.console import repetition
from api.console.maintenance_form import Filled, blank, changes, filled, of_window, zones
from api.console.rest import rest
from api.console.submissions import PageNumber, confirmation, done, refusal, service_choices, told
from api.maintenance.fields import WindowRow
from api.pages.forms import read_form
from api.pages.site import page, page_texts
from api.rest.errors import ApiError
from api.rest.injected import Injected
from api.rest.pagination import Pagination
from api.rest.texts import uuid_or_none
from sla_monitor.recurrence import Occurrence
from sla_monitor.texts.languages import Texts, texts
from sql import Pool, database

CACHEABLE: tuple[Cacheable, ...] = ()
HERE = "/console/maintenance"
PAST_A_PAGE = 20
MAX_WINDOWS = 500
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
    """Those that run first, then by when they take place next."""
    now = datetime.now(UTC)
    period = {"from": now, "to": now + FARTHEST}
    planned = await database.rows(pool, "maintenance/between", WindowRow, **period, internal=True, limit=MAX_WINDOWS)
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
        done=told(request, "maintenance", "created", "saved", "deleted"),
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
    said = await rest(request, "POST", "/api/maintenance", entered.body(t))
    if wrong := refusal(said):
        return await _form(request, pool, entered, wrong, said.status)
    return done(HERE, "created")


@get(HERE + "/{window_id:str}", **shown_to("maintenance:write"))
async def edit_window(request: ApiRequest, pool: Injected[Pool], window_id: FromPath[str]) -> Template:
    row = await _window(pool, window_id)
    return await _form(request, pool, of_window(row), window=row)


@post(HERE + "/{window_id:str}", **shown_to("maintenance:write"))
async def change_window(request: ApiRequest, pool: Injected[Pool], window_id: FromPath[str]) -> Response[Any]:
    """Where somebody saved first, the form says what they saved; saving once more overwrites it knowingly."""
    form = await read_form(request)
    entered, t = filled(form), await page_texts(request)
    row = await _window(pool, window_id)
    base = form.number("version")
    if wrong := entered.problems(t):
        return await _form(request, pool, entered, wrong, window=row, base=base)
    if form.flag("preview"):
        return await _preview(request, pool, entered, t, row, base)
    headers = {"If-Match": f'"{base}"'}
    said = await rest(request, "PUT", f"/api/maintenance/{row.id}", changes(entered, of_window(row), t), headers)
    if said.status == 412:
        return await _form(request, pool, entered, status=412, window=await _window(pool, window_id), outdated=True)
    if wrong := refusal(said):
        return await _form(request, pool, entered, wrong, said.status, row, base)
    return done(HERE, "saved")


@get(HERE + "/{window_id:str}/delete", **shown_to("maintenance:delete"))
async def confirm_deletion(request: ApiRequest, pool: Injected[Pool], window_id: FromPath[str]) -> Template:
    row = await _window(pool, window_id)
    authorise(request.user, "maintenance:delete", owner_id=row.created_by)
    return await confirmation(request, "maintenance", row.title, HERE)


@post(HERE + "/{window_id:str}/delete", **shown_to("maintenance:delete"))
async def delete_window(request: ApiRequest, pool: Injected[Pool], window_id: FromPath[str]) -> Response[Any]:
    await read_form(request)
    row = await _window(pool, window_id)
    said = await rest(request, "DELETE", f"/api/maintenance/{row.id}")
    if wrong := refusal(said):
        return await confirmation(request, "maintenance", row.title, HERE, wrong, said.status)
    return done(HERE, "deleted")


async def _form(
    request: ApiRequest,
    pool: Pool,
    entered: Filled,
    problems: Mapping[str, str] | None = None,
    status: int = 400,
    window: WindowRow | None = None,
    base: int | str | None = None,
    preview: list[Occurrence] | None = None,
    outdated: bool = False,
) -> Template:
    """`base` is the version that the form was opened with; it is the stored one after a conflict that was shown."""
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
    """The form with when it would take place; nothing is saved."""
    try:
        ahead = entered.ahead(t, datetime.now(UTC))
    except ApiError as error:
        wrong = {problem.field: problem.message for problem in error.details}
        return await _form(request, pool, entered, wrong, window=row, base=base)
    return await _form(request, pool, entered, window=row, base=base, preview=ahead)


async def _window(pool: Pool, window_id: str) -> WindowRow:
    now = datetime.now(UTC)
    values = {"id": uuid_or_none(window_id), "internal": True, "from": now, "to": now + FARTHEST}
    row = await database.row(pool, "maintenance/one", WindowRow, **values)
    if row is None:
        raise ApiError(404, "There is no such maintenance window")
    return row


def _recurring(row: WindowRow, t: Texts) -> str:
    """How it recurs, in words; nothing where it does not."""
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
