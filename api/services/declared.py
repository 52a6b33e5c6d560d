"""services.toml: services declared in a file. It is applied at the start and after every change, completely or not at
all.

    [[service]]
    id = "shop"
    name = "Shop"
    endpointUrl = "https://shop.example/health"
    intervalSeconds = 30

The fields have the names, limits and defaults of the REST API. A file with an error changes nothing; the error is
logged as one line. A service that is removed from the file is paused and can then be administered over REST. If a
service that was created over REST is added to the file, the file administers it from then on.
"""

import logging
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
from psycopg.types.json import Jsonb

import sql
from api.rest import declared_files
from api.rest.constraints import constraint_errors
from api.rest.declared_files import Changes, DeclarationError, content_of, one_line
from api.rest.errors import ApiError
from api.rest.problems import FieldProblem
from api.services.fields import Service, complete, problems, read_new, warnings
from api.services.tag_policies import lock_tag_policies, require_one_tag_policy
from sla_monitor.settings import Settings
from sql import Pool, database

log = logging.getLogger(__name__)


def read(path: Path, settings: Settings) -> list[Service]:
    """The services of the file, complete and valid. Raises DeclarationError for the first error."""
    return parse(path, content_of(path)[1], settings)


def parse(path: Path, content: bytes, settings: Settings) -> list[Service]:
    """The services in `content`. Raises DeclarationError for the first error."""
    try:
        document = tomllib.loads(content.decode("utf-8-sig"))  # editors on Windows begin with a byte order mark
    except (RecursionError, ValueError) as error:  # not UTF-8, not TOML, a number of 5,000 digits
        raise DeclarationError(f"{path}: {one_line(str(error) or type(error).__name__)}") from None
    tables = document.get("service", [])
    if set(document) - {"service"} or not isinstance(tables, list):
        raise DeclarationError(f"{path}: only [[service]] tables are allowed")
    services: dict[str, Service] = {}
    for number, table in enumerate(tables, 1):
        service = _service(path, number, table, settings)
        if service.id in services:
            raise DeclarationError(f"{path}: service {service.id!r}: id: is declared twice")
        services[service.id] = service
    return list(services.values())


def _service(path: Path, number: int, table: Any, settings: Settings) -> Service:
    name = repr(table["id"])[:60] if isinstance(table, dict) and "id" in table else f"number {number}"
    try:
        service = complete(read_new(table), settings)
    except ApiError as error:
        raise DeclarationError(_message(path, name, error.details)) from None
    if wrong := problems(service):
        raise DeclarationError(_message(path, name, wrong))
    return service


def _message(path: Path, name: str, found: Sequence[FieldProblem]) -> str:
    return f"{path}: service {name}: " + "; ".join(one_line(f"{one.field}: {one.message}") for one in found)


async def apply(path: Path, settings: Settings, pool: Pool) -> Changes:
    """Reads the file and stores its services in one transaction. Returns the changes."""
    return await _store(path, await anyio.to_thread.run_sync(read, path, settings), settings, pool)


async def _store(path: Path, services: list[Service], settings: Settings, pool: Pool) -> Changes:
    """Stores the services in one transaction, and logs the warnings of those that have changed. Returns the changes.
    Raises DeclarationError if the database refuses a service."""
    values = {"file": path.name, "services": Jsonb([service.columns() for service in services])}
    async with database.transaction(pool) as connection:
        try:
            await lock_tag_policies(connection, services)
            with constraint_errors():
                cursor = await connection.execute(sql.query("services/apply_declared"), values)
            changed = [(str(service_id), str(change)) for service_id, change in await cursor.fetchall()]
            await require_one_tag_policy(connection, services)
        except ApiError as error:  # a rule that `problems` does not check
            raise DeclarationError(f"{path}: {error}") from None
    for service in services:
        if (service.id, "applied") in changed:
            for warning in warnings(service, settings):
                log.warning("%s: service %r: %s: %s", path, service.id, warning.field, warning.message)
    return changed


async def _released(path: Path, services: list[Service], pool: Pool) -> list[str]:
    """The ids of the services that the database stores as declared in this file and that are not in `services`."""
    values = {"file": path.name, "ids": [service.id for service in services]}
    async with pool.connection() as connection:
        rows = await (await connection.execute(sql.query("services/no_longer_declared"), values)).fetchall()
    return [str(service_id) for (service_id,) in rows]


class ServicesFile:
    """services.toml, for `declared_files.watch`."""

    release = "they are paused and released"

    def __init__(self, path: Path, settings: Settings, pool: Pool) -> None:
        self.path = path
        self._settings = settings
        self._pool = pool

    def parse(self, content: bytes) -> list[Service]:
        return parse(self.path, content, self._settings)

    async def released(self, declared: list[Service]) -> list[str]:
        return await _released(self.path, declared, self._pool)

    async def store(self, declared: list[Service]) -> Changes:
        return await _store(self.path, declared, self._settings, self._pool)


async def watch(settings: Settings, pool: Pool) -> None:
    """Applies SERVICES_FILE now and after every change, until cancelled."""
    if settings.services_file is not None:
        await declared_files.watch(ServicesFile(settings.services_file, settings, pool))
