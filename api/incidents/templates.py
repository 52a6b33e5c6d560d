"""Incident templates: named sets of values for new incidents. They contain no code and no placeholders."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Response, Router, delete, get, post, put
from litestar.params import JSONBody, PathParameter, QueryParameter
from msgspec import UNSET, Meta, UnsetType
from psycopg.rows import class_row

import sql
from api.auth.gatekeeper import actor
from api.auth.permissions import Principal, authorise, requires
from api.auth.requests import ApiRequest, principal_of
from api.cache.entries import Cacheable
from api.incidents.fields import Priority, Severity, TemplateData
from api.rest.constraints import constraint_errors
from api.rest.errors import BODY_ERRORS, ApiError, raise_problems
from api.rest.injected import Injected
from api.rest.moments import iso
from api.rest.pagination import PageNumber, PageSize, Pagination, read_page
from api.rest.problems import FieldProblem
from api.rest.texts import line_problems, repeated_problems, text_problems, uuid_or_none
from api.services.affected import require_services
from sql import Pool, database
from sql.database import Actor, Connection

CACHEABLE: tuple[Cacheable, ...] = ()
SERVICES = "data.affectedServices"
"""The field in error messages."""
Name = Annotated[str, Meta(min_length=1, max_length=100)]
Description = Annotated[str, Meta(max_length=2000)]


TemplatePath = Annotated[str, PathParameter(description="The id of a template")]


class TemplateChange(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The fields to change. Other fields stay unchanged; `data` is replaced as a whole."""

    name: Name | UnsetType = UNSET
    description: Description | UnsetType | None = UNSET
    data: TemplateData | UnsetType = UNSET


class NewTemplate(TemplateChange, kw_only=True):
    """A new template. `data`: the values of new incidents."""

    name: Name
    data: TemplateData


class Template(msgspec.Struct, rename="camel", kw_only=True):
    """A template. `createdBy`: the name of the user who created it; it stays after the user is deleted."""

    id: UUID
    name: str
    description: str | None
    data: TemplateData
    created_by: str
    created_at: str
    updated_at: str


class TemplateResponse(msgspec.Struct):
    data: Template


class TemplateList(msgspec.Struct):
    data: list[Template]
    pagination: Pagination


class StoredTemplate(msgspec.Struct, kw_only=True):
    id: UUID
    name: str
    description: str | None
    title: str
    severity: Severity
    priority: Priority
    affected_services: list[str]
    incident_description: str | None
    first_update: str | None
    created_by: UUID | None
    author: str
    created_at: datetime
    updated_at: datetime

    def published(self) -> Template:
        return Template(
            id=self.id,
            name=self.name,
            description=self.description,
            data=TemplateData(
                title=self.title,
                severity=self.severity,
                priority=self.priority,
                affected_services=self.affected_services,
                description=self.incident_description,
                update=self.first_update,
            ),
            created_by=self.author,
            created_at=iso(self.created_at),
            updated_at=iso(self.updated_at),
        )


@get(
    "/templates",
    summary="List incident templates",
    **requires("templates:read", 400),
)
async def list_templates(
    pool: Injected[Pool],
    search: Annotated[str, QueryParameter(max_length=200, description="A part of the name or description")] = "",
    page: PageNumber = 1,
    limit: PageSize = 10,
) -> TemplateList:
    """The templates, sorted by name. `search`: a part of the name or description, without regard to case."""
    rows, pagination = await listing(pool, page, limit, search)
    return TemplateList([row.published() for row in rows], pagination)


@get(
    "/templates/{template_id:str}",
    summary="Get an incident template",
    **requires("templates:read", 400, 404),
)
async def get_template(pool: Injected[Pool], template_id: TemplatePath) -> TemplateResponse:
    """The template may name services that have been deleted; new incidents are created without them."""
    return TemplateResponse((await one(pool, template_id)).published())


@post(
    "/templates",
    summary="Create an incident template",
    **requires("templates:write", 409, *BODY_ERRORS),
)
async def create_template(
    request: ApiRequest, pool: Injected[Pool], data: JSONBody[NewTemplate]
) -> Response[TemplateResponse]:
    """400 for services that do not exist. 409 if the name is taken, without regard to case."""
    row = await create(pool, principal_of(request), actor(request), data)
    content = TemplateResponse(row.published())
    return Response(content, status_code=201, headers={"Location": f"/api/templates/{row.id}"})


@put(
    "/templates/{template_id:str}",
    summary="Change an incident template",
    **requires("templates:write", 404, 409, *BODY_ERRORS),
)
async def change_template(
    request: ApiRequest,
    pool: Injected[Pool],
    template_id: TemplatePath,
    data: JSONBody[TemplateChange],
) -> TemplateResponse:
    """Fields that are not in the body stay unchanged; `data` is replaced as a whole. 409 if the name is taken."""
    return TemplateResponse((await change(pool, actor(request), template_id, data)).published())


