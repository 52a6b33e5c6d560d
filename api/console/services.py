"""/console/services: what is watched, how, and who sees it. What is declared as code is only shown."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, get_args

import msgspec
from litestar import Response, Router, get, post
from litestar.params import FromPath
from litestar.response import Template

from api.auth.permissions import shown_to
from api.auth.requests import ApiRequest
from api.cache.entries import Cacheable
from api.console import service_form
from api.console.rest import Said, rest
from api.console.service_form import Values
from api.console.submissions import confirmation, done, refusal, told
from api.pages.forms import read_form
from api.pages.site import page, page_texts
from api.rest.errors import ApiError
from api.rest.injected import Injected
from api.services.fields import Method, is_slug, warnings
from api.services.routes import StoredService
from sla_monitor.settings import Settings
from sql import Pool, database

CACHEABLE: tuple[Cacheable, ...] = ()
HERE = "/console/services"


class AdministeredService(msgspec.Struct):
    id: str
    name: str
    group_name: str
    endpoint_url: str
    enabled: bool
    public: bool
    declared_in: str | None
    interval_seconds: int
    state: str
    checked_at: datetime | None


@get(HERE, **shown_to("services:administer"))
async def services(request: ApiRequest, pool: Injected[Pool]) -> Template:
    return await page(
        request,
        "console/services.html",
        services=await database.rows(pool, "services/administered", AdministeredService),
        done=told(request, "services", "created", "created_denied", "saved", "saved_denied", "deleted"),
    )


@get(f"{HERE}/new", **shown_to("services:administer"))
async def new_service(request: ApiRequest, settings: Injected[Settings]) -> Template:
    return await _form(request, service_form.blank(settings))


@post(HERE, **shown_to("services:administer"))
async def create_service(request: ApiRequest) -> Response[Any]:
    values = service_form.of_form(await read_form(request))
    if wrong := service_form.problems(values, await page_texts(request)):
        return await _form(request, values, problems=wrong, status=400)
    said = await rest(request, "POST", "/api/services", service_form.body(values) | {"id": values["id"]})
    if wrong := refusal(said):
        return await _form(request, values, problems=wrong, status=said.status)
    return done(HERE, _outcome("created", said))


@get(HERE + "/{service_id:str}", **shown_to("services:administer"))
async def edit_service(request: ApiRequest, pool: Injected[Pool], service_id: FromPath[str]) -> Template:
    stored = await _service(pool, service_id)
    return await _form(request, service_form.of_service(stored), stored)


@post(HERE + "/{service_id:str}", **shown_to("services:administer"))
async def change_service(request: ApiRequest, pool: Injected[Pool], service_id: FromPath[str]) -> Response[Any]:
    form = await read_form(request)
    stored = await _service(pool, service_id)
    values = {**service_form.of_form(form), "id": stored.id}
    if wrong := service_form.problems(values, await page_texts(request)):
        return await _form(request, values, stored, wrong, 400)
    said = await rest(request, "PATCH", f"/api/services/{stored.id}", service_form.body(values))
    if wrong := refusal(said):
        return await _form(request, values, stored, wrong, said.status)
    return done(HERE, _outcome("saved", said))


@get(HERE + "/{service_id:str}/delete", **shown_to("services:administer"))
async def confirm_deletion(request: ApiRequest, pool: Injected[Pool], service_id: FromPath[str]) -> Template:
    stored = await _service(pool, service_id)
    return await confirmation(request, "services", stored.name, HERE)


@post(HERE + "/{service_id:str}/delete", **shown_to("services:administer"))
async def delete_service(request: ApiRequest, pool: Injected[Pool], service_id: FromPath[str]) -> Response[Any]:
    await read_form(request)
    stored = await _service(pool, service_id)
    said = await rest(request, "DELETE", f"/api/services/{stored.id}")
    if wrong := refusal(said):
        return await confirmation(request, "services", stored.name, HERE, wrong, said.status)
    return done(HERE, "deleted")


def _outcome(what: str, said: Said) -> str:
    """What the next page tells; the only warning that there is says that probes may not look at the service."""
    return f"{what}_denied" if said.body.get("warnings") else what


async def _form(
    request: ApiRequest,
    values: Values,
    stored: StoredService | None = None,
    problems: Mapping[str, str] | None = None,
    status: int = 200,
) -> Template:
    return await page(
        request,
        "console/service_form.html",
        status_code=status,
        values=values,
        stored=stored,
        denied=stored is not None and bool(warnings(stored, request.app.state.settings)),
        problems=problems or {},
        methods=get_args(Method),
    )


async def _service(pool: Pool, service_id: str) -> StoredService:
    known = await database.row(pool, "services/one", StoredService, id=service_id) if is_slug(service_id) else None
    if known is None:
        raise ApiError(404, "There is no such service")
    return known


router = Router(
    "/",
    route_handlers=[
        services,
        new_service,
        create_service,
        edit_service,
        change_service,
        confirm_deletion,
        delete_service,
    ],
    include_in_schema=False,
)
