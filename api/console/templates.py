"""/console/templates: what incidents may start from."""

from collections.abc import Mapping
from typing import Any, get_args

from litestar import Request, Response, Router, get, post
from litestar.datastructures import State
from litestar.params import FromPath
from litestar.response import Template

from api import database
from api.answers import Cacheable
from api.console.rest import rest
from api.console.submissions import PageNumber, confirmation, done, refusal, service_choices, told
from api.errors import ApiError
from api.incident_fields import Priority, Severity
from api.pages.forms import Form, read_form
from api.pages.site import page
from api.pagination import Pagination
from api.security import authorise, shown_to
from api.templates import StoredTemplate
from api.texts import uuid_or_none

ANSWERS: tuple[Cacheable, ...] = ()
HERE = "/console/templates"
A_PAGE = 20
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
_Request = Request[Any, Any, Any]


@get(HERE, **shown_to("templates:read"))
async def templates(request: _Request, state: State, number: PageNumber = 1) -> Template:
    total = await database.count(state.pool, "templates/count", search="")
    asked = {"search": "", "limit": A_PAGE, "offset": (number - 1) * A_PAGE}
    return await page(
        request,
        "console/templates.html",
        rows=await database.rows(state.pool, "templates/search", StoredTemplate, **asked),
        pagination=Pagination.of(number, A_PAGE, total),
        done=told(request, "templates", "created", "saved", "deleted"),
    )


@get(f"{HERE}/new", **shown_to("templates:write"))
async def new_template(request: _Request, state: State) -> Template:
    return await _form(request, state, NEW)


@post(HERE, **shown_to("templates:write"))
async def create_template(request: _Request, state: State) -> Response[Any]:
    body = _body(await read_form(request))
    said = await rest(request, "POST", "/api/templates", body)
    if wrong := refusal(said):
        return await _form(request, state, body, wrong, said.status)
    return done(HERE, "created")


@get(HERE + "/{template_id:str}", **shown_to("templates:write"))
async def edit_template(request: _Request, state: State, template_id: FromPath[str]) -> Template:
    row = await _template(state, template_id)
    data = {
        "title": row.title,
        "severity": row.severity,
        "priority": row.priority,
        "affectedServices": row.affected_services,
        "description": row.incident_description,
        "update": row.first_update,
    }
    values = {"name": row.name, "description": row.description, "data": data}
    return await _form(request, state, values, template_id=row.id)


@post(HERE + "/{template_id:str}", **shown_to("templates:write"))
async def change_template(request: _Request, state: State, template_id: FromPath[str]) -> Response[Any]:
    body = _body(await read_form(request))
    row = await _template(state, template_id)
    said = await rest(request, "PUT", f"/api/templates/{row.id}", body)
    if wrong := refusal(said):
        return await _form(request, state, body, wrong, said.status, row.id)
    return done(HERE, "saved")


@get(HERE + "/{template_id:str}/delete", **shown_to("templates:delete"))
async def confirm_deletion(request: _Request, state: State, template_id: FromPath[str]) -> Template:
    row = await _template(state, template_id)
    authorise(request.user, "templates:delete", owner_id=row.created_by)
    return await confirmation(request, "templates", row.name, HERE)


@post(HERE + "/{template_id:str}/delete", **shown_to("templates:delete"))
async def delete_template(request: _Request, state: State, template_id: FromPath[str]) -> Response[Any]:
    await read_form(request)
    row = await _template(state, template_id)
    said = await rest(request, "DELETE", f"/api/templates/{row.id}")
    if wrong := refusal(said):
        return await confirmation(request, "templates", row.name, HERE, wrong, said.status)
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
    request: _Request,
    state: State,
    values: Mapping[str, Any],
    problems: Mapping[str, str] | None = None,
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
        services=await service_choices(state),
        severities=get_args(Severity),
        priorities=get_args(Priority),
    )


async def _template(state: State, template_id: str) -> StoredTemplate:
    row = await database.row(state.pool, "templates/one", StoredTemplate, id=uuid_or_none(template_id))
    if row is None:
        raise ApiError(404, "There is no such template")
    return row


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
