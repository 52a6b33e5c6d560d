"""`sla-monitor up`: API, worker and prober in one terminal, with a local database unless DATABASE_URL is set."""

from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any

import anyio
import httpx
from anyio import CancelScope
from anyio.abc import TaskGroup

from api.rest.declared_files import require_files
from sla_monitor import __version__
from sla_monitor.command import start
from sla_monitor.command.first_services import health_url, own_url, register_first_services
from sla_monitor.command.processes import keep_running
from sla_monitor.local_postgresql.server import local_postgresql
from sla_monitor.serving.ports import require_ports
from sla_monitor.serving.signals import stop_on_signal
from sla_monitor.settings import Settings
from sql import connect, query
from sql.migrate import Migrated

Step = Callable[[str], Coroutine[Any, Any, None]]

PREPARATION_PATIENCE_S = 10
"""How long the parts wait for the migration of the schema, then for the preparation after it."""
FIRST_CHECK_PATIENCE_S = 90
API_PATIENCE_S = 10
INTRODUCTION_PATIENCE_S = 60


def report(text: str) -> None:
    """Prints a line to the terminal, unbuffered."""
    print(text, flush=True)


@asynccontextmanager
async def database(settings: Settings, group: TaskGroup) -> AsyncIterator[tuple[str, str]]:
    """The URL of the database, and its location as a text: DATABASE_URL, or a local PostgreSQL that runs during the
    block."""
    if settings.database_url is not None:
        yield settings.database_url, "that of DATABASE_URL"
        return
    async with local_postgresql(settings.home / "postgresql") as server:
        group.start_soon(server.watch)
        yield server.database_url, f"embedded, in {settings.home}"


async def up(settings: Settings) -> None:
    """Runs until SIGINT or SIGTERM. Raises StartError, with a text of one line, if it cannot run."""
    await run_all(settings, prepare=partial(register_first_services, settings=settings))


async def run_all(settings: Settings, *, prepare: Step, meanwhile: Step | None = None) -> None:
    """Starts all parts, and stops them in order at the end: the prober first, then API and worker, the database last.

    Both steps get the URL of the migrated database: `prepare`, which may be repeated, runs before the parts start,
    `meanwhile` beside them. If the database cannot be used after `PREPARATION_PATIENCE_S`, the parts start without it:
    checks go to the spool, and the API is not ready.
    """
    started = datetime.now(UTC)
    # Checked before any start: else another program on the port would be mistaken for the API.
    require_files(settings)
    require_ports(settings, "api", "prober", "worker")
    async with anyio.create_task_group() as group:
        stopped_first = [group.cancel_scope]
        group.start_soon(stop_on_signal, partial(_stop, stopped_first))
        async with database(settings, group) as (url, place):
            preparation = _Preparation()
            group.start_soon(preparation.run, settings, url, prepare)
            migrated = await preparation.wait()
            environment = _environment(settings, url)
            # The prober checks the API too. It starts after the API and stops before it: else each start and stop would
            # be recorded as an outage.
            async with anyio.create_task_group() as serving:
                serving.start_soon(keep_running, "api", environment)
                serving.start_soon(_after_api, "worker", settings, environment)
                async with anyio.create_task_group() as probing:
                    stopped_first.append(probing.cancel_scope)
                    probing.start_soon(_after_api, "prober", settings, environment)
                    first_check = partial(preparation.then, partial(_report_first_check, url, started))
                    probing.start_soon(_report_start, settings, migrated, place, first_check)
                    if meanwhile is not None:
                        probing.start_soon(preparation.then, partial(meanwhile, url))
                serving.cancel_scope.cancel()
            group.cancel_scope.cancel()


