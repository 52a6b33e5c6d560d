"""The bytes that a check needs: its raw row, and its share of the tables that are never deleted."""

from collections.abc import AsyncIterator
from datetime import timedelta

from bench.databases import Connection
from bench.history import create_services, midnight
from bench.recording import recorder
from bench.report import Result, at_most, figure, not_measured, three_digits
from bench.run import Run, query
from sql import aggregates

COMPRESSING_ENGINE = "timescaledb"
CHECKS_A_DAY = 1440
RAW_TARGET = at_most(15, "B")
ROLLUP_TARGET = at_most(8, "B")
STATE_TABLES = ("episodes", "outages")
"""Their size depends on how often a service fails, so they have a figure of their own without a target."""


async def measure(run: Run) -> AsyncIterator[Result]:
    if COMPRESSING_ENGINE not in run.databases.engines:
        yield not_measured(f"Storage, {COMPRESSING_ENGINE}", "TimescaleDB is not installed")
    for engine in run.databases.engines:
        async with run.databases.migrated(engine) as database, await database.connect() as connection:
            rows = await _record(run, connection)
            await aggregates.refresh(connection)
            uncompressed = await _bytes_per_check(connection, engine, rows)
            if engine == COMPRESSING_ENGINE:
                await connection.execute(query("compress_all_chunks"))
            stored = await _bytes_per_check(connection, engine, rows)
        for result in _results(run, engine, stored, uncompressed):
            yield result


def _results(run: Run, engine: str, stored: dict[str, float], uncompressed: dict[str, float]) -> list[Result]:
    """Both arguments are bytes per check of each table. They are equal on an engine that does not compress."""
    raw, raw_before = stored.pop("checks"), uncompressed.pop("checks")
    states, _ = (sum(sizes.pop(name, 0.0) for name in STATE_TABLES) for sizes in (stored, uncompressed))
    rollups, rollups_before = sum(stored.values()), sum(uncompressed.values())
    note = (
        f"{run.scale.storage_services} services, {run.scale.storage_days} days of {CHECKS_A_DAY:,} checks each,"
        " log-normal response times with a daily rhythm, all phases, 1 % failures with messages"
    )
    compressed = engine == COMPRESSING_ENGINE
    if compressed:
        note += ";\nthe reference is the size before compression"
    targets = (RAW_TARGET, ROLLUP_TARGET) if compressed else (None, None)
    references = ([raw_before], [rollups_before]) if compressed else (None, None)
    by_size = sorted(stored.items(), key=lambda table: table[1], reverse=True)
    tables = ", ".join(f"{name} {three_digits(size)}" for name, size in by_size)
    note_states = "if one check in a hundred fails by itself: each failure makes two episodes and one outage"
    title = f"Storage, bytes per check, {engine}"
    return [
        figure(f"{title}: raw row", [raw], "B", targets[0], reference=references[0], note=note),
        figure(f"{title}: rollups", [rollups], "B", targets[1], reference=references[1], note=tables),
        figure(f"{title}: episodes and outages", [states], "B", note=note_states),
    ]


async def _record(run: Run, connection: Connection) -> int:
    """Records the last complete days, each in one transaction. Returns the number of rows."""
    services, days = run.scale.storage_services, run.scale.storage_days
    await create_services(connection, services)
    recording = await recorder(connection)
    for days_ago in range(days, 0, -1):
        low = midnight() - timedelta(days=days_ago)
        recorded = await recording.record_random(1, services, low, low + timedelta(days=1), 86400 // CHECKS_A_DAY)
        assert (recorded.stored, recorded.parked) == (services * CHECKS_A_DAY, 0), recorded
    return services * days * CHECKS_A_DAY


async def _bytes_per_check(connection: Connection, engine: str, rows: int) -> dict[str, float]:
    """The bytes per check of `checks` and of each table that is never deleted, with indexes and TOAST."""
    await connection.execute("VACUUM")
    found = await (await connection.execute(query(f"sizes_{engine}"))).fetchall()
    return {name: int(size) / rows for name, size in found}
