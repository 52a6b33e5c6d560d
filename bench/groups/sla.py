"""The duration of a monthly report of service levels, and of the service level of one service over REST."""

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import LiteralString

import httpx
from psycopg.rows import dict_row

import sql
from bench.api_server import running_api
from bench.databases import Connection
from bench.history import create_services, midnight
from bench.report import Result, at_most, figure
from bench.run import Run, alternate, duration_s, query
from sql import aggregates

REPORT: LiteralString = """
SELECT * FROM sla_levels(ARRAY(SELECT id FROM services), %(first_day)s, %(last_day)s, present())
"""
WARM_UP_ROUNDS = 6
"""psycopg prepares a statement after five executions."""
LEAST_OUTAGES = 20


async def measure(run: Run) -> AsyncIterator[Result]:
    """Measures the last whole month. The product's functions make its aggregates and episodes from raw checks."""
    services = run.scale.sla_services
    last_day = midnight().date().replace(day=1) - timedelta(days=1)
    month = {"first_day": last_day.replace(day=1), "last_day": last_day}
    for engine in run.databases.engines:
        async with AsyncExitStack() as stack:
            database = await stack.enter_async_context(run.databases.migrated(engine))
            connection = await stack.enter_async_context(await database.connect())
            note = await _load(connection, engine, services, month["first_day"])
            outages = await _fewest_outages(connection, month)
            assert outages >= LEAST_OUTAGES, f"{outages} outages of a service"
            report = partial(_report_ms, connection, month)
            await alternate(WARM_UP_ROUNDS, report)
            [measured] = await alternate(run.scale.rounds, report)
            title = f"Service levels of {services:,} services in a month, {engine}: query time"
            yield figure(
                title, measured, "ms", at_most(300, "ms"), note=f"at least {outages} outages a service; {note}"
            )
            for result in await _measure_others(run, engine, connection):
                yield result
            _, port = await stack.enter_async_context(running_api(run, database))
            client = await stack.enter_async_context(httpx.AsyncClient(trust_env=False, timeout=30))
            for number in range(WARM_UP_ROUNDS * 4):
                await _request_ms(client, port, number)
            requests = [await _request_ms(client, port, 1000 + number) for number in range(4 * run.scale.rounds)]
            title = f"Service level of a service, {services:,} services, {engine}: response time without cache"
            yield figure(title, requests, "ms", at_most(20, "ms"))


async def _measure_others(run: Run, engine: str, connection: Connection) -> list[Result]:
    """The status page when a policy applies to all services, and a round of the alerts on budgets."""
    began, refresh = time.perf_counter(), sql.query("sla/days/refresh")
    while (await (await connection.execute(refresh, {"most": 100})).fetchone() or (0,))[0] > 0:
        pass
    note = f"days stored in {time.perf_counter() - began:.0f} s"
    await connection.execute("VACUUM ANALYZE")
    status = partial(_query_ms, connection, sql.query("status/system_status"))
    alerts = partial(_query_ms, connection, "SELECT turn_alerts()")
    await alternate(WARM_UP_ROUNDS, status, alerts)
    statuses, rounds = await alternate(3 * run.scale.rounds, status, alerts)
    services = f"{run.scale.sla_services:,} services with an SLA policy, {engine}"
    return [
        figure(f"System status, {services}: query time", statuses, "ms", at_most(20, "ms"), note=note),
        figure(f"Alerts on error budgets, {services}: query time once a minute", rounds, "ms", at_most(1000, "ms")),
    ]


async def _query_ms(connection: Connection, statement: LiteralString) -> float:
    async def rows() -> None:
        await (await connection.execute(statement)).fetchall()

    return 1000 * await duration_s(rows())


async def _load(connection: Connection, engine: str, services: int, first_day: date) -> str:
    """Loads checks from `first_day` until now. Returns a description with the number of rows and the durations."""
    began = time.perf_counter()
    await create_services(connection, services)
    await connection.execute(query("sla_policy"))
    low = datetime.combine(first_day, midnight().timetz())
    # The last check of each service is under way now.
    high = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    span = {"low": low, "high": high, "count": services}
    rows = (await connection.execute(query("insert_outages"), span)).rowcount
    loaded = time.perf_counter()
    await aggregates.refresh(connection)
    for number in range(1, services + 1):
        bounds = (f"service-{number}", low, high)
        await connection.execute("CALL rebuild_episodes(%s, %s, %s)", bounds)
    if engine == "timescaledb":
        await connection.execute(query("compress_chunks"), {"older_than": midnight() - timedelta(days=2)})
    await connection.execute("VACUUM ANALYZE")
    done = time.perf_counter()
    return f"{rows:,} raw rows, loaded in {loaded - began:.0f} s, aggregates and episodes made in {done - loaded:.0f} s"


async def _fewest_outages(connection: Connection, month: dict[str, date]) -> int:
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(REPORT, month)
        return min(int(level["outages"]) for level in await cursor.fetchall())


async def _report_ms(connection: Connection, month: dict[str, date]) -> float:
    """Milliseconds until the client has the last row."""

    async def rows() -> None:
        await (await connection.execute(REPORT, month)).fetchall()

    return 1000 * await duration_s(rows())


async def _request_ms(client: httpx.AsyncClient, port: int, number: int) -> float:
    """Milliseconds of a request that is never served from the cache: each one has another `asOf`."""
    moment = f"2100-01-01T00:00:00.{number:06}Z"
    began = time.perf_counter()
    response = await client.get(f"http://127.0.0.1:{port}/api/sla/services/service-1", params={"asOf": moment})
    elapsed = time.perf_counter() - began
    assert response.status_code == 200, response.text
    return 1000 * elapsed
