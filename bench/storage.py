"""Storage: bytes of a raw check after compression, indexes included, stored by record_checks()."""

from collections.abc import AsyncIterator
from datetime import timedelta

import sql
from bench.databases import Connection
from bench.past import make_services, midnight
from bench.report import Line, absolute, most, not_measured
from bench.run import Run, query

ENGINE = "timescaledb"
ROWS_A_DAY = 1440


async def lines(run: Run) -> AsyncIterator[Line]:
    if ENGINE not in run.databases.engines:
        yield not_measured("Storage", "no TimescaleDB here")
        return
    services = run.scale.storage_services
    async with run.databases.migrated(ENGINE) as database, await database.connect() as connection:
        await make_services(connection, services)
        day = midnight() - timedelta(days=4)
        await _record(connection, services, day.isoformat(), (day + timedelta(days=1)).isoformat())
        before = await _bytes_a_row(connection)
        await connection.execute(query("compress"), {"older_than": midnight()})
        after = await _bytes_a_row(connection)
    note = (
        f"{services} services, {ROWS_A_DAY:,} rows each, stored by record_checks; log-normal times with a daily rhythm,"
        " all phases, 1 % failures with messages;\nthe peer is the same before compression"
    )
    yield absolute("Storage, bytes a raw check", [after], "B", most(15, "B"), peer=[before], note=note)


async def _record(connection: Connection, services: int, low: str, high: str) -> None:
    """All of a day in one transaction, as a replayed spool would come."""
    values = {"first": 1, "last": services, "low": low, "high": high, "every": 86400 // ROWS_A_DAY}
    await connection.execute(sql.query("checks/incoming"))
    async with connection.transaction():
        await connection.execute(query("load_incoming"), values)
        row = await (await connection.execute("SELECT stored, parked FROM record_checks()")).fetchone()
    assert row == (services * ROWS_A_DAY, 0), row


async def _bytes_a_row(connection: Connection) -> float:
    row = await (await connection.execute(query("checks_size"))).fetchone()
    assert row is not None
    return float(row[0] / row[1])
