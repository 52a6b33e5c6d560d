"""/console/policies: the SLA policies, the history of their versions, and the forms to create, change and end one."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from typing import Any, get_args

import msgspec
from litestar import Response, Router, get, post
from litestar.params import FromPath
from litestar.response import Template
from psycopg import DataError

from api.auth.gatekeeper import actor
from api.auth.permissions import shown_to
from api.auth.requests import ApiRequest, principal_of
from api.cache.entries import Cacheable
from api.console import policy_words, rows, sla_preview
from api.console.maintenance_form import zones
from api.console.policy_form import CreditRow, Filled, HoursRow, blank, filled, of_version
from api.console.sla_preview import INVALID, Preview
from api.console.submissions import REFUSED, Refusal, done, done_key, known_tags, refusal, service_choices
from api.pages.forms import read_form
from api.pages.problems import Problem
from api.pages.site import page, page_texts
from api.pages.sla_periods import containing
from api.rest.errors import ApiError
from api.rest.injected import Injected
from api.rest.problems import FieldProblem
from api.rest.validation import converted
from api.sla import policy_versions as stored
from api.sla.holidays import calendar_names
from api.sla.policy_fields import NewPolicy, PolicyChange, VersionRow
from api.sla.policy_terms import GroupMethod, Length, MaintenanceRule, Quorum, UnknownRule
from api.sla.simulate import Simulation
from api.sla.subjects import Scope
from sla_monitor.formats.time_zones import zone
from sql import Pool, database

CACHEABLE: tuple[Cacheable, ...] = ()
HERE = "/console/policies"
CHOICES: Mapping[str, tuple[str, ...]] = {
    "scope": get_args(Scope),
    "period": get_args(Length),
    "maintenance": get_args(MaintenanceRule),
    "unknown": get_args(UnknownRule),
    "quorum": get_args(Quorum),
    "groupMethod": get_args(GroupMethod),
}


@get(HERE, **shown_to("sla-policies:read"))
async def policies(request: ApiRequest, pool: Injected[Pool]) -> Template:
    """All policies in the order of precedence, each with its current and its next version."""
    versions = await database.rows(pool, "sla/versions", VersionRow, id=None)
    return await page(
        request,
        "console/policies.html",
        policies=[list(found) for _, found in groupby(versions, key=lambda row: row.id)],
        names={service.id: service.name for service in await service_choices(pool)},
        done=done_key(request, "policies", "created"),
    )


@get(f"{HERE}/new", **shown_to("sla-policies:write"))
async def new_policy(request: ApiRequest, pool: Injected[Pool]) -> Template:
    t = await page_texts(request)
    return await _form(request, pool, blank(t.zone, t.local(datetime.now(UTC)).date().replace(day=1)))


@post(HERE, **shown_to("sla-policies:write"))
async def create_policy(request: ApiRequest, pool: Injected[Pool]) -> Response[Any]:
    form = await read_form(request)
    entered = filled(form)
    if form.text("add"):
        return await _form(request, pool, entered, more=form.text("add"))
    try:
        if form.flag("preview"):
            return await _form(request, pool, entered, preview=await _preview(request, pool, entered))
        await stored.create(pool, principal_of(request), actor(request), converted(entered.body_of_new(), NewPolicy))
    except REFUSED as error:
        return await _form(request, pool, entered, *_refusal(error, entered))
    return done(HERE, "created")


@get(HERE + "/{policy_id:str}", **shown_to("sla-policies:read"))
async def policy(request: ApiRequest, pool: Injected[Pool], policy_id: FromPath[str]) -> Template:
    """The terms that are valid now, or will be, and all versions with what they changed."""
    versions, t = await stored.one(pool, policy_id), await page_texts(request)
    valid = next((row for row in versions if row.is_current), None)
    shown = valid or next((row for row in versions if row.is_next), versions[0])
    return await page(
        request,
        "console/policy.html",
        newest=versions[0],
        shown=shown,
        coming=next((row for row in versions if row.is_next), None),
        terms=policy_words.words(t, shown),
        history=policy_words.history(t, versions),
        names={service.id: service.name for service in await service_choices(pool)},
        done=done_key(request, "policies", "saved", "ended"),
    )


@get(HERE + "/{policy_id:str}/edit", **shown_to("sla-policies:write"))
async def edit_policy(request: ApiRequest, pool: Injected[Pool], policy_id: FromPath[str]) -> Template:
    versions = await stored.one(pool, policy_id)
    return await _form(request, pool, of_version(versions[0], _tomorrow(versions[0])), version=versions[0])


@post(HERE + "/{policy_id:str}/edit", **shown_to("sla-policies:write"))
async def change_policy(request: ApiRequest, pool: Injected[Pool], policy_id: FromPath[str]) -> Response[Any]:
    """Adds a version. If another user has added one since the form was opened, the form is shown again with what that
    version changed; saving again keeps the entered terms."""
    form = await read_form(request)
    versions = await stored.one(pool, policy_id)
    newest, base = versions[0], form.number("version")
    entered = msgspec.structs.replace(filled(form), scope=newest.scope, subject=newest.subject or "")
    if form.text("add"):
        return await _form(request, pool, entered, version=newest, base=base, more=form.text("add"))
    try:
        if form.flag("preview"):
            shown = await _preview(request, pool, entered)
            return await _form(request, pool, entered, version=newest, base=base, preview=shown)
        change = converted(entered.body(), PolicyChange)
        await stored.change(pool, principal_of(request), actor(request), policy_id, change, f'"{base}"')
    except stored.PolicyOutdatedError as error:
        t = await page_texts(request)
        return await _form(
            request, pool, entered, None, 412, error.stored[0], missed=policy_words.history(t, error.stored)[0]
        )
    except REFUSED as error:
        return await _form(request, pool, entered, *_refusal(error, entered), newest, base)
    return done(f"{HERE}/{newest.id}", "saved")


@get(HERE + "/{policy_id:str}/end", **shown_to("sla-policies:write"))
async def confirm_end(request: ApiRequest, pool: Injected[Pool], policy_id: FromPath[str]) -> Template:
    newest = (await stored.one(pool, policy_id))[0]
    return await _end(request, newest, _tomorrow(newest).isoformat())


@post(HERE + "/{policy_id:str}/end", **shown_to("sla-policies:write"))
async def end_policy(request: ApiRequest, pool: Injected[Pool], policy_id: FromPath[str]) -> Response[Any]:
    day = (await read_form(request)).text("from")
    newest = (await stored.one(pool, policy_id))[0]
    try:
        first_day = date.fromisoformat(day)
    except ValueError:
        return await _end(request, newest, day, {"from": FieldProblem.of("from", "day")}, 400)
    try:
        await stored.end(pool, principal_of(request), actor(request), policy_id, first_day)
    except REFUSED as error:
        return await _end(request, newest, day, *refusal(error))
    return done(f"{HERE}/{newest.id}", "ended")


async def _preview(request: ApiRequest, pool: Pool, entered: Filled) -> Preview:
    """What the terms would change if they applied to the whole current period. Raises 400 for invalid ones."""
    terms = {name: value for name, value in entered.body_of_new().items() if name != "validFrom"}
    policy = converted(terms, NewPolicy)
    today = (await page_texts(request)).local(datetime.now(UTC)).date()
    kind = policy.period if policy.period in ("quarter", "year") else "month"
    data = Simulation(period=containing(kind, today).text, policy=policy)
    return await sla_preview.preview(request, pool, data, today)


def _refusal(error: ApiError | DataError, entered: Filled) -> Refusal:
    """As `refusal`, with the rows of the form that the problems are in."""
    refused = refusal(error)
    if isinstance(error, ApiError) and error.details:
        return Refusal(rows.placed(error.details, entered.lists), refused.status)
    return refused


def _tomorrow(row: VersionRow) -> date:
    """The first day from which a new version can be valid."""
    return datetime.now(zone(row.time_zone)).date() + timedelta(days=1)


async def _form(
    request: ApiRequest,
    pool: Pool,
    entered: Filled,
    problems: Mapping[str, Problem] | None = None,
    status: int = 200,
    version: VersionRow | None = None,
    base: int | str | None = None,
    missed: policy_words.VersionEntry | None = None,
    more: str = "",
    preview: Preview | None = None,
) -> Template:
    """The form. `version`: the newest version of the policy, None for a new one. `base`: the version that the form was
    opened with; after a conflict was shown, the newest one. `more`: the list that gets another row. `preview`: None if
    there are no problems and nothing was previewed."""
    t = await page_texts(request)
    services = await service_choices(pool)
    return await page(
        request,
        "console/policy_form.html",
        status_code=status,
        filled=entered,
        hours=rows.padded(entered.hours, HoursRow(), more == "hours"),
        credits=rows.padded(entered.credits, CreditRow(), more == "credits"),
        version=version,
        base=base if base is not None else version.version if version is not None else None,
        problems=problems or {},
        missed=missed,
        services=services,
        tags=await known_tags(pool),
        calendars=await calendar_names(pool),
        zones=zones(t.zone, entered.values["timeZone"]),
        weekdays=[(str(n), t.weekdays()[n % policy_words.WEEK]) for n in range(1, 8)],
        choices=CHOICES,
        first_day=_tomorrow(version) if version is not None else None,
        preview=INVALID if problems else preview,
    )


async def _end(
    request: ApiRequest, newest: VersionRow, day: str, problems: Mapping[str, Problem] | None = None, status: int = 200
) -> Template:
    return await page(
        request,
        "console/policy_end.html",
        status_code=status,
        newest=newest,
        day=day,
        first_day=_tomorrow(newest),
        problems=problems or {},
    )


router = Router(
    "/",
    route_handlers=[
        policies,
        new_policy,
        create_policy,
        policy,
        edit_policy,
        change_policy,
        confirm_end,
        end_policy,
    ],
    include_in_schema=False,
)
