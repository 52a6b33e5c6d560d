"""/console/templates: templates for new incidents."""

from collections.abc import Mapping
from typing import Any, get_args

from litestar import Response, Router, get, post
from litestar.params import FromPath
from litestar.response import Template

from api.auth.gatekeeper import actor
from api.auth.permissions import authorise, shown_to
from api.auth.requests import ApiRequest, principal_of
from api.cache.entries import Cacheable
from api.console.submissions import REFUSED, PageNumber, confirmation, done, done_key, refusal, service_choices
from api.incidents import templates as stored
from api.incidents.fields import Priority, Severity
from api.pages.forms import Form, read_form
from api.pages.problems import Problem
from api.pages.site import page
from api.rest.injected import Injected
from api.rest.validation import converted
from sql import Pool

CACHEABLE: tuple[Cacheable, ...] = ()
HERE = "/console/templates"
PAGE_SIZE = 20
NEW: Mapping[str, Any] = {
    "name": "",
    "description": None,
    "data": {
        "title": "",
        "severity": "medium",
        "priority": "P2",
        "affectedServices": [],
        "description": None,
        "update": None,
    },
}


@get(HERE, **shown_to("templates:read"))
async def templates(request: ApiRequest, pool: Injected[Pool], number: PageNumber = 1) -> Template:
    rows, pagination = await stored.listing(pool, number, PAGE_SIZE)
    return await page(
        request,
        "console/templates.html",
        rows=rows,
        pagination=pagination,
        done=done_key(request, "templates", "created", "saved", "deleted"),
    )


@get(f"{HERE}/new", **shown_to("templates:write"))
async def new_template(request: ApiRequest, pool: Injected[Pool]) -> Template:
    return await _form(request, pool, NEW)


@post(HERE, **shown_to("templates:write"))
async def create_template(request: ApiRequest, pool: Injected[Pool]) -> Response[Any]:
    body = _body(await read_form(request))
    try:
        new = converted(body, stored.NewTemplate)
        await stored.create(pool, principal_of(request), actor(request), new)
    except REFUSED as error:
        return await _form(request, pool, body, *refusal(error))
    return done(HERE, "created")


@get(HERE + "/{template_id:str}", **shown_to("templates:write"))
async def edit_template(request: ApiRequest, pool: Injected[Pool], template_id: FromPath[str]) -> Template:
    row = await stored.one(pool, template_id)
    data = {
        "title": row.title,
        "severity": row.severity,
        "priority": row.priority,
        "affectedServices": row.affected_services,
        "description": row.incident_description,
        "update": row.first_update,
    }
    values = {"name": row.name, "description": row.description, "data": data}
    return await _form(request, pool, values, template_id=row.id)


@post(HERE + "/{template_id:str}", **shown_to("templates:write"))
async def change_template(request: ApiRequest, pool: Injected[Pool], template_id: FromPath[str]) -> Response[Any]:
    body = _body(await read_form(request))
    row = await stored.one(pool, template_id)
    try:
        await stored.change(pool, actor(request), template_id, converted(body, stored.TemplateChange))
    except REFUSED as error:
        return await _form(request, pool, body, *refusal(error), row.id)
    return done(HERE, "saved")


@get(HERE + "/{template_id:str}/delete", **shown_to("templates:delete"))
async def confirm_deletion(request: ApiRequest, pool: Injected[Pool], template_id: FromPath[str]) -> Template:
    row = await stored.one(pool, template_id)
    authorise(request.user, "templates:delete", owner_id=row.created_by)
    return await confirmation(request, "templates", row.name, HERE)


@post(HERE + "/{template_id:str}/delete", **shown_to("templates:delete"))
async def delete_template(request: ApiRequest, pool: Injected[Pool], template_id: FromPath[str]) -> Response[Any]:
    await read_form(request)
    row = await stored.one(pool, template_id)
    try:
        await stored.remove(pool, principal_of(request), actor(request), template_id)
    except REFUSED as error:
        return await confirmation(request, "templates", row.name, HERE, *refusal(error))
    return done(HERE, "deleted")


def _body(form: Form) -> dict[str, Any]:
    data = {
        "title": form.text("data.title"),
        "severity": form.text("data.severity"),
        "priority": form.text("data.priority"),
        "affectedServices": form.texts("data.affectedServices"),
        "description": form.optional("data.description"),
        "update": form.optional("data.update"),
    }
    return {"name": form.text("name"), "description": form.optional("description"), "data": data}


async def _form(
    request: ApiRequest,
    pool: Pool,
    values: Mapping[str, Any],
    problems: Mapping[str, Problem] | None = None,
    status: int = 200,
    template_id: Any = None,
) -> Template:
    return await page(
        request,
        "console/template_form.html",
        status_code=status,
        template_id=template_id,
        values=values,
        data=values["data"],
        problems=problems or {},
        services=await service_choices(pool),
        severities=get_args(Severity),
        priorities=get_args(Priority),
    )


router = Router(
    "/",
    route_handlers=[
        templates,
        new_template,
        create_template,
        edit_template,
        change_template,
        confirm_deletion,
        delete_template,
    ],
    include_in_schema=False,
)