@delete(
    "/templates/{template_id:str}",
    summary="Delete an incident template",
    **requires("templates:delete", 400, 404),
)
async def delete_template(request: ApiRequest, pool: Injected[Pool], template_id: TemplatePath) -> None:
    """Users can delete their own templates, admins any; 403 for others. Incidents that were created from it do not
    change."""
    await remove(pool, principal_of(request), actor(request), template_id)


async def listing(pool: Pool, page: int, limit: int, search: str = "") -> tuple[list[StoredTemplate], Pagination]:
    """One page of the templates, sorted by name. Raises 400 for an invalid search."""
    raise_problems(text_problems("search", search))
    return await read_page(pool, "templates", StoredTemplate, page, limit, search=search)


async def one(pool: Pool, template_id: str) -> StoredTemplate:
    """A template. Raises 404 if there is none."""
    return _found(await database.row(pool, "templates/one", StoredTemplate, id=uuid_or_none(template_id)))


async def create(pool: Pool, author: Principal, by: Actor, data: NewTemplate) -> StoredTemplate:
    """Creates a template. Raises 400 for invalid fields, 409 if the name is taken."""
    values = _columns(data) | {"created_by": author.user_id, "author": author.name}
    values.setdefault("description", None)
    async with database.transaction(pool, by) as connection:
        await require_services(connection, data.data.affected_services, SERVICES)
        row = await _one(connection, "templates/create", values)
    if row is None:
        raise _name_taken()
    return row


async def change(pool: Pool, by: Actor, template_id: str, data: TemplateChange) -> StoredTemplate:
    """Changes a template. Raises 400 for invalid fields, 404 if there is no such template, 409 if the name is taken."""
    changed = _columns(data)
    async with database.transaction(pool, by) as connection:
        current = await _locked(connection, template_id)
        if data.data is not UNSET:
            await require_services(connection, data.data.affected_services, SERVICES)
        row = await _one(connection, "templates/update", msgspec.structs.asdict(current) | changed)
    return _found(row)


async def remove(pool: Pool, principal: Principal, by: Actor, template_id: str) -> None:
    """Deletes a template. Raises 403 for the template of another user, unless `principal` is an admin; 404 if there is
    no such template."""
    async with database.transaction(pool, by) as connection:
        row = await _locked(connection, template_id)
        authorise(principal, "templates:delete", owner_id=row.created_by)
        await connection.execute(sql.query("templates/delete"), {"id": row.id})


def _columns(change: TemplateChange) -> dict[str, Any]:
    """The fields of the request, by column. Raises 400 for invalid texts."""
    columns: dict[str, Any] = {}
    problems: list[FieldProblem] = []
    if change.name is not UNSET:
        problems += line_problems("name", change.name)
        columns["name"] = change.name
    if change.description is not UNSET:
        problems += text_problems("description", change.description)
        columns["description"] = change.description
    if change.data is not UNSET:
        problems += _data_problems(change.data)
        columns |= {
            "title": change.data.title,
            "severity": change.data.severity,
            "priority": change.data.priority,
            "affected_services": change.data.affected_services,
            "incident_description": change.data.description,
            "first_update": change.data.update,
        }
    raise_problems(problems)
    return columns


def _data_problems(data: TemplateData) -> list[FieldProblem]:
    found = line_problems("data.title", data.title)
    found += text_problems("data.description", data.description)
    found += text_problems("data.update", data.update)
    return found + repeated_problems(SERVICES, data.affected_services)


async def _locked(connection: Connection, template_id: str) -> StoredTemplate:
    """Locks the template until the end of the transaction. Raises 404."""
    key = uuid_or_none(template_id)
    await connection.execute("SELECT FROM templates WHERE id = %s FOR NO KEY UPDATE", [key])
    return _found(await _one(connection, "templates/one", {"id": key}))


async def _one(connection: Connection, name: str, values: dict[str, Any]) -> StoredTemplate | None:
    with constraint_errors():
        async with connection.cursor(row_factory=class_row(StoredTemplate)) as cursor:
            await cursor.execute(sql.query(name), values)
            return await cursor.fetchone()


def _found(row: StoredTemplate | None) -> StoredTemplate:
    if row is None:
        raise ApiError(404, "unknown_template_id")
    return row


def _name_taken() -> ApiError:
    return ApiError(409, "template_exists", [FieldProblem.of("name", "taken")])


router = Router(
    "/api",
    route_handlers=[list_templates, get_template, create_template, change_template, delete_template],
    tags=["incidents"],
)
