"""The routes of services: the public list, and their administration."""

from typing import Annotated, Any

import msgspec
from litestar import Response, Router, delete, get, patch, post
from litestar.enums import RequestEncodingType
from litestar.openapi.spec import Example
from litestar.params import BodyKwarg, FromPath, JSONBody, QueryParameter
from psycopg.errors import CheckViolation
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

import sql
from api.auth.gatekeeper import actor, bearer_principal
from api.auth.permissions import authorise, requires
from api.auth.requests import ApiRequest
from api.cache.entries import Cacheable
from api.rest.errors import ApiError, FieldProblem, camel, invalid, responses
from api.rest.injected import Injected
from api.services.fields import (
    ALL_SYSTEMS,
    NewService,
    SavedService,
    Service,
    ServiceChange,
    ServiceName,
    complete,
    is_slug,
    problems,
    saved,
)
from sla_monitor.settings import Settings
from sql import Pool, database
from sql.database import Connection

CACHEABLE = tuple(
    Cacheable(path, frozenset({"services"}), private=frozenset({"details"}))
    for path in ("/api/services", "/api/system/services")
)
NewServiceBody = Annotated[
    NewService,
    BodyKwarg(
        media_type=RequestEncodingType.JSON,
        examples=[
            Example(value={"id": "shop", "name": "Shop", "endpointUrl": "https://shop.example/health", "tags": ["eu"]})
        ],
    ),
]


class ServiceList(msgspec.Struct):
    """The public services, sorted by name, after "All Systems"."""

    services: list[ServiceName]


class ServiceDetails(msgspec.Struct):
    """All services, including private ones, with all fields."""

    services: list[Service]


class StoredService(Service, kw_only=True):
    """A row of `services`. `declared_in`: the file that declares the service, or None."""

    declared_in: str | None

    def published(self) -> Service:
        return Service(**{name: getattr(self, name) for name in Service.__struct_fields__})


@get(
    ["/services", "/system/services"],
    summary="List services",
    tags=["services"],
    responses=responses(400, 401, 403, 429, 503),
    **requires("services:list"),
)
async def list_services(
    request: ApiRequest, pool: Injected[Pool], details: Annotated[bool, QueryParameter()] = False
) -> ServiceList | ServiceDetails:
    """`{id, name}` of the public services; with `?details=true` all services and fields, for admins."""
    if details:
        authorise(await bearer_principal(request), "services:administer")
        rows = await database.rows(pool, "services/all", StoredService)
        return ServiceDetails([row.published() for row in rows])
    return ServiceList([ALL_SYSTEMS, *await database.rows(pool, "services/names", ServiceName)])


@get(
    "/services/{service_id:str}",
    summary="Get a service",
    tags=["services"],
    responses=responses(400, 401, 403, 404, 429, 503),
    **requires("services:administer"),
)
async def get_service(pool: Injected[Pool], service_id: FromPath[str]) -> Service:
    """All fields of a public or private service, for admins."""
    _require_slug(service_id)
    row = await database.row(pool, "services/one", StoredService, id=service_id)
    return _found(row).published()


@post(
    "/services",
    summary="Create a service",
    tags=["services"],
    responses=responses(400, 401, 403, 409, 413, 415, 429, 503),
    **requires("services:administer"),
)
async def create_service(
    request: ApiRequest,
    pool: Injected[Pool],
    settings: Injected[Settings],
    data: NewServiceBody,
) -> Response[SavedService]:
    """Fields that are not given have their defaults. 409 if the id is taken. `warnings` says why the service cannot be
    probed."""
    service = _valid(complete(data, settings))
    async with database.transaction(pool, actor(request)) as connection:
        created = await _execute(connection, "services/create", service=Jsonb(service.columns()))
    if not created:
        raise ApiError(409, "There is a service with this id already", [FieldProblem("id", "is taken")])
    return Response(saved(service, settings), status_code=201, headers={"Location": f"/api/services/{service.id}"})


@patch(
    "/services/{service_id:str}",
    summary="Change a service",
    tags=["services"],
    responses=responses(400, 401, 403, 404, 409, 413, 415, 429, 503),
    **requires("services:administer"),
)
async def change_service(
    request: ApiRequest,
    pool: Injected[Pool],
    settings: Injected[Settings],
    service_id: FromPath[str],
    data: JSONBody[ServiceChange],
) -> SavedService:
    """Fields that are not given stay unchanged; null clears optional fields."""
    _require_slug(service_id)
    async with database.transaction(pool, actor(request)) as connection:
        current = _administered(await _locked(connection, service_id)).published()
        service = _valid(msgspec.structs.replace(current, **data.given()))
        await _execute(connection, "services/update", service=Jsonb(service.columns()))
    return saved(service, settings)


@delete(
    "/services/{service_id:str}",
    summary="Delete a service",
    tags=["services"],
    responses=responses(400, 401, 403, 404, 409, 429, 503),
    **requires("services:administer"),
)
async def delete_service(request: ApiRequest, pool: Injected[Pool], service_id: FromPath[str]) -> None:
    """Its checks stay until their retention ends. A new service with the same id has them again."""
    _require_slug(service_id)
    async with database.transaction(pool, actor(request)) as connection:
        _administered(await _locked(connection, service_id))
        await _execute(connection, "services/delete", id=service_id)


async def _locked(connection: Connection, service_id: str) -> StoredService | None:
    async with connection.cursor(row_factory=class_row(StoredService)) as cursor:
        await cursor.execute(sql.query("services/one"), {"id": service_id})
        return await cursor.fetchone()


async def _execute(connection: Connection, name: str, **values: Any) -> int:
    """Executes a query; the number of changed rows. Raises 400 for a violated constraint of the table."""
    try:
        return (await connection.execute(sql.query(name), values)).rowcount
    except CheckViolation as error:
        column = (error.diag.constraint_name or "").removeprefix("services_")
        raise invalid(FieldProblem(camel(column), "is not a value that can be stored")) from error


def _valid(service: Service) -> Service:
    if found := problems(service):
        raise invalid(*found)
    return service


def _require_slug(service_id: str) -> None:
    if not is_slug(service_id):
        raise ApiError(404, "There is no such service")


def _found(row: StoredService | None) -> StoredService:
    if row is None:
        raise ApiError(404, "There is no such service")
    return row


def _administered(row: StoredService | None) -> StoredService:
    """Raises 409 for a service that is declared in a file, since the next reading of the file would undo a change."""
    if _found(row).declared_in is not None:
        raise ApiError(409, f"This service is declared in {_found(row).declared_in}; change it there")
    return _found(row)


router = Router("/api", route_handlers=[list_services, get_service, create_service, change_service, delete_service])
