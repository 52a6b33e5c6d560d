"""/console/corrections: the list of corrections, the form to create one, and the question before one is withdrawn."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import msgspec
from litestar import Response, Router, get, post
from litestar.params import FromPath
from litestar.response import Template

from api.auth.gatekeeper import actor
from api.auth.permissions import shown_to
from api.auth.requests import ApiRequest, principal_of
from api.cache.entries import Cacheable
from api.console import repetition
from api.console.correction_form import CHOICES, Filled, blank, filled
from api.console.maintenance_form import zones
from api.console.sla_preview import INVALID, Preview, preview
from api.console.submissions import (
    REFUSED,
    PageNumber,
    Refusal,
    done,
    done_key,
    known_tags,
    refusal,
    service_choices,
)
from api.pages.forms import read_form
from api.pages.problems import Problem
from api.pages.site import page, page_texts
from api.rest.errors import ApiError
from api.rest.injected import Injected
from api.rest.moments import read_moment
from api.rest.pagination import Pagination
from api.rest.validation import converted
from api.sla import corrections as stored
from api.sla.corrections import CorrectionRow, NewCorrection
from api.sla.simulate import Simulation
from sla_monitor.texts.languages import Texts
from sql import Pool

CACHEABLE: tuple[Cacheable, ...] = ()
HERE = "/console/corrections"
PAGE_SIZE = 20
STATES: Mapping[str, bool | None] = {"": None, "valid": False, "withdrawn": True}
"""The values of the filter `state`, each with the filter of REST."""


@get(HERE, **shown_to("corrections:read"))
async def corrections(request: ApiRequest, pool: Injected[Pool], number: PageNumber = 1) -> Template:
    """The corrections that pass the filters, newest first."""
    entered = {name: request.query_params.get(name, "").strip() for name in ("service", "state")}
    refused = Refusal({}, 200)
    rows, pagination = list[CorrectionRow](), Pagination.of(1, PAGE_SIZE, 0)
    try:
        withdrawn = STATES.get(entered["state"])
        rows, pagination = await stored.listing(
            pool, number, PAGE_SIZE, service=entered["service"] or None, withdrawn=withdrawn
        )
    except REFUSED as error:
        refused = refusal(error)
    services = await service_choices(pool)
    given = {name: value for name, value in entered.items() if value}
    return await page(
        request,
        "console/corrections.html",
        status_code=refused.status,
        rows=rows,
        pagination=pagination,
        entered=entered,
        problems=refused.problems,
        states=list(STATES),
        services=services,
        names={service.id: service.name for service in services},
        recurring=_recurring,
        here=f"{HERE}?" + urlencode({**given, "page": ""}),
        done=done_key(request, "corrections", "created", "withdrawn"),
    )


@get(f"{HERE}/new", **shown_to("corrections:write"))
async def new_correction(request: ApiRequest, pool: Injected[Pool]) -> Template:
    """The form. `service`, `from` and `to`: the outage that it is filled in with; other values are ignored."""
    t, given = await page_texts(request), request.query_params
    try:
        low, high = read_moment("from", given.get("from")), read_moment("to", given.get("to"))
    except ApiError:
        low = high = None
    return await _form(request, pool, blank(t.zone, datetime.now(UTC), given.get("service", "")[:50], low, high))


@post(HERE, **shown_to("corrections:write"))
async def create_correction(request: ApiRequest, pool: Injected[Pool]) -> Response[Any]:
    form = await read_form(request)
    entered, t = filled(form), await page_texts(request)
    if wrong := entered.problems(t):
        return await _form(request, pool, entered, wrong, 400)
    try:
        new = converted(msgspec.to_builtins(entered.body(t)), NewCorrection)
        if form.flag("preview"):
            data = Simulation(period=_month(t, new.starts_at, new.rrule), corrections=[new])
            return await _form(request, pool, entered, shown=await preview(request, pool, data, _today(t)))
        await stored.create(pool, principal_of(request), actor(request), new)
    except REFUSED as error:
        return await _form(request, pool, entered, *refusal(error))
    return done(HERE, "created")


@get(HERE + "/{correction_id:str}/withdraw", **shown_to("corrections:write"))
async def confirm_withdrawal(request: ApiRequest, pool: Injected[Pool], correction_id: FromPath[str]) -> Template:
    return await _question(request, pool, await stored.one(pool, correction_id))


@post(HERE + "/{correction_id:str}/withdraw", **shown_to("corrections:write"))
async def withdraw_correction(request: ApiRequest, pool: Injected[Pool], correction_id: FromPath[str]) -> Response[Any]:
    await read_form(request)
    row = await stored.one(pool, correction_id)
    try:
        await stored.withdraw(pool, principal_of(request), actor(request), correction_id)
    except REFUSED as error:
        return await _question(request, pool, row, *refusal(error))
    return done(HERE, "withdrawn")


async def _form(
    request: ApiRequest,
    pool: Pool,
    entered: Filled,
    problems: Mapping[str, Problem] | None = None,
    status: int = 200,
    shown: Preview | None = None,
) -> Template:
    """The form. `shown`: None if there are no problems and nothing was previewed."""
    t = await page_texts(request)
    return await page(
        request,
        "console/correction_form.html",
        status_code=status,
        filled=entered,
        problems=problems or {},
        services=await service_choices(pool),
        tags=await known_tags(pool),
        zones=zones(t.zone, entered.time_zone),
        weekdays=list(zip(repetition.WEEKDAYS, t.weekdays(), strict=True)),
        kinds=repetition.KINDS,
        choices=CHOICES,
        preview=INVALID if problems else shown,
    )


async def _question(
    request: ApiRequest,
    pool: Pool,
    row: CorrectionRow,
    problems: Mapping[str, Problem] | None = None,
    status: int = 200,
) -> Template:
    """The page that confirms the withdrawal, with what it would change."""
    t = await page_texts(request)
    data = Simulation(period=_month(t, row.starts_at, row.rrule), withdrawn=[str(row.id)])
    return await page(
        request,
        "console/correction_withdraw.html",
        status_code=status,
        row=row,
        names={service.id: service.name for service in await service_choices(pool)},
        recurring=_recurring,
        problems=problems or {},
        preview=None if row.withdrawn_at or problems else await preview(request, pool, data, _today(t)),
    )


def _today(t: Texts) -> date:
    return t.local(datetime.now(UTC)).date()


def _month(t: Texts, starts_at: datetime, rrule: str | None) -> str:
    """The month whose figures are previewed: that of the correction, or the current one if it recurs."""
    return f"{_today(t) if rrule is not None else min(t.local(starts_at).date(), _today(t)):%Y-%m}"


def _recurring(row: CorrectionRow, t: Texts) -> str:
    """How the correction recurs, as a text; empty if it does not recur."""
    first = row.starts_at.astimezone(ZoneInfo(row.time_zone)).date()
    return repetition.read(row.rrule, first).described(t, first)


router = Router(
    "/",
    route_handlers=[corrections, new_correction, create_correction, confirm_withdrawal, withdraw_correction],
    include_in_schema=False,
)