class _Preparation:
    """The preparation of the database before checks are recorded, and its progress."""

    def __init__(self) -> None:
        self._migrated: Migrated | None = None
        self._schema = anyio.Event()
        self._done = anyio.Event()

    async def run(self, settings: Settings, url: str, step: Step) -> None:
        self._migrated = await start.prepare(url, settings)
        self._schema.set()
        await start.when_possible("the services cannot be registered", partial(step, url))
        self._done.set()

    async def wait(self) -> Migrated | None:
        """Waits for the preparation, at most `PREPARATION_PATIENCE_S` for each of its two steps. Returns the result of
        the migration; None if that has not ended."""
        with anyio.move_on_after(PREPARATION_PATIENCE_S) as patience:
            await self._schema.wait()
            patience.deadline = anyio.current_time() + PREPARATION_PATIENCE_S
            await self._done.wait()
        return self._migrated

    async def then(self, step: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Runs `step` when the preparation is complete."""
        await self._done.wait()
        await step()


async def _after_api(part: str, settings: Settings, environment: Mapping[str, str]) -> None:
    """Runs the prober or the worker once the API responds, or after `API_PATIENCE_S`."""
    with anyio.move_on_after(API_PATIENCE_S):
        async with httpx.AsyncClient(trust_env=False, timeout=1) as client:
            while not await _responds(client, own_url(settings)):  # noqa: ASYNC110 - another process
                await anyio.sleep(0.05)
    await keep_running(part, environment)


async def _responds(client: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await client.get(url)).is_success
    except httpx.HTTPError:
        return False


def _environment(settings: Settings, url: str) -> dict[str, str]:
    """Environment variables of the parts that differ from those of this process: `demo` has its own settings."""
    return {
        "DATABASE_URL": url,
        "SLA_MONITOR_HOME": str(settings.home),
        "SERVICES_FILE": str(settings.services_file or ""),
        "SLA_FILE": str(settings.sla_file or ""),
        "HEARTBEAT_URL": settings.heartbeat_url or "",
    }


async def _report_start(
    settings: Settings, migrated: Migrated | None, place: str, then: Callable[[], Coroutine[Any, Any, None]]
) -> None:
    """Prints the addresses of the parts once all respond, or after `INTRODUCTION_PATIENCE_S`. Then runs `then`. If a
    part cannot run, ChildError ends the program before."""
    with anyio.move_on_after(INTRODUCTION_PATIENCE_S):
        async with httpx.AsyncClient(trust_env=False, timeout=1) as client:
            for part in (
                own_url(settings),
                health_url(settings.worker_host, settings.worker_port),
                health_url(settings.prober_host, settings.prober_port),
            ):
                while not await _responds(client, part):  # noqa: ASYNC110 - another process
                    await anyio.sleep(0.05)
    _introduce(settings, migrated, place)
    await then()


def _introduce(settings: Settings, migrated: Migrated | None, place: str) -> None:
    names = {"timescaledb": "TimescaleDB", "postgresql": "PostgreSQL"}
    address = f"http://{settings.api_host}:{settings.api_port}"
    report(f"SLA Monitor {__version__}")
    report(f"  database  {names[migrated.engine] if migrated else 'not ready yet'}, {place}")
    report(f"  pages     {address}/ (status), {address}/console (console)")
    report(f"  API       {address}/api/system-status, documentation at {address}/docs")
    report(f"  prober    http://{settings.prober_host}:{settings.prober_port}/metrics, location {settings.location!r}")
    report(f"  worker    http://{settings.worker_host}:{settings.worker_port}/metrics")
    report("Press Ctrl-C to stop.")


async def _report_first_check(url: str, started: datetime) -> None:
    """Prints that the first check has been stored, or that there is none after `FIRST_CHECK_PATIENCE_S`."""
    with anyio.move_on_after(FIRST_CHECK_PATIENCE_S):
        await start.when_possible("the first check cannot be read", partial(_wait_for_first_check, url, started))
        return
    report(f"No check has been stored within {FIRST_CHECK_PATIENCE_S} s: are all services paused?")


async def _wait_for_first_check(url: str, started: datetime) -> None:
    async with await connect(url, application="sla-monitor up") as connection:
        while True:
            row = await (await connection.execute(query("checks/first_stored"), {"started": started})).fetchone()
            if row is not None and row[0] is not None:
                waited_s = (datetime.now(UTC) - started).total_seconds()
                report(f"The first check is stored, {waited_s:.1f} s after the start.")
                return
            await anyio.sleep(0.25)


def _stop(scopes: list[CancelScope]) -> None:
    """Stops everything in order, beginning with the last scope."""
    report("Stopping …")
    scopes[-1].cancel()
