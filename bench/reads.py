"""Reads: the status page's query, percentiles and a month's report, on 90 days, and on ten times the raw rows."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from statistics import median
from typing import Any, LiteralString

from psycopg.rows import dict_row

import sql
from bench.databases import Connection
from bench.past import load, make_services, midnight
from bench.report import Line, about, absolute, compared, least, most
from bench.run import Run, alternate, query, seconds

MONTH_DAYS = 30
PERCENTILES = ("p50", "p95", "p99")
WARM_UP = 6
"""psycopg prepares a statement that it has seen five times, in the API as here."""


async def lines(run: Run) -> AsyncIterator[Line]:
    scale = run.scale
    for engine in run.databases.engines:
        async with AsyncExitStack() as stack:
            loaded: list[tuple[Connection, str]] = []
            for factor in (1, 10):
                database = await stack.enter_async_context(run.databases.migrated(engine))
                connection = await stack.enter_async_context(await database.connect())
                await make_services(connection, scale.read_services)
                checks = scale.read_checks_an_hour * factor
                past = {"services": scale.read_services, "days": scale.read_days, "checks_an_hour": checks}
                reported = await load(connection, engine, **past)
                loaded.append((connection, f"{checks} checks in one hour of each day: {reported}"))
            (small, few), (large, many) = loaded
            async for line in _status(run, engine, small, large, f"{few}\nten times: {many}"):
                yield line
            async for line in _percentiles(run, engine, large):
                yield line
            async for line in _month(run, engine, small, large):
                yield line


async def _status(run: Run, engine: str, small: Connection, large: Connection, note: str) -> AsyncIterator[Line]:
    statement = sql.query("status/system_status")
    contenders = [partial(_milliseconds, connection, statement, {}) for connection in (small, large)]
    await alternate(WARM_UP, *contenders)
    few, many = await alternate(3 * run.scale.rounds, *contenders)
    what = f"System status, {run.scale.read_services:,} services x {run.scale.read_days} days, {engine}"
    yield absolute(what, few, "ms", most(20, "ms"), note=note)
    yield compared(f"{what}: ten times the raw rows", many, few, "ms", about(1, 0.2))


async def _percentiles(run: Run, engine: str, connection: Connection) -> AsyncIterator[Line]:
    """Of the service that was checked each minute; the exact ones are the nearest ranks among its raw rows in the
    window that was read, by a query of the benchmark's own."""
    low = midnight() - timedelta(days=run.scale.read_days - 1)
    values = {"service_id": "service-1", "start": low, "end": datetime.now(UTC)}
    for buckets, tier, step in (("days", "daily", timedelta(days=1)), ("hours", "hourly", timedelta(hours=12))):
        asked = {**values, "step": step, "tier": tier}
        statement = sql.query("response_times/rollups")
        reported = await _first(connection, statement, asked)
        whole = {**values, "start": reported["low"], "end": reported["high"]}
        exact = await _first(connection, query("exact_percentiles"), whole)
        ours = partial(_milliseconds, connection, statement, asked)
        raw = partial(_milliseconds, connection, query("exact_percentiles"), whole)
        await alternate(WARM_UP, ours)
        own, peer = await alternate(run.scale.rounds, ours, raw)
        what = f"Percentiles of a service over {run.scale.read_days} days from {buckets}, {engine}"
        points = f"with a series of {buckets} ({step.total_seconds() / 3600:g} h a point)"
        note = f"{points}; the peer reads its raw rows, {exact['good']:,} good ones"
        yield absolute(what, own, "ms", most(20, "ms"), peer=peer, note=note)
        errors = [100 * abs(reported[name] / exact[name] - 1) for name in PERCENTILES]
        note = ", ".join(f"{name} {reported[name]:g} ms, exact {exact[name]:g} ms" for name in PERCENTILES)
        yield absolute(f"{what}: the greatest error", [max(errors)], "%", most(2, "%"), note=note)


async def _month(run: Run, engine: str, small: Connection, large: Connection) -> AsyncIterator[Line]:
    span = {"low": midnight() - timedelta(days=MONTH_DAYS + 1), "high": midnight() - timedelta(days=1)}
    reports, checks = [], []
    for connection in (small, large):
        answers = [await _rows(connection, query(name), span) for name in ("month_from_days", "month_from_checks")]
        assert answers[0] == answers[1], "the two reports differ"
        reports.append(
            [partial(_milliseconds, connection, query(name), span) for name in ("month_from_days", "month_from_checks")]
        )
        checks.append(sum(row[2] for row in answers[0]))
    await alternate(WARM_UP, reports[1][0])
    own, raw = await alternate(max(2, run.scale.rounds // 2), *reports[1])
    ((fewer_raw,),) = await alternate(1, reports[0][1])
    what = f"A month of {run.scale.read_services:,} services, {engine}"
    yield absolute(what, own, "ms", most(300, "ms"))
    note = f"{checks[1]:,} raw rows; of {checks[0]:,} raw rows it takes {fewer_raw:,.0f} ms"
    yield compared(f"{what}: against raw rows", own, raw, "ms", least(100), inverse=True, note=note)
    growth = (median(raw) - fewer_raw) / (checks[1] - checks[0])
    if growth > 0:
        minutely = run.scale.read_services * MONTH_DAYS * 1440
        guess = median(raw) + growth * (minutely - checks[1])
        note = f"the peer is not measured: a straight line drawn on to {minutely:,} raw rows"
        yield compared(f"{what}: against a check a minute", [median(own)], [guess], "ms", inverse=True, note=note)


async def _rows(connection: Connection, statement: LiteralString, values: dict[str, Any]) -> list[tuple[Any, ...]]:
    return await (await connection.execute(statement, values)).fetchall()


async def _first(connection: Connection, statement: LiteralString, values: dict[str, Any]) -> dict[str, Any]:
    async with connection.cursor(row_factory=dict_row) as cursor:
        row = await (await cursor.execute(statement, values)).fetchone()
    assert row is not None
    return row


async def _milliseconds(connection: Connection, statement: LiteralString, values: dict[str, Any]) -> float:
    """From the question to the last row in the client."""
    return 1000 * await seconds(_rows(connection, statement, values))
