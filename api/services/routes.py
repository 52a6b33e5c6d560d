"""The routes of services: the public list, and administration."""

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from litestar import Response, Router, delete, get, patch, post
from litestar.enums import RequestEncodingType
from litestar.openapi.spec import Example
from litestar.params import BodyKwarg, JSONBody, QueryParameter
from psycopg.rows import kwargs_row
from psycopg.types.json import Jsonb

import sql
from api.auth.gatekeeper import actor, bearer_principal
from api.auth.permissions import authorise, requires
from api.auth.requests import ApiRequest
from api.cache.entries import Cacheable
from api.rest.constraints import constraint_errors
from api.rest.errors import BODY_ERRORS, ApiError, raise_problems
from api.rest.injected import Injected
from api.rest.problems import FieldProblem
from api.services.fields import (
    FAMILIES,
    AnySavedService,
    AnyService,
    Service,
    changed,
    complete,
    problems,
    read_new,
    saved,
    stored,
)
from api.services.names import ALL_SYSTEMS, ServiceName, ServicePath, is_slug
from api.services.tag_policies import lock_tag_policies, require_one_tag_policy
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
Details = Annotated[bool, QueryParameter(description="All services with all fields, for admins")]


class ServiceList(msgspec.Struct):
    """The public services, sorted by name, after "All Systems"."""

    services: list[ServiceName]


class ServiceDetails(msgspec.Struct):
    """All services, including private ones, with all fields."""

    services: list[AnyService]


class StoredService(msgspec.Struct):
    """A service and the file that declares it, or None."""

    service: Service
    declared_in: str | None

    @classmethod
    def of_row(cls, declared_in: str | None, **row: Any) -> "StoredService":
        return cls(stored(row), declared_in)


async def stored_service(pool: Pool, service_id: str) -> StoredService | None:
    """The service with this id, or None."""
    rows = await _stored_services(pool, "services/one", id=service_id)
    return rows[0] if rows else None


async def _stored_services(pool: Pool, name: str, **values: Any) -> list[StoredService]:
    async def read(connection: Connection) -> list[StoredService]:
        async with connection.cursor(row_factory=kwargs_row(StoredService.of_row)) as cursor:
            await cursor.execute(sql.query(name), values)
            return await cursor.fetchall()

    return await database.retrying(pool, read)


@get(
    ["/services", "/system/services"],
    summary="List services",
    **requires("services:list", 400, 401, 403),
)
async def list_services(
    request: ApiRequest,
    pool: Injected[Pool],
    details: Details = False,
) -> ServiceList | ServiceDetails:
    """The ids and names of the public services, after `all-systems`. With `details=true`: all services with all fields,
    for admins; 401 or 403 for others."""
    if details:
        authorise(await bearer_principal(request), "services:administer")
        return ServiceDetails([row.service for row in await _stored_services(pool, "services/all")])
    return ServiceList([ALL_SYSTEMS, *await database.rows(pool, "services/names", ServiceName)])


@get(
    "/services/{service_id:str}",
    summary="Get a service",
    **requires("services:administer", 400, 404),
)
async def get_service(pool: Injected[Pool], service_id: ServicePath) -> AnyService:
    """All fields of a public or private service."""
    return (await one(pool, service_id)).service


@post(
    "/services",
    summary="Create a service",
    **requires("services:administer", 409, *BODY_ERRORS, body=tuple(family.new for family in FAMILIES.values())),
)
async def create_service(
    request: ApiRequest,
    pool: Injected[Pool],
    settings: Injected[Settings],
    data: NewServiceBody,
) -> Response[AnySavedService]:
    """Fields that are not in the body have their defaults. 409 if the id is taken, or if two of the tags have an SLA
    policy. `warnings`: why the service cannot be probed."""
    service = await create(pool, settings, actor(request), data)
    return Response(service, status_code=201, headers={"Location": f"/api/services/{service.id}"})


