"""services.toml: services declared as code, applied at the start and whenever the file changes, all or nothing.

    [[service]]
    id = "shop"
    name = "Shop"
    endpointUrl = "https://shop.example/health"
    intervalSeconds = 30

The fields are those of the REST API, with the same names, limits and defaults. A file with a mistake changes nothing;
the mistake is one line in the log. A service that the file no longer names is paused and can then be administered over
REST; one that was made over REST and is named in the file belongs to the file from then on.
"""

import logging
import tomllib
from pathlib import Path
from typing import Any

import anyio
import msgspec
import psycopg
from psycopg.errors import CheckViolation
from psycopg.types.json import Jsonb

import sql
from api import database
from api.service_fields import NewService, Service, complete, problems, warnings
from sla_monitor.settings import Settings, StartError
from sql import Pool

log = logging.getLogger(__name__)

POLL_S = 2.0
MAX_BYTES = 4 * 1024 * 1024
Outcome = list[tuple[str, str]]


class DeclarationError(StartError):
    """What is wrong in the file: one line with the file, the service and the field."""

    exit_code = 2


def read(path: Path, settings: Settings) -> list[Service]:
    """The services of the file, complete and valid. Raises DeclarationError for the first mistake."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DeclarationError(f"{path}: larger than {MAX_BYTES} bytes")
        document = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise DeclarationError(f"{path}: there is no such file") from None
    except (OSError, RecursionError, ValueError) as error:  # not UTF-8, not TOML, a number of 5,000 digits
        raise DeclarationError(f"{path}: {_one_line(str(error) or type(error).__name__)}") from None
    tables = document.get("service", [])
    if set(document) - {"service"} or not isinstance(tables, list):
        raise DeclarationError(f"{path}: only [[service]] tables belong here")
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
        service = complete(msgspec.convert(table, NewService), settings)
    except msgspec.ValidationError as error:
        text, _, where = str(error).partition(" - at `$.")
        field = f"{where.rstrip('`')}: " if where else ""
        raise DeclarationError(f"{path}: service {name}: {_one_line(field + text)}") from None
    if wrong := problems(service):
        raise DeclarationError(f"{path}: service {name}: {wrong[0].field}: {wrong[0].message}")
    return service


async def apply(path: Path, settings: Settings, pool: Pool) -> Outcome:
    """Reads the file and makes the database agree, in one statement. Returns what changed: (id, applied|released)."""
    services = await anyio.to_thread.run_sync(read, path, settings)
    values = {"file": path.name, "services": Jsonb([service.columns() for service in services])}
    async with database.transaction(pool) as connection:
        try:
            cursor = await connection.execute(sql.query("services/apply_declared"), values)
        except CheckViolation as error:  # what our own limits did not foresee: the file's mistake, no reason to end
            constraint = error.diag.constraint_name
            raise DeclarationError(f"{path}: a value cannot be stored ({constraint})") from None
        changed = [(str(service_id), str(outcome)) for service_id, outcome in await cursor.fetchall()]
    for service in services:
        if (service.id, "applied") in changed:
            for warning in warnings(service, settings):
                log.warning("%s: service %r: %s: %s", path, service.id, warning.field, warning.message)
    return changed


async def watch(settings: Settings, pool: Pool) -> None:
    """Applies the file now and after every change, until cancelled. A mistake in it never stops the API."""
    path = settings.services_file
    if path is None:
        return
    applied: tuple[int, int] | None = None
    while True:
        stamp = await anyio.to_thread.run_sync(_stamp, path)
        if stamp != applied:
            try:
                changed = await apply(path, settings, pool)
            except DeclarationError as error:
                log.error("nothing of it was applied: %s", error)
                applied = stamp
            except psycopg.Error as error:
                log.warning("%s waits for the database (%s)", path.name, type(error).__name__)
            else:
                applied = stamp
                log.info("%s: %s", path.name, ", ".join(f"{name} {what}" for name, what in changed) or "no change")
        await anyio.sleep(POLL_S)


def _stamp(path: Path) -> tuple[int, int]:
    """What changes when the file does; a file that is not there is a state of its own."""
    try:
        status = path.stat()
    except OSError:
        return (0, -1)
    return (status.st_mtime_ns, status.st_size)


def _one_line(text: str) -> str:
    """What a file says may hold anything; the log gets no control characters."""
    return "".join(letter if letter.isprintable() else " " for letter in " ".join(text.split()))
