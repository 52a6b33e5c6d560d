"""The services to check. They are read from the database at the start, after a notification, and every minute.

The list is also saved in a file. A prober that starts while the database is unavailable uses the saved list.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import msgspec
import psycopg

import sql
from prober.metrics import Metrics
from prober.outcome import printable
from prober.services import Service, read_service
from prober.store import reason

RELOAD_SECONDS = 60.0
"""How often services are read without a notification, since notifications can be lost."""
SETTLE_SECONDS = 0.2
"""The delay after a notification, so that several changes are read together."""
LOAD_TIMEOUT_S = 10.0
FIRST_LOAD_TIMEOUT_S = 3.0
"""The timeout while no services are known. After it the saved list is used."""
_BACKOFF_S = (0.25, 5.0)
_ROWS_AT_ONCE = 50
"""Rows converted before other tasks run, so that the event loop is not blocked for longer than a millisecond."""

_log = logging.getLogger(__name__)


class Catalogue:
    """Calls `apply` with the enabled services at the start and after every change."""

    def __init__(
        self, database_url: str, cache: Path, apply: Callable[[Iterable[Service]], None], metrics: Metrics
    ) -> None:
        self.changed = asyncio.Event()
        self.known = False
        self._database_url = database_url
        self._cache = cache
        self._apply = apply
        self._metrics = metrics
        self._services: dict[str, Service] = {}

    async def run(self) -> None:
        """Runs until cancelled. The database may be unavailable at any time."""
        pause_s, most_s = _BACKOFF_S
        while True:
            self.changed.clear()
            try:
                with anyio.fail_after(LOAD_TIMEOUT_S if self.known else FIRST_LOAD_TIMEOUT_S):
                    services = await self._load()
            except (psycopg.Error, OSError, TimeoutError) as error:
                self._metrics.reload_failures.inc()
                _log.warning("the services cannot be read: %s", reason(error))
                await self._fall_back()
                await anyio.sleep(pause_s)
                pause_s = min(most_s, 2 * pause_s)
                continue
            pause_s = _BACKOFF_S[0]
            self._metrics.reloads.inc()
            await self._apply_if_changed(services)
            with anyio.move_on_after(RELOAD_SECONDS):
                await self.changed.wait()
                await anyio.sleep(SETTLE_SECONDS)

    async def _load(self) -> dict[str, Service]:
        """Reads the services that this prober checks, by id. Services with invalid values are logged and left out."""
        services: dict[str, Service] = {}
        unusable = 0
        connection = await sql.connect(self._database_url, application="sla-monitor prober services")
        async with connection, connection.cursor() as cursor:
            await cursor.execute(sql.query("services/enabled"))
            while rows := await cursor.fetchmany(_ROWS_AT_ONCE):
                for (row,) in rows:
                    try:
                        service = read_service(row)
                    except msgspec.ValidationError as error:
                        unusable += 1
                        _log.error("service %s cannot be checked: %s", printable(str(row["id"])), error)
                        continue
                    if not service.check_config.PROBED:
                        continue
                    known = self._services.get(service.id)
                    services[service.id] = known if known == service else service
                await anyio.lowlevel.checkpoint()
        self._metrics.bad_services.set(unusable)
        return services

    async def _apply_if_changed(self, services: dict[str, Service]) -> None:
        """Applies and saves the services if they differ from the known ones."""
        if self.known and services == self._services:
            return
        self._services = services
        self.known = True
        self._apply(services.values())
        _log.info("services checked: %d", len(services))
        try:
            await anyio.to_thread.run_sync(_save, self._cache, list(services.values()))
        except OSError as error:
            _log.warning("the list of services cannot be saved in %s: %s", self._cache, error)

    async def _fall_back(self) -> None:
        """Uses the saved list if no services are known."""
        if self.known:
            return
        try:
            services = await anyio.to_thread.run_sync(_saved, self._cache)
        except FileNotFoundError:
            return
        except (OSError, msgspec.MsgspecError) as error:
            _log.warning("the saved list of services cannot be read: %s", error)
            return
        self.known = True
        self._services = {service.id: service for service in services}
        self._apply(services)
        _log.warning("%d services are checked from the list saved in %s", len(services), self._cache)


def _save(cache: Path, services: Sequence[Service]) -> None:
    """Replaces the file atomically. It may contain secrets (headers), so only its owner can read it."""
    new = cache.with_suffix(".new")
    new.unlink(missing_ok=True)
    file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(file, "wb") as open_file:
        open_file.write(msgspec.json.encode(services))
        open_file.flush()
        os.fsync(open_file.fileno())
    new.replace(cache)


def _saved(cache: Path) -> list[Service]:
    return [read_service(row) for row in msgspec.json.decode(cache.read_bytes(), type=list[dict[str, Any]])]