@patch(
    "/services/{service_id:str}",
    summary="Change a service",
    **requires(
        "services:administer", 404, 409, *BODY_ERRORS, body=tuple(family.change for family in FAMILIES.values())
    ),
)
async def change_service(
    request: ApiRequest,
    pool: Injected[Pool],
    settings: Injected[Settings],
    service_id: ServicePath,
    data: JSONBody[dict[str, Any]],
) -> AnySavedService:
    """Fields that are not in the body stay unchanged; null clears an optional field. After a change of `type`, the
    fields of the new type have their defaults. 409 if services.toml declares the service, or if two of the tags have an
    SLA policy."""
    return await change(pool, settings, actor(request), service_id, data)


@delete(
    "/services/{service_id:str}",
    summary="Delete a service",
    **requires("services:administer", 400, 404, 409),
)
async def delete_service(request: ApiRequest, pool: Injected[Pool], service_id: ServicePath) -> None:
    """The checks of the service stay until their retention ends. A new service with the same id gets them. 409 if
    services.toml declares the service."""
    await remove(pool, actor(request), service_id)


async def one(pool: Pool, service_id: str) -> StoredService:
    """The service with this id. Raises 404 if there is none."""
    _require_slug(service_id)
    return _found(await stored_service(pool, service_id))


async def create(pool: Pool, settings: Settings, by: Actor, data: Mapping[str, Any]) -> AnySavedService:
    """Creates a service. Raises 400 for invalid values, 409 if the id is taken or two tags have an SLA policy."""
    service = _valid(complete(read_new(data), settings))
    async with database.transaction(pool, by) as connection:
        await lock_tag_policies(connection, [service])
        if not await _execute(connection, "services/create", service=Jsonb(service.columns())):
            raise ApiError(409, "service_exists", [FieldProblem.of("id", "taken")])
        await require_one_tag_policy(connection, [service])
    return saved(service, settings)


async def change(
    pool: Pool, settings: Settings, by: Actor, service_id: str, data: Mapping[str, Any]
) -> AnySavedService:
    """Changes a service. Raises 400 for invalid values, 404 if there is no such service, 409 if a file declares it or
    two tags have an SLA policy."""
    _require_slug(service_id)
    async with database.transaction(pool, by) as connection:
        current = _changeable(await _locked(connection, service_id)).service
        service = _valid(changed(current, data))
        await lock_tag_policies(connection, [service])
        await _execute(connection, "services/update", service=Jsonb(service.columns()))
        await require_one_tag_policy(connection, [service])
    return saved(service, settings)


async def remove(pool: Pool, by: Actor, service_id: str) -> None:
    """Deletes a service. Raises 404 if there is no such service, 409 if a file declares it."""
    _require_slug(service_id)
    async with database.transaction(pool, by) as connection:
        _changeable(await _locked(connection, service_id))
        await _execute(connection, "services/delete", id=service_id)


async def _locked(connection: Connection, service_id: str) -> StoredService | None:
    """Locks the service until the end of the transaction and reads it."""
    await connection.execute(sql.query("services/lock"), {"id": service_id})
    async with connection.cursor(row_factory=kwargs_row(StoredService.of_row)) as cursor:
        await cursor.execute(sql.query("services/one"), {"id": service_id})
        return await cursor.fetchone()


async def _execute(connection: Connection, name: str, **values: Any) -> int:
    """Executes a query. Returns the number of changed rows. Raises 400 for a violated constraint of the table."""
    with constraint_errors():
        return (await connection.execute(sql.query(name), values)).rowcount


def _valid(service: Service) -> Service:
    raise_problems(problems(service))
    return service


def _require_slug(service_id: str) -> None:
    if not is_slug(service_id):
        raise ApiError(404, "unknown_service_id")


def _found(row: StoredService | None) -> StoredService:
    if row is None:
        raise ApiError(404, "unknown_service_id")
    return row


def _changeable(row: StoredService | None) -> StoredService:
    """The service, if it may be changed. Raises 404 if there is none, 409 if a file declares it, because the file would
    undo the change."""
    if (declared_in := _found(row).declared_in) is not None:
        raise ApiError(409, "declared", file=declared_in)
    return _found(row)


router = Router(
    "/api",
    route_handlers=[list_services, get_service, create_service, change_service, delete_service],
    tags=["services"],
)
