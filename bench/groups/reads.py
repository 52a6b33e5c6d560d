"""The duration of the queries of the status page, of percentiles and of a monthly report, on 90 days of history."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from statistics import median
from typing import Any, LiteralString

from psycopg.rows import dict_row

import sql
from bench.databases import Connection
from bench.history import create_services, load, midnight
from bench.report import Result, at_least, at_most, comparison, figure, within
from bench.run import Run, alternate, duration_s, query

MONTH_DAYS = 30
PERCENTILES = ("p50", "p95", "p99")
WARM_UP_ROUNDS = 6
"""psycopg prepares a statement after five executions, here as in the API."""
MINUTES_A_DAY = 1440


async def measure(run: Run) -> AsyncIterator[Result]:
    """Measures on two databases. The second one has ten times the raw rows in the same aggregated buckets."""
    scale = run.scale
    for engine in run.databases.engines:
        async with AsyncExitStack() as stack:
            connections, notes = [], []
            for factor in (1, 10):
                database = await stack.enter_async_context(run.databases.migrated(engine))
                connection = await stack.enter_async_context(await database.connect())
                await create_services(connection, scale.read_services)
                checks = scale.read_checks_per_hour * factor
                history = {"services": scale.read_services, "days": scale.read_days, "checks_per_hour": checks}
                loaded = await load(connection, engine, **history)
                connections.append(connection)
                notes.append(f"{checks} checks in one hour of each day: {loaded}")
            small, large = connections
            for result in await _measure_status(run, engine, small, large, notes):
                yield result
            async for result in _measure_percentiles(run, engine, large):
                yield result
            for result in await _measure_month(run, engine, small, large):
                yield result


async def _measure_status(
    run: Run, engine: str, small: Connection, large: Connection, notes: list[str]
) -> list[Result]:
    statement = sql.query("status/system_status")
    measurements = [partial(_query_ms, connection, statement, {}) for connection in (small, large)]
    await alternate(WARM_UP_ROUNDS, *measurements)
    few_rows, many_rows = await alternate(3 * run.scale.rounds, *measurements)
    title = f"System status, {run.scale.read_services:,} services, {run.scale.read_days} days, {engine}: query time"
    return [
        figure(title, few_rows, "ms", at_most(20, "ms"), note=notes[0]),
        comparison(f"{title} with ten times the raw rows", many_rows, few_rows, "ms", within(1, 0.2), note=notes[1]),
    ]


async def _measure_percentiles(run: Run, engine: str, connection: Connection) -> AsyncIterator[Result]:
    """Percentiles of the service with a check every minute. The exact ones are nearest ranks among the raw rows of the
    same span of time."""
    low = midnight() - timedelta(days=run.scale.read_days - 1)
    window = {"service_id": "service-1", "start": low, "end": datetime.now(UTC)}
    for tier, step in (("daily", timedelta(days=1)), ("hourly", timedelta(hours=12))):
        statement, values = sql.query("response_times/rollups"), {**window, "step": step, "tier": tier}
        estimated = await _first_row(connection, statement, values)
        same_span = {**window, "start": estimated["low"], "end": estimated["high"]}
        exact = await _first_row(connection, query("exact_percentiles"), same_span)
        from_rollups = partial(_query_ms, connection, statement, values)
        from_checks = partial(_query_ms, connection, query("exact_percentiles"), same_span)
        await alternate(WARM_UP_ROUNDS, from_rollups)
        measured, reference = await alternate(run.scale.rounds, from_rollups, from_checks)
        title = f"Percentiles of a service, {run.scale.read_days} days, {tier} rollups, {engine}"
        hours = step.total_seconds() / 3600
        note = f"with a time series of {hours:g} h a point; the reference reads {exact['good']:,} raw rows"
        yield figure(f"{title}: query time", measured, "ms", at_most(20, "ms"), reference=reference, note=note)
        errors = [100 * abs(estimated[name] / exact[name] - 1) for name in PERCENTILES]
        note = ", ".join(f"{name} {estimated[name]:g} ms, exact {exact[name]:g} ms" for name in PERCENTILES)
        yield figure(f"{title}: largest error", [max(errors)], "%", at_most(2, "%"), note=note)


async def _measure_month(run: Run, engine: str, small: Connection, large: Connection) -> list[Result]:
    """A report of all services from the daily rollups, and the same report from the raw rows of both databases."""
    span = {"low": midnight() - timedelta(days=MONTH_DAYS + 1), "high": midnight() - timedelta(days=1)}
    few_rows, many_rows = await _rows_of_month(small, span), await _rows_of_month(large, span)
    from_daily = partial(_query_ms, large, query("month_from_daily"), span)
    from_checks = partial(_query_ms, large, query("month_from_checks"), span)
    await alternate(WARM_UP_ROUNDS, from_daily)
    measured, reference = await alternate(max(2, run.scale.rounds // 2), from_daily, from_checks)
    few_rows_ms = await _query_ms(small, query("month_from_checks"), span)
    title = f"Monthly report of {run.scale.read_services:,} services, {engine}"
    note = f"the reference reads {many_rows:,} raw rows; of {few_rows:,} raw rows it takes {few_rows_ms:,.0f} ms"
    speedup = f"{title}: speedup over raw rows"
    results = [
        figure(f"{title}: query time", measured, "ms", at_most(300, "ms")),
        comparison(speedup, measured, reference, "ms", at_least(100), speedup=True, note=note),
    ]
    ms_per_row = (median(reference) - few_rows_ms) / (many_rows - few_rows)
    if ms_per_row > 0:
        minutely = run.scale.read_services * MONTH_DAYS * MINUTES_A_DAY
        estimate = median(reference) + ms_per_row * (minutely - many_rows)
        note = f"the reference is not measured: it is extrapolated linearly to {minutely:,} raw rows"
        speedup += " of a check a minute, estimated"
        results.append(comparison(speedup, [median(measured)], [estimate], "ms", speedup=True, note=note))
    return results


async def _rows_of_month(connection: Connection, span: dict[str, Any]) -> int:
    """The number of raw rows. Raises AssertionError if the two reports differ."""
    daily, raw = [await _rows(connection, query(name), span) for name in ("month_from_daily", "month_from_checks")]
    assert daily == raw, "the report from the rollups differs from the one from the raw rows"
    return sum(row[2] for row in daily)


async def _rows(connection: Connection, statement: LiteralString, values: dict[str, Any]) -> list[tuple[Any, ...]]:
    return await (await connection.execute(statement, values)).fetchall()


async def _first_row(connection: Connection, statement: LiteralString, values: dict[str, Any]) -> dict[str, Any]:
    async with connection.cursor(row_factory=dict_row) as cursor:
        row = await (await cursor.execute(statement, values)).fetchone()
    assert row is not None
    return row


async def _query_ms(connection: Connection, statement: LiteralString, values: dict[str, Any]) -> float:
    """Milliseconds until the client has the last row."""
    return 1000 * await duration_s(_rows(connection, statement, values))
