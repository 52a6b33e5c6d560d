"""Storage: bytes of a raw check, and of all rollups of a check, which are kept for good; indexes and TOAST included."""

from collections.abc import AsyncIterator
from datetime import timedelta

from bench.databases import Connection
from bench.past import make_services, midnight
from bench.recording import recorder
from bench.report import Line, absolute, most, not_measured, number
from bench.run import Run, query
from sql import aggregates

COMPRESSING = "timescaledb"
ROWS_A_DAY = 1440
RAW_BYTES = 15
ROLLUP_BYTES = 8


async def lines(run: Run) -> AsyncIterator[Line]:
    if COMPRESSING not in run.databases.engines:
        yield not_measured(f"Storage, {COMPRESSING}", "no TimescaleDB here")
    for engine in run.databases.engines:
        async with run.databases.migrated(engine) as database, await database.connect() as connection:
            rows = await _record(run, connection)
            await aggregates.refresh(connection)
            before = await _sizes(connection, engine)
            if engine == COMPRESSING:
                await connection.execute(query("compress_all"))
            after = await _sizes(connection, engine)
        for line in _lines(run, engine, before, after, rows):
            yield line


def _lines(run: Run, engine: str, before: dict[str, int], after: dict[str, int], rows: int) -> list[Line]:
    """`before` and `after` compression, which is the same on an engine that has none."""
    compressed = engine == COMPRESSING
    raw, raw_before = after.pop("checks") / rows, before.pop("checks") / rows
    # How many episodes there are depends on how often a service fails; what it costs to keep the figures does not.
    states, _ = (sum(sizes.pop(name, 0) for name in ("episodes", "outages")) / rows for sizes in (after, before))
    kept, kept_before = sum(after.values()) / rows, sum(before.values()) / rows
    note = (
        f"{run.scale.storage_services} services, {run.scale.storage_days} days of {ROWS_A_DAY:,} rows each, recorded;"
        " log-normal times with a daily rhythm, all phases, 1 % failures with messages"
    )
    if compressed:
        note += ";\nthe peer is the same before compression"
    parts = sorted(((size / rows, name) for name, size in after.items()), reverse=True)
    each = ", ".join(f"{name} {number(size)}" for size, name in parts)
    limits = (most(RAW_BYTES, "B"), most(ROLLUP_BYTES, "B")) if compressed else (None, None)
    peers = ([raw_before], [kept_before]) if compressed else (None, None)
    return [
        absolute(f"Storage, bytes a raw check, {engine}", [raw], "B", limits[0], peer=peers[0], note=note),
        absolute(f"Storage, bytes a check of all rollups, {engine}", [kept], "B", limits[1], peer=peers[1], note=each),
        absolute(
            f"Storage, bytes a check of episodes and outages, {engine}",
            [states],
            "B",
            note="where one check in a hundred fails by itself: two episodes and an outage each time",
        ),
    ]


async def _record(run: Run, connection: Connection) -> int:
    """Each day in one transaction, as a replayed spool would come; days that are over. Returns the number of rows."""
    services, days = run.scale.storage_services, run.scale.storage_days
    await make_services(connection, services)
    recorder_ = await recorder(connection)
    for back in range(days, 0, -1):
        low = midnight() - timedelta(days=back)
        recorded = await recorder_.record_noise(1, services, low, low + timedelta(days=1), 86400 // ROWS_A_DAY)
        assert (recorded.stored, recorded.parked) == (services * ROWS_A_DAY, 0), recorded
    return services * days * ROWS_A_DAY


async def _sizes(connection: Connection, engine: str) -> dict[str, int]:
    """Bytes of `checks` and of every table that is kept for good, by name."""
    await connection.execute("VACUUM")
    found = await (await connection.execute(query(f"sizes_{engine}"))).fetchall()
    return {name: int(size) for name, size in found}
