"""Services: the list for everybody, and all that can be set for those who administer them."""

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
from api.auth.gatekeeper import actor, identified
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
    """The public services by name, "All Systems" first."""

    services: list[ServiceName]


class ServiceDetails(msgspec.Struct):
    """Every service, private ones too, with all its fields."""

    services: list[Service]


class StoredService(Service, kw_only=True):
    """A row; `declared_in` is the file that declares it as code."""

    declared_in: str | None

    def published(self) -> Service:
        return Service(**{name: getattr(self, name) for name in Service.__struct_fields__})


@get(
    ["/services", "/system/services"],
    summary="The services",
    tags=["services"],
    responses=responses(400, 401, 403, 429, 503),
    **requires("services:list"),
)
async def list_services(
    request: ApiRequest, pool: Injected[Pool], details: Annotated[bool, QueryParameter()] = False
) -> ServiceList | ServiceDetails:
    """`{id, name}` pairs for everybody; `?details=true` gives those who administer them the rest."""
    if details:
        authorise(await identified(request), "services:administer")
        rows = await database.rows(pool, "services/all", StoredService)
        return ServiceDetails([row.published() for row in rows])
    return ServiceList([ALL_SYSTEMS, *await database.rows(pool, "services/names", ServiceName)])


@get(
    "/services/{service_id:str}",
    summary="One service with all its fields",
    tags=["services"],
    responses=responses(400, 401, 403, 404, 429, 503),
    **requires("services:administer"),
)
async def get_service(pool: Injected[Pool], service_id: FromPath[str]) -> Service:
    """Private services too: this is for those who administer them."""
    _require_slug(service_id)
    row = await database.row(pool, "services/one", StoredService, id=service_id)
    return _found(row).published()


@post(
    "/services",
    summary="Add a service",
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
    """What is not given has its default. 409 where the id is taken. `warnings` says why probes will not look at it."""
    service = _valid(complete(data, settings))
    async with database.transaction(pool, actor(request)) as connection:
        created = await _execute(connection, "services/create", service=Jsonb(service.columns()))
    if not created:
        raise ApiError(409, "There is a service with this id already", [FieldProblem("id", "is taken")])
    return Response(saved(service, settings), status_code=201, headers={"Location": f"/api/services/{service.id}"})


@patch(
    "/services/{service_id:str}",
    summary="Change some fields of a service",
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
    """Fields that are not given stay as they are; null empties those that can be empty."""
    _require_slug(service_id)
    async with database.transaction(pool, actor(request)) as connection:
        current = _administered(await _locked(connection, service_id)).published()
        service = _valid(msgspec.structs.replace(current, **data.given()))
        await _execute(connection, "services/update", service=Jsonb(service.columns()))
    return saved(service, settings)


@delete(
    "/services/{service_id:str}",
    summary="Remove a service",
    tags=["services"],
    responses=responses(400, 401, 403, 404, 409, 429, 503),
    **requires("services:administer"),
)
async def delete_service(request: ApiRequest, pool: Injected[Pool], service_id: FromPath[str]) -> None:
    """Its checks stay until their retention ends; a service entered again under the same id has them back."""
    _require_slug(service_id)
    async with database.transaction(pool, actor(request)) as connection:
        _administered(await _locked(connection, service_id))
        await _execute(connection, "services/delete", id=service_id)


async def _locked(connection: Connection, service_id: str) -> StoredService | None:
    async with connection.cursor(row_factory=class_row(StoredService)) as cursor:
        await cursor.execute(sql.query("services/one"), {"id": service_id})
        return await cursor.fetchone()


async def _execute(connection: Connection, name: str, **values: Any) -> int:
    """Rows changed. A constraint of the table that our own limits did not foresee is a 400 of its field too."""
    try:
        return (await connection.execute(sql.query(name), values)).rowcount
    except CheckViolation as error:
        column = (error.diag.constraint_name or "").removeprefix("services_")
        raise invalid(FieldProblem(camel(column), "is not a value that can be stored")) from error


def _valid(service: Service) -> Service:
    if wrong := problems(service):
        raise invalid(*wrong)
    return service


def _require_slug(service_id: str) -> None:
    if not is_slug(service_id):
        raise ApiError(404, "There is no such service")


def _found(row: StoredService | None) -> StoredService:
    if row is None:
        raise ApiError(404, "There is no such service")
    return row


def _administered(row: StoredService | None) -> StoredService:
    """A service whose home is a file is changed there: the next reading of the file would undo it."""
    if _found(row).declared_in is not None:
        raise ApiError(409, f"This service is declared in {_found(row).declared_in}; change it there")
    return _found(row)


router = Router("/api", route_handlers=[list_services, get_service, create_service, change_service, delete_service])
