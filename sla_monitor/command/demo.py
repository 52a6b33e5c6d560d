"""`sla-monitor demo`: the programs of `up`, with example services and 90 generated days of checks.

The past is generated while the parts start. One transaction stores the services and their past, so the API shows
nothing or everything, and a demo that is stopped early starts again from the beginning. A demo does not touch a real
installation: it has its own folder and database, and its rows are marked (services.demo).
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
from sla_monitor.command.up import report, run_all
from sla_monitor.settings import Settings, StartError
from sql import aggregates, connect, query

BATCH = timedelta(days=15)
"""The part of the past that is generated and recorded at a time: 26,000 rows."""


class DemoError(StartError):
    """The demo cannot run on this database."""

    exit_code = 2


async def demo(settings: Settings) -> None:
    """Runs until SIGINT or SIGTERM. Raises StartError, with a text of one line, if it cannot run."""
    # The services.toml, the sla.toml and the HEARTBEAT_URL of the real installation are not used.
    own = msgspec.structs.replace(
        settings, home=settings.home / "demo", services_file=None, sla_file=None, heartbeat_url=None
    )
    await _refuse_real_services(own)
    _introduce(own)
    async with targets() as urls:
        await run_all(
            own,
            prepare=partial(_move_targets, urls=urls),
            meanwhile=partial(_generate_past, settings=own, urls=urls),
        )


def _introduce(settings: Settings) -> None:
    place = "the database of DATABASE_URL" if settings.database_url else str(settings.home)
    report(f"This is a demo with {len(SERVICES)} example services on this machine and a generated past.")
    report(f"Its data are in {place}, separate from any real installation. Starting …")


async def _refuse_real_services(settings: Settings) -> None:
    """Raises DemoError if the database has other services. It runs before the schema is migrated. Other problems of the
    database are reported by the migration."""
    if settings.database_url is None:
        return
    try:
        async with await connect(settings.database_url, application="sla-monitor demo") as connection:
            row = await (await connection.execute(query("demo/others"))).fetchone()
    except (psycopg.OperationalError, psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn):
        return
    if row != (False,):
        raise DemoError(
            "the database of DATABASE_URL has services of a real installation: use an empty one, or unset DATABASE_URL"
        )


async def _move_targets(database_url: str, urls: dict[str, str]) -> None:
    async with await connect(database_url, application="sla-monitor demo") as connection:
        moved = [{"id": service_id, "endpoint_url": url} for service_id, url in urls.items()]
        await connection.execute(query("demo/move"), {"services": Jsonb(moved)})


async def _generate_past(database_url: str, settings: Settings, urls: dict[str, str]) -> None:
    """Generates the past on the first start. Later starts keep it; the time between them stays unknown."""
    started = anyio.current_time()
    async with await connect(database_url, application="sla-monitor demo") as connection:
        if await (await connection.execute(query("demo/started_before"))).fetchone() == (True,):
            report("The past was generated at an earlier start; the time since then is unknown.")
            return
        report("Generating 90 days of checks …")
        async with connection.transaction():
            # Locked before the prober records: else the aggregates would be computed without the generated past,
            # and show it only after a refresh.
            await connection.execute("SELECT lock_recording()")
            await _register(connection, settings, urls)
            stored = await _record_past(connection, settings)
            await connection.execute(query("demo/written"))
        # Figures are correct without a refresh, which only makes reads fast. It returns False if the worker is
        # refreshing. The worker then includes the new rows, because the commit has notified it.
        await aggregates.refresh(connection)
        took_s = anyio.current_time() - started
        report(f"{stored:,} generated checks are stored, after {took_s:.1f} s; real ones follow every 10 s.")


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


async def _record_past(connection: AsyncConnection[TupleRow], settings: Settings) -> int:
    """Records the past in the order of time, in the transaction of the caller. Returns the number of stored checks."""
    await connection.execute(query("checks/incoming"))
    period = await (await connection.execute(query("demo/period"))).fetchone()
    assert period is not None
    first, until = period
    values = {"now": until, "seed": SEED, "location": settings.location}
    stored = 0
    while first < until:
        end = min(first + BATCH, until)
        await connection.execute(query("demo/past"), {**values, "first": first, "until": end})
        recorded = await (await connection.execute("SELECT stored FROM record_checks_v2()")).fetchone()
        assert recorded is not None
        stored += recorded[0]
        await connection.execute("TRUNCATE incoming_checks")
        first = end
    return stored
