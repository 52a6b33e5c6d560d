"""`sla-monitor up`: the database where none is given, the schema, the prober and the API, in one terminal."""

import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

import anyio
from anyio.abc import TaskGroup

from sla_monitor import __version__
from sla_monitor.first_services import register_first_services
from sla_monitor.processes import keep_running
from sla_monitor.settings import Settings
from sql import connect, query
from sql.local import local_postgresql
from sql.migrate import migrate

FIRST_CHECK_PATIENCE_S = 90


def say(text: str) -> None:
    """To the person at the terminal, at once."""
    print(text, flush=True)


@asynccontextmanager
async def database(settings: Settings, group: TaskGroup) -> AsyncIterator[tuple[str, str]]:
    """The URL of the database, and where it is in words: DATABASE_URL, or a PostgreSQL of our own while this lasts."""
    if settings.database_url is not None:
        yield settings.database_url, "the one of DATABASE_URL"
        return
    async with local_postgresql(settings.home) as server:
        group.start_soon(server.watch)
        yield server.database_url, f"our own, in {settings.home}"


async def up(settings: Settings) -> None:
    """Runs until SIGINT or SIGTERM. Errors that a person can mend come as exceptions of one line."""
    async with running(settings, partial(register_first_services, settings=settings)):
        await anyio.sleep_forever()


@asynccontextmanager
async def running(settings: Settings, prepare: Callable[[str], Awaitable[None]]) -> AsyncIterator[str]:
    """Everything started, and stopped in order at the end: API and prober first, the database last.

    `prepare` is given the URL of the migrated database before the parts start.
    """
    started = anyio.current_time()
    async with anyio.create_task_group() as group:
        group.start_soon(_cancel_on_signal, group)
        async with database(settings, group) as (url, place):
            migrated = await migrate(url, settings)
            await prepare(url)
            async with anyio.create_task_group() as parts:
                environment = {"DATABASE_URL": url, "SLA_MONITOR_HOME": str(settings.home)}
                parts.start_soon(keep_running, "api", environment)
                parts.start_soon(keep_running, "prober", environment)
                _introduce(settings, migrated.engine, place)
                parts.start_soon(_tell_of_first_check, url, started)
                yield url
                parts.cancel_scope.cancel()
        group.cancel_scope.cancel()


def _introduce(settings: Settings, engine: str, place: str) -> None:
    names = {"timescaledb": "TimescaleDB", "postgresql": "PostgreSQL"}
    address = f"http://{settings.api_host}:{settings.api_port}"
    say(f"SLA Monitor {__version__}")
    say(f"  database  {names[engine]}, {place}")
    say(f"  API       {address}/api/system-status, documentation at {address}/docs")
    say(f"  prober    http://{settings.prober_host}:{settings.prober_port}/metrics, looking from {settings.location!r}")
    say("Ctrl-C stops it.")


async def _tell_of_first_check(url: str, started: float) -> None:
    """Says once that data flow, so that nobody has to guess."""
    with anyio.move_on_after(FIRST_CHECK_PATIENCE_S):
        async with await connect(url, application="sla-monitor up") as connection:
            while True:
                row = await (await connection.execute(query("checks/first_stored"))).fetchone()
                if row is not None and row[0] is not None:
                    say(f"The first check is stored, {anyio.current_time() - started:.1f} s after the start.")
                    return
                await anyio.sleep(0.25)
    say(f"No check has been stored within {FIRST_CHECK_PATIENCE_S} s: are all services paused?")


async def _cancel_on_signal(group: TaskGroup) -> None:
    """The first signal stops everything in order; a second one ends at once."""
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            if group.cancel_scope.cancel_called:
                sys.exit(130)
            say("Stopping …")
            group.cancel_scope.cancel()
