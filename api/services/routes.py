"""Services: the list for everybody, and all that can be set for those who administer them."""

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from litestar import Response, Router, delete, get, patch, post
from litestar.enums import RequestEncodingType
from litestar.openapi.spec import Example
from litestar.params import BodyKwarg, FromPath, JSONBody, QueryParameter
from psycopg.rows import kwargs_row
from psycopg.types.json import Jsonb

import sql
from api.auth.gatekeeper import actor, identified
from api.auth.permissions import authorise, requires
from api.auth.requests import ApiRequest
from api.cache.entries import Cacheable
from api.rest.constraints import constraint_errors
from api.rest.errors import ApiError, invalid, responses
from api.rest.injected import Injected
from api.rest.problems import FieldProblem
from api.services.fields import (
    ALL_SYSTEMS,
    FAMILIES,
    AnySavedService,
    AnyService,
    Service,
    ServiceName,
    changed,
    complete,
    is_slug,
    problems,
    read_new,
    saved,
    stored,
)
from sla_monitor.settings import Settings
from sql import Pool, database
from sql.database import Actor, Connection

CACHEABLE = tuple(
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
    return (await one(pool, service_id)).service


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
    service = await create(pool, settings, actor(request), data)
    return Response(service, status_code=201, headers={"Location": f"/api/services/{service.id}"})


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
    return await change(pool, settings, actor(request), service_id, data)


@delete(
    "/services/{service_id:str}",
    summary="Remove a service",
    tags=["services"],
    responses=responses(400, 401, 403, 404, 409, 429, 503),
    **requires("services:administer"),
)
async def delete_service(request: ApiRequest, pool: Injected[Pool], service_id: FromPath[str]) -> None:
    """Its checks stay until their retention ends; a service entered again under the same id has them back."""
    await remove(pool, actor(request), service_id)


async def one(pool: Pool, service_id: str) -> StoredService:
    """Raises 404 where there is no such service."""
    _require_slug(service_id)
    return _found(await stored_service(pool, service_id))


async def create(pool: Pool, settings: Settings, by: Actor, data: Mapping[str, Any]) -> AnySavedService:
    """Raises 400 for what is not valid, 409 where the id is taken."""
    service = _valid(complete(read_new(data), settings))
    async with database.transaction(pool, by) as connection:
        created = await _execute(connection, "services/create", service=Jsonb(service.columns()))
    if not created:
        raise ApiError(409, "service_exists", [FieldProblem.of("id", "taken")])
    return saved(service, settings)


async def change(
    pool: Pool, settings: Settings, by: Actor, service_id: str, data: Mapping[str, Any]
) -> AnySavedService:
    """Raises 400 for what is not valid, 404 where the service is gone, 409 where a file declares it."""
    _require_slug(service_id)
    async with database.transaction(pool, by) as connection:
        current = _administered(await _locked(connection, service_id)).service
        service = _valid(changed(current, data))
        await _execute(connection, "services/update", service=Jsonb(service.columns()))
    return saved(service, settings)


async def remove(pool: Pool, by: Actor, service_id: str) -> None:
    """Raises 404 where the service is gone, 409 where a file declares it."""
    _require_slug(service_id)
    async with database.transaction(pool, by) as connection:
        _administered(await _locked(connection, service_id))
        await _execute(connection, "services/delete", id=service_id)


async def _locked(connection: Connection, service_id: str) -> StoredService | None:
    async with connection.cursor(row_factory=kwargs_row(StoredService.of_row)) as cursor:
        await cursor.execute(sql.query("services/one"), {"id": service_id})
        return await cursor.fetchone()


async def _execute(connection: Connection, name: str, **values: Any) -> int:
    """Rows changed. Raises 400 where the table's constraints refuse a value."""
    with constraint_errors():
        return (await connection.execute(sql.query(name), values)).rowcount


def _valid(service: Service) -> Service:
    if wrong := problems(service):
        raise invalid(*wrong)
    return service


def _require_slug(service_id: str) -> None:
    if not is_slug(service_id):
        raise ApiError(404, "unknown_service_id")


def _found(row: StoredService | None) -> StoredService:
    if row is None:
        raise ApiError(404, "unknown_service_id")
    return row


def _administered(row: StoredService | None) -> StoredService:
    """A service whose home is a file is changed there: the next reading of the file would undo it."""
    if (declared_in := _found(row).declared_in) is not None:
        raise ApiError(409, "declared", file=declared_in)
    return _found(row)


router = Router("/api", route_handlers=[list_services, get_service, create_service, change_service, delete_service])
