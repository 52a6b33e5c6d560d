"""The site that pages are tested on: the demo's six services in two groups with their past, thinned out, and what
people wrote about it. One service is private, and all that belongs to it has a name that is easily found."""

from pathlib import Path

from psycopg.types.json import Jsonb

from sla_monitor.command.demo_targets import SEED, SERVICES
from sql import aggregates, connect, query

SITE = Path(__file__).with_name("site.sql")
HIDDEN = ("secret-vault", "XK-4711", "xk-4711", "vault-keeper")
"""None of it may be in anything that those outside are given: a service, its incidents, and the name of a user."""
OPEN_INCIDENT = "INC-2026-0006"
RESOLVED_INCIDENT = "INC-2026-0003"
HIDDEN_INCIDENT = "INC-2026-0005"
MAINTENANCE = "5f0c2a52-8f0e-4d3e-9d43-000000000001"


async def furnish(database_url: str) -> None:
    services = [
        {
            "id": service.id,
            "name": service.name,
            "description": service.description,
            "endpoint_url": "http://x.invalid/",
        }
        for service in SERVICES
    ]
    async with await connect(database_url, application="site") as connection:
        async with connection.transaction():
            await connection.execute(query("demo/register"), {"services": Jsonb(services)})
            await connection.execute(query("locations/register"), {"id": "local"})
            await connection.execute(query("checks/incoming"))
            [(first, until)] = await (await connection.execute(query("demo/period"))).fetchall()
            period = {"first": first, "until": until, "now": until}
            await connection.execute(query("demo/past"), {**period, "seed": SEED, "location": "local"})
            await connection.execute(SITE.read_bytes())
            await connection.execute("SELECT record_checks()")
        await aggregates.refresh(connection)
