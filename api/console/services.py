"""/console/services: what is watched, how, and who sees it. What is declared as code is only shown."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
from litestar import Response, Router, get, post
from litestar.params import FromPath
from litestar.response import Template

from api.auth.gatekeeper import actor
from api.auth.permissions import shown_to
from api.auth.requests import ApiRequest
from api.cache.entries import Cacheable
from api.console import service_form
from api.console.service_form import Values
from api.console.submissions import REFUSED, confirmation, done, done_key, refusal
from api.pages.forms import read_form
from api.pages.problems import Problem
from api.pages.site import page, page_texts
from api.rest.injected import Injected
from api.services import routes
from api.services.fields import AnySavedService, warnings
from api.services.heartbeats import heartbeat_of, rotate
from api.services.routes import StoredService
from sla_monitor.checks import CHECK_TYPES, read_config
from sla_monitor.settings import Settings
from sql import Pool, database

CACHEABLE: tuple[Cacheable, ...] = ()
HERE = "/console/services"


class AdministeredService(msgspec.Struct):
    id: str
    name: str
    group_name: str
    check_config: dict[str, Any]
    enabled: bool
    public: bool
    declared_in: str | None
    interval_seconds: int
    state: str
    checked_at: datetime | None

    @property
    def target(self) -> str:
        return read_config(self.check_config).target


@get(HERE, **shown_to("services:administer"))
async def services(request: ApiRequest, pool: Injected[Pool]) -> Template:
    return await page(
        request,
        "console/services.html",
        services=await database.rows(pool, "services/administered", AdministeredService),
        done=done_key(request, "services", "created", "created_denied", "saved", "saved_denied", "deleted"),
    )


@get(f"{HERE}/new", **shown_to("services:administer"))
async def new_service(request: ApiRequest, pool: Injected[Pool], settings: Injected[Settings]) -> Template:
    check_type = service_form.known_type(request.query_params.get("type"))
    return await _form(request, pool, settings, service_form.blank(settings, check_type))


@post(HERE, **shown_to("services:administer"))
async def create_service(request: ApiRequest, pool: Injected[Pool], settings: Injected[Settings]) -> Response[Any]:
    form = await read_form(request)
    values = service_form.of_form(form, service_form.known_type(form.text("type")))
    if wrong := service_form.problems(values, await page_texts(request)):
        return await _form(request, pool, settings, values, problems=wrong, status=400)
    try:
        created = await routes.create(pool, settings, actor(request), service_form.body(values) | {"id": values["id"]})
    except REFUSED as error:
        refused = refusal(error)
        return await _form(request, pool, settings, values, problems=refused.problems, status=refused.status)
    return done(HERE, _outcome("created", created))


@get(HERE + "/{service_id:str}", **shown_to("services:administer"))
async def edit_service(
    request: ApiRequest, pool: Injected[Pool], settings: Injected[Settings], service_id: FromPath[str]
) -> Template:
    stored = await routes.one(pool, service_id)
    return await _form(request, pool, settings, service_form.of_service(stored.service), stored)


@post(HERE + "/{service_id:str}", **shown_to("services:administer"))
async def change_service(
    request: ApiRequest, pool: Injected[Pool], settings: Injected[Settings], service_id: FromPath[str]
) -> Response[Any]:
    form = await read_form(request)
    stored = await routes.one(pool, service_id)
    values = {**service_form.of_form(form, stored.service.type), "id": stored.service.id}
    if wrong := service_form.problems(values, await page_texts(request)):
        return await _form(request, pool, settings, values, stored, wrong, 400)
    try:
        changed = await routes.change(pool, settings, actor(request), stored.service.id, service_form.body(values))
    except REFUSED as error:
        refused = refusal(error)
        return await _form(request, pool, settings, values, stored, refused.problems, refused.status)
    return done(HERE, _outcome("saved", changed))


@post(HERE + "/{service_id:str}/key", **shown_to("services:administer"))
async def rotate_key(request: ApiRequest, pool: Injected[Pool], service_id: FromPath[str]) -> Response[Any]:
    """Replaces the key by which a job reports."""
    await read_form(request)
    heartbeat = await rotate(pool, actor(request), service_id)
    return done(f"{HERE}/{heartbeat.service_id}", "rotated")


@get(HERE + "/{service_id:str}/delete", **shown_to("services:administer"))
async def confirm_deletion(request: ApiRequest, pool: Injected[Pool], service_id: FromPath[str]) -> Template:
    stored = await routes.one(pool, service_id)
    return await confirmation(request, "services", stored.service.name, HERE)


@post(HERE + "/{service_id:str}/delete", **shown_to("services:administer"))
async def delete_service(request: ApiRequest, pool: Injected[Pool], service_id: FromPath[str]) -> Response[Any]:
    await read_form(request)
    stored = await routes.one(pool, service_id)
    try:
        await routes.remove(pool, actor(request), stored.service.id)
    except REFUSED as error:
        return await confirmation(request, "services", stored.service.name, HERE, *refusal(error))
    return done(HERE, "deleted")


def _outcome(what: str, service: AnySavedService) -> str:
    """The value of `?done=`. The only warning of a service is that its address is denied to probers."""
    return f"{what}_denied" if service.warnings else what


async def _form(
    request: ApiRequest,
    pool: Pool,
    settings: Settings,
    values: Values,
    stored: StoredService | None = None,
    problems: Mapping[str, Problem] | None = None,
    status: int = 200,
) -> Template:
    heartbeat = None
    if stored is not None and stored.service.type == "heartbeat":
        heartbeat = await heartbeat_of(pool, stored.service.id)
    site = settings.site_url or str(request.base_url)
    return await page(
        request,
        "console/service_form.html",
        status_code=status,
        heartbeat=heartbeat,
        ping_url=f"{site.rstrip('/')}/ping/{heartbeat.ping_key}" if heartbeat is not None else None,
        done=done_key(request, "services", "rotated"),
        probed=CHECK_TYPES[values["type"]].PROBED,
        values=values,
        stored=stored,
        denied=stored is not None and bool(warnings(stored.service, settings)),
        problems=problems or {},
        fields=service_form.fields(values["type"]),
        types={name: kind.LABEL for name, kind in CHECK_TYPES.items()},
    )


router = Router(
    "/",
    route_handlers=[
        services,
        new_service,
        create_service,
        edit_service,
        change_service,
        rotate_key,
        confirm_deletion,
        delete_service,
    ],
    include_in_schema=False,
)
