"""`sla-monitor demo`: everything `up` starts, against targets of its own, with ninety made-up days behind them.

The parts start first and the past is made up while they do: one transaction holds the services and all of their past,
so the API shows nothing or everything, and a demo that is stopped half-way begins anew. Nothing of it touches a real
installation: another folder, another database, marked rows (services.demo).
"""

from datetime import timedelta
from functools import partial

import anyio
import msgspec
import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from psycopg.types.json import Jsonb

from sla_monitor.command.demo_targets import SEED, SERVICES, targets
from sla_monitor.command.up import run_all, say
from sla_monitor.settings import Settings, StartError
from sql import aggregates, connect, query

BATCH = timedelta(days=15)
"""Of the past, made up and recorded at a time: 26,000 rows."""


class DemoError(StartError):
    """Why there can be no demo here."""

    exit_code = 2


async def demo(settings: Settings) -> None:
    """Runs until SIGINT or SIGTERM. Errors that a person can mend come as exceptions of one line."""
    # Neither the real services.toml nor the real dead man's switch: a demo reports to nobody.
    own = msgspec.structs.replace(settings, home=settings.home / "demo", services_file=None, heartbeat_url=None)
    await _refuse_real_services(own)
    _introduce(own)
    async with targets() as urls:
        await run_all(
            own,
            prepare=partial(_move_targets, urls=urls),
            meanwhile=partial(_open_the_past, settings=own, urls=urls),
        )


def _introduce(settings: Settings) -> None:
    place = "the database of DATABASE_URL" if settings.database_url else str(settings.home)
    say(f"This is a demo: {len(SERVICES)} services of its own on this machine, and a made-up past behind them.")
    say(f"Its data are in {place}, apart from any real installation. Starting …")


async def _refuse_real_services(settings: Settings) -> None:
    """Before anything is written, the schema included. What else is wrong with a database `migrate` will say."""
    if settings.database_url is None:
        return
    try:
        async with await connect(settings.database_url, application="sla-monitor demo") as connection:
            row = await (await connection.execute(query("demo/others"))).fetchone()
    except (psycopg.OperationalError, psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn):
        return
    if row != (False,):
        raise DemoError(
            "the database of DATABASE_URL has services that are no demo: give an empty one, or unset DATABASE_URL"
        )


async def _move_targets(database_url: str, urls: dict[str, str]) -> None:
    async with await connect(database_url, application="sla-monitor demo") as connection:
        moved = [{"id": service_id, "endpoint_url": url} for service_id, url in urls.items()]
        await connection.execute(query("demo/move"), {"services": Jsonb(moved)})


async def _open_the_past(database_url: str, settings: Settings, urls: dict[str, str]) -> None:
    """Makes up the past on the first start. Later ones keep it, and the time between them stays unknown."""
    started = anyio.current_time()
    async with await connect(database_url, application="sla-monitor demo") as connection:
        if await (await connection.execute(query("demo/started_before"))).fetchone() == (True,):
            say("The past is kept from an earlier start; the time since then stays unknown.")
            return
        say("Making up 90 days of checks …")
        async with connection.transaction():
            # Taken before the prober can: it would close the aggregates of an empty past, and the made-up one would
            # come late, unseen until it is refreshed.
            await connection.execute("SELECT lock_recording()")
            await _register(connection, settings, urls)
            stored = await _record_the_past(connection, settings)
            await connection.execute(query("demo/written"))
        # The figures are right already, computed as they are read; this makes them fast. False means that the worker is
        # at it: the commit has notified it of the new rows.
        await aggregates.refresh(connection)
        took_s = anyio.current_time() - started
        say(f"{stored:,} made-up checks are stored, after {took_s:.1f} s; true ones follow every 10 s.")


async def _register(connection: AsyncConnection[TupleRow], settings: Settings, urls: dict[str, str]) -> None:
    rows = [
        {
            "id": service.id,
            "name": service.name,
            "description": service.description,
            "endpoint_url": urls[service.id],
        }
        for service in SERVICES
    ]
    await connection.execute(query("demo/register"), {"services": Jsonb(rows)})
    await connection.execute(query("locations/register"), {"id": settings.location})


async def _record_the_past(connection: AsyncConnection[TupleRow], settings: Settings) -> int:
    """In time order, in the caller's transaction; returns how many checks were stored."""
    await connection.execute(query("checks/incoming"))
    period = await (await connection.execute(query("demo/period"))).fetchone()
    assert period is not None
    first, until = period
    values = {"now": until, "seed": SEED, "location": settings.location}
    stored = 0
    while first < until:
        end = min(first + BATCH, until)
        await connection.execute(query("demo/past"), {**values, "first": first, "until": end})
        recorded = await (await connection.execute("SELECT stored FROM record_checks()")).fetchone()
        assert recorded is not None
        stored += recorded[0]
        await connection.execute("TRUNCATE incoming_checks")
        first = end
    return stored
