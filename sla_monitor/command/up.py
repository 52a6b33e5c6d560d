"""`sla-monitor up`: the database where none is given, the schema, API, worker and prober, in one terminal."""

from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any

import anyio
import httpx
from anyio import CancelScope
from anyio.abc import TaskGroup

from api.services.declared import require_file
from sla_monitor import __version__
from sla_monitor.command import start
from sla_monitor.command.first_services import health_url, own_url, register_first_services
from sla_monitor.command.processes import keep_running
from sla_monitor.local_postgresql.server import local_postgresql
from sla_monitor.serving.ports import need_ports
from sla_monitor.serving.signals import stop_on_signal
from sla_monitor.settings import Settings
from sql import connect, query
from sql.migrate import Migrated

Step = Callable[[str], Coroutine[Any, Any, None]]

PREPARATION_PATIENCE_S = 10
"""How long the parts are not started because the schema is being brought up to date."""
FIRST_CHECK_PATIENCE_S = 90
API_PATIENCE_S = 10
INTRODUCTION_PATIENCE_S = 60


def say(text: str) -> None:
    """To the person at the terminal, at once."""
    print(text, flush=True)


@asynccontextmanager
async def database(settings: Settings, group: TaskGroup) -> AsyncIterator[tuple[str, str]]:
    """The URL of the database, and where it is in words: DATABASE_URL, or a PostgreSQL of our own while this lasts."""
    if settings.database_url is not None:
        yield settings.database_url, "the one of DATABASE_URL"
        return
    async with local_postgresql(settings.home / "postgresql") as server:
        group.start_soon(server.watch)
        yield server.database_url, f"our own, in {settings.home}"


async def up(settings: Settings) -> None:
    """Runs until SIGINT or SIGTERM. Errors that a person can mend come as exceptions of one line."""
    await run_all(settings, prepare=partial(register_first_services, settings=settings))


async def run_all(settings: Settings, *, prepare: Step, meanwhile: Step | None = None) -> None:
    """Everything started, and stopped in order at the end: the prober first, then API and worker, the database last.

    Both steps are given the URL of the migrated database: `prepare`, which may be repeated, before the parts start,
    `meanwhile` beside them. A database that cannot be used yet is waited for, and the parts start all the same: checks
    go to the spool, the API says that it is not ready.
    """
    started = datetime.now(UTC)
    # Before anything is started: else another program on our port would be taken for our own API.
    require_file(settings)
    need_ports(settings, "api", "prober", "worker")
    async with anyio.create_task_group() as group:
        stopped_first = [group.cancel_scope]
        group.start_soon(stop_on_signal, partial(_stop, stopped_first))
        async with database(settings, group) as (url, place):
            preparation = _Preparation()
            group.start_soon(preparation.run, settings, url, prepare)
            migrated = await preparation.patiently()
            environment = _environment(settings, url)
            # The prober watches the API too: it starts after it and stops before it, else each start and each stop
            # would be an outage.
            async with anyio.create_task_group() as serving:
                serving.start_soon(keep_running, "api", environment)
                serving.start_soon(_after_api, "worker", settings, environment)
                async with anyio.create_task_group() as probing:
                    stopped_first.append(probing.cancel_scope)
                    probing.start_soon(_after_api, "prober", settings, environment)
                    first_check = partial(preparation.then, partial(_tell_of_first_check, url, started))
                    probing.start_soon(_tell, settings, migrated, place, first_check)
                    if meanwhile is not None:
                        probing.start_soon(preparation.then, partial(meanwhile, url))
                serving.cancel_scope.cancel()
            group.cancel_scope.cancel()


