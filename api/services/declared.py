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
import os
import time
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import psycopg
from psycopg.types.json import Jsonb

import sql
from api.rest.constraints import constraint_errors
from api.rest.errors import ApiError
from api.rest.problems import FieldProblem
from api.services.fields import Service, complete, problems, read_new, warnings
from api.services.tag_policies import lock_tag_policies, require_one_tag_policy
from sla_monitor.formats.one_line import on_one_line
from sla_monitor.settings import Settings, SettingsError, StartError
from sql import Pool, database

log = logging.getLogger(__name__)

POLL_S = 1.0
STABLE_S = 2.0
"""A file is read if it has not changed for this time: editors and deployments may empty a file before they write it."""
RELEASE_S = 10.0
"""A file that lacks services that it declared before is applied only after this additional time, and after a
warning."""
MAX_BYTES = 4 * 1024 * 1024
Changes = list[tuple[str, str]]
"""Pairs of the id of a service and `applied` or `released`."""


class DeclarationError(StartError):
    """An error in the file. The message is one line with the file, the service and the field."""

    exit_code = 2


def require_file(settings: Settings) -> None:
    """Raises SettingsError if SERVICES_FILE does not exist or cannot be read."""
    path = settings.services_file
    if path is None:
        return
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        reason = "there is no such file" if isinstance(error, FileNotFoundError) else error.strerror
        raise SettingsError(f"SERVICES_FILE={path} cannot be read: {reason}") from None


def read(path: Path, settings: Settings) -> list[Service]:
    """The services of the file, complete and valid. Raises DeclarationError for the first error."""
    return parse(path, _content(path)[1], settings)


@dataclass(frozen=True)
class Stamp:
    """Identifies a version of the file."""

    inode: int
    modified_ns: int
    changed_ns: int
    size: int

    @classmethod
    def of(cls, status: os.stat_result) -> "Stamp":
        return cls(status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size)

    @property
    def age_s(self) -> float:
        """Seconds since the last change; 0 if the clock of the file system is ahead of this one."""
        return max(0.0, time.time() - max(self.modified_ns, self.changed_ns) / 1e9)


def _stamp(path: Path) -> Stamp | None:
    """The stamp of the file; None if its status cannot be read."""
    try:
        return Stamp.of(path.stat())
    except OSError:
        return None


def _content(path: Path) -> tuple[Stamp, bytes]:
    """The stamp and the bytes of the file. The stamp is taken after the bytes are read."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
            stamp = Stamp.of(os.fstat(file.fileno()))
    except FileNotFoundError:
        raise DeclarationError(f"{path}: there is no such file") from None
    except OSError as error:
        raise DeclarationError(f"{path}: {_one_line(str(error))}") from None
    if len(content) > MAX_BYTES:
        raise DeclarationError(f"{path}: larger than {MAX_BYTES} bytes")
    return stamp, content


def parse(path: Path, content: bytes, settings: Settings) -> list[Service]:
    """The services in `content`. Raises DeclarationError for the first error."""
    try:
        document = tomllib.loads(content.decode("utf-8-sig"))  # editors on Windows begin with a byte order mark
    except (RecursionError, ValueError) as error:  # not UTF-8, not TOML, a number of 5,000 digits
        raise DeclarationError(f"{path}: {_one_line(str(error) or type(error).__name__)}") from None
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
    return f"{path}: service {name}: " + "; ".join(_one_line(f"{one.field}: {one.message}") for one in found)


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


async def watch(settings: Settings, pool: Pool) -> None:
    """Applies the file now and after every change, until cancelled. Errors are logged and do not stop the API."""
    path = settings.services_file
    if path is None:
        return
    watcher = _Watcher(path, settings, pool)
    while True:
        try:
            await watcher.poll()
        except psycopg.Error as error:
            log.warning("%s waits for the database (%s)", path.name, type(error).__name__)
        await anyio.sleep(POLL_S)


class _Watcher:
    """Applies the file if it has changed. The state is the stamp of the last version, the time since which the file is
    unchanged, whether this version has been applied or refused, and whether the warning has been logged."""

    def __init__(self, path: Path, settings: Settings, pool: Pool) -> None:
        self._path = path
        self._settings = settings
        self._pool = pool
        self._seen: Stamp | None = None
        self._since: float | None = None
        self._done = False
        self._announced = False

    async def poll(self) -> None:
        """Applies the file if it has changed, and has then been unchanged for long enough. Raises psycopg.Error."""
        stamp, now = await anyio.to_thread.run_sync(_stamp, self._path), anyio.current_time()
        if self._since is None:  # at the start, the file is unchanged for its age
            self._seen, self._since = stamp, now - min(STABLE_S, stamp.age_s if stamp is not None else 0.0)
        elif stamp != self._seen:
            self._seen, self._since, self._done, self._announced = stamp, now, False, False
        if self._done or now - self._since < STABLE_S:
            return
        try:
            self._done = await self._apply_if_settled(now - self._since)
        except DeclarationError as error:
            log.error("the file was not applied: %s", error)
            self._done = True

    async def _apply_if_settled(self, age_s: float) -> bool:
        """Applies the file, which is unchanged for `age_s` seconds. Returns False if it must not be applied yet."""
        stamp, content = await anyio.to_thread.run_sync(_content, self._path)
        if stamp != self._seen:
            return False
        services = await anyio.to_thread.run_sync(parse, self._path, content, self._settings)
        if age_s < STABLE_S + RELEASE_S and (released := await _released(self._path, services, self._pool)):
            if not self._announced:
                text = "%s no longer names %s: they are paused and released if the file stays unchanged for %.0f s"
                log.warning(text, self._path.name, ", ".join(released), RELEASE_S)
            self._announced = True
            return False
        changed = await _store(self._path, services, self._settings, self._pool)
        log.info("%s: %s", self._path.name, ", ".join(f"{name} {change}" for name, change in changed) or "no change")
        return True


def _one_line(text: str) -> str:
    """Converts a text of the file to one line without control characters, for messages."""
    return on_one_line(" ".join(text.split()), " ")
