"""Services: the list for everybody, and all that can be set for those who administer them."""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, TypeVar

import msgspec
from litestar import Response, Router, delete, get, patch, post
from litestar.enums import RequestEncodingType
from litestar.openapi.spec import Example
from litestar.params import BodyKwarg, FromPath, JSONBody, QueryParameter
from psycopg.errors import CheckViolation
from psycopg.rows import kwargs_row
from psycopg.types.json import Jsonb

import sql
from api.auth.gatekeeper import actor, identified
from api.auth.permissions import authorise, requires
from api.auth.requests import ApiRequest
from api.cache.entries import Cacheable
from api.rest.bodies import not_valid
from api.rest.errors import ApiError, FieldProblem, camel, invalid, responses
from api.rest.injected import Injected
from api.services.fields import (
    ALL_SYSTEMS,
    FAMILIES,
    AnySavedService,
    AnyService,
    Service,
    ServiceName,
    change,
    complete,
    is_slug,
    problems,
    read_new,
    saved,
    stored,
)
from sla_monitor.settings import Settings
from sql import Pool, database
from sql.database import Connection

ANSWERS = tuple(
    Cacheable(path, frozenset({"services"}), private=frozenset({"details"}))
    for path in ("/api/services", "/api/system/services")
)
NewServiceBody = Annotated[
    dict[str, Any],
    BodyKwarg(
        media_type=RequestEncodingType.JSON,
        examples=[
            Example(value={"id": "shop", "name": "Shop", "endpointUrl": "https://shop.example/health", "tags": ["eu"]})
        ],
    ),
]


Read = TypeVar("Read")


class ServiceList(msgspec.Struct):
    """The public services by name, "All Systems" first."""

    services: list[ServiceName]


class ServiceDetails(msgspec.Struct):
    """Every service, private ones too, with all its fields."""

    services: list[AnyService]


class StoredService(msgspec.Struct):
    """A row; `declared_in` is the file that declares it as code."""

    service: Service
    declared_in: str | None

    @classmethod
    def of_row(cls, declared_in: str | None, **row: Any) -> "StoredService":
        return cls(stored(row), declared_in)


async def stored_service(pool: Pool, service_id: str) -> StoredService | None:
    """The service of that id, if there is one."""
    rows = await _stored_services(pool, "services/one", id=service_id)
    return rows[0] if rows else None


async def _stored_services(pool: Pool, name: str, **values: Any) -> list[StoredService]:
    async def ask(connection: Connection) -> list[StoredService]:
        async with connection.cursor(row_factory=kwargs_row(StoredService.of_row)) as cursor:
            await cursor.execute(sql.query(name), values)
            return await cursor.fetchall()

    return await database.retrying(pool, ask)


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
        return ServiceDetails([row.service for row in await _stored_services(pool, "services/all")])
    return ServiceList([ALL_SYSTEMS, *await database.rows(pool, "services/names", ServiceName)])


@get(
    "/services/{service_id:str}",
    summary="One service with all its fields",
    tags=["services"],
    responses=responses(400, 401, 403, 404, 429, 503),
    **requires("services:administer"),
)
async def get_service(pool: Injected[Pool], service_id: FromPath[str]) -> AnyService:
    """Private services too: this is for those who administer them."""
    _require_slug(service_id)
    return _found(await stored_service(pool, service_id)).service


@post(
    "/services",
    summary="Add a service",
    tags=["services"],
    responses=responses(400, 401, 403, 409, 413, 415, 429, 503),
    **requires("services:administer", body=tuple(family.new for family in FAMILIES.values())),
)
async def create_service(
    request: ApiRequest,
    pool: Injected[Pool],
    settings: Injected[Settings],
    data: NewServiceBody,
) -> Response[AnySavedService]:
    """What is not given has its default. 409 where the id is taken. `warnings` says why probes will not look at it."""
    service = _valid(complete(_read(read_new, data), settings))
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
    **requires("services:administer", body=tuple(family.change for family in FAMILIES.values())),
)
async def change_service(
    request: ApiRequest,
    pool: Injected[Pool],
    settings: Injected[Settings],
    service_id: FromPath[str],
    data: JSONBody[dict[str, Any]],
) -> AnySavedService:
    """Fields that are not given stay as they are; null empties those that can be empty. Another `type` begins with the
    defaults of that type."""
    _require_slug(service_id)
    async with database.transaction(pool, actor(request)) as connection:
        current = _administered(await _locked(connection, service_id)).service
        service = _valid(_read(partial(change, current), data))
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
    async with connection.cursor(row_factory=kwargs_row(StoredService.of_row)) as cursor:
        await cursor.execute(sql.query("services/one"), {"id": service_id})
        return await cursor.fetchone()


async def _execute(connection: Connection, name: str, **values: Any) -> int:
    """Rows changed. A constraint of the table that our own limits did not foresee is a 400 of its field too."""
    try:
        return (await connection.execute(sql.query(name), values)).rowcount
    except CheckViolation as error:
        column = (error.diag.constraint_name or "").removeprefix("services_")
        raise invalid(FieldProblem(camel(column), "is not a value that can be stored")) from error


def _read(read: Callable[[dict[str, Any]], Read], body: dict[str, Any]) -> Read:
    try:
        return read(body)
    except msgspec.ValidationError as error:
        raise not_valid(error) from None


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