class _Preparation:
    """What must be in the database before checks are recorded, and how far that is."""

    def __init__(self) -> None:
        self._migrated: Migrated | None = None
        self._schema = anyio.Event()
        self._done = anyio.Event()

    async def run(self, settings: Settings, url: str, step: Step) -> None:
        self._migrated = await start.prepare(url, settings)
        self._schema.set()
        await start.when_possible("the services cannot be registered", partial(step, url))
        self._done.set()

    async def patiently(self) -> Migrated | None:
        """What came of the migration, once all is done; None where that takes too long."""
        with anyio.move_on_after(PREPARATION_PATIENCE_S) as patience:
            await self._schema.wait()
            patience.deadline = anyio.current_time() + PREPARATION_PATIENCE_S
            await self._done.wait()
        return self._migrated

    async def then(self, step: Callable[[], Coroutine[Any, Any, None]]) -> None:
        await self._done.wait()
        await step()


async def _after_api(part: str, settings: Settings, environment: Mapping[str, str]) -> None:
    """The prober or the worker, from the moment on that the API answers; without it when that takes too long."""
    with anyio.move_on_after(API_PATIENCE_S):
        async with httpx.AsyncClient(trust_env=False, timeout=1) as client:
            while not await _answers(client, own_url(settings)):  # noqa: ASYNC110 - another process
                await anyio.sleep(0.05)
    await keep_running(part, environment)


async def _answers(client: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await client.get(url)).is_success
    except httpx.HTTPError:
        return False


def _environment(settings: Settings, url: str) -> dict[str, str]:
    """What the parts must see otherwise than in our own environment: `demo` runs on settings of its own."""
    return {
        "DATABASE_URL": url,
        "SLA_MONITOR_HOME": str(settings.home),
        "SERVICES_FILE": str(settings.services_file or ""),
        "HEARTBEAT_URL": settings.heartbeat_url or "",
    }


async def _tell(
    settings: Settings, migrated: Migrated | None, place: str, then: Callable[[], Coroutine[Any, Any, None]]
) -> None:
    """What there is, once it is there: a part that cannot run has said so before, and ended everything."""
    with anyio.move_on_after(INTRODUCTION_PATIENCE_S):
        async with httpx.AsyncClient(trust_env=False, timeout=1) as client:
            for part in (
                own_url(settings),
                health_url(settings.worker_host, settings.worker_port),
                health_url(settings.prober_host, settings.prober_port),
            ):
                while not await _answers(client, part):  # noqa: ASYNC110 - another process
                    await anyio.sleep(0.05)
    _introduce(settings, migrated, place)
    await then()


def _introduce(settings: Settings, migrated: Migrated | None, place: str) -> None:
    names = {"timescaledb": "TimescaleDB", "postgresql": "PostgreSQL"}
    address = f"http://{settings.api_host}:{settings.api_port}"
    say(f"SLA Monitor {__version__}")
    say(f"  database  {names[migrated.engine] if migrated else 'not ready yet'}, {place}")
    say(f"  pages     {address}/ to look at, {address}/console to work in")
    say(f"  API       {address}/api/system-status, documentation at {address}/docs")
    say(f"  prober    http://{settings.prober_host}:{settings.prober_port}/metrics, looking from {settings.location!r}")
    say(f"  worker    http://{settings.worker_host}:{settings.worker_port}/metrics")
    say("Ctrl-C stops it.")


async def _tell_of_first_check(url: str, started: datetime) -> None:
    """Says once that data flow, so that nobody has to guess."""
    with anyio.move_on_after(FIRST_CHECK_PATIENCE_S):
        await start.when_possible("the first check cannot be looked for", partial(_wait_for_first_check, url, started))
        return
    say(f"No check has been stored within {FIRST_CHECK_PATIENCE_S} s: are all services paused?")


async def _wait_for_first_check(url: str, started: datetime) -> None:
    async with await connect(url, application="sla-monitor up") as connection:
        while True:
            row = await (await connection.execute(query("checks/first_stored"), {"started": started})).fetchone()
            if row is not None and row[0] is not None:
                waited_s = (datetime.now(UTC) - started).total_seconds()
                say(f"The first check is stored, {waited_s:.1f} s after the start.")
                return
            await anyio.sleep(0.25)


def _stop(scopes: list[CancelScope]) -> None:
    """Stops everything in order, beginning with the last scope."""
    say("Stopping …")
    scopes[-1].cancel()
