"""The algorithm with which the technical requirements document (TRD) records a check, as a reference.

It runs the statements of the TRD's metricsCollector. Each statement is its own transaction, as the TRD's ORM sends
them. For every check, the client computes the statistics of the day again from all response times of the day.
"""

import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from statistics import fmean

import anyio
from psycopg.sql import SQL, Literal

from bench.databases import Connection, Database
from bench.run import query

CONNECTIONS = 5
"""The default pool size of the TRD's ORM on two cores."""
_SEVERITY_ORDER = {"o": 0, "po": 1, "mo": 2, "nd": 3}


class MetricsCollector:
    """Records successful checks. Each connection records one check at a time."""

    def __init__(self, connections: list[Connection], services: int) -> None:
        self._connections = connections
        self._services = services
        self._next = 0

    async def checks_per_second(self, count: int, connections: int = CONNECTIONS) -> float:
        """Records `count` checks, of one service after the other. Returns the rate."""
        unrecorded = deque(f"service-{1 + (self._next + n) % self._services}" for n in range(count))
        self._next += count

        async def work(connection: Connection) -> None:
            while unrecorded:
                await _record(connection, unrecorded.popleft(), 120)

        began = time.perf_counter()
        async with anyio.create_task_group() as group:
            for connection in self._connections[:connections]:
                group.start_soon(work, connection)
        return count / (time.perf_counter() - began)


@asynccontextmanager
async def metrics_collector(database: Database, services: int, rows_of_today: int) -> AsyncIterator[MetricsCollector]:
    """Creates the TRD's tables, with `rows_of_today` response times of today for each service. Yields the collector."""
    async with AsyncExitStack() as stack:
        connections = [await stack.enter_async_context(await database.connect()) for _ in range(CONNECTIONS)]
        values = {"services": Literal(services), "rows_of_today": Literal(rows_of_today)}
        await connections[0].execute(SQL(query("trd_tables")).format(**values))
        yield MetricsCollector(connections, services)


async def _record(connection: Connection, service: str, response_time_ms: int) -> None:
    """Records one successful check."""
    now = datetime.now(UTC)
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    values = {"service": service, "ms": response_time_ms, "time": now, "date": today}
    await connection.execute(query("trd_log"), values)
    await connection.execute(query("trd_response_time"), values)
    found = await (await connection.execute(query("trd_find_uptime"), values)).fetchone()
    if found is None:
        await connection.execute(query("trd_create_uptime"), values)
    else:
        status = found[3] if _SEVERITY_ORDER[found[3]] >= _SEVERITY_ORDER["o"] else "o"
        await connection.execute(query("trd_update_uptime"), {**values, "status": status})
    await connection.execute(query("trd_count_call"), values)
    rows = await (await connection.execute(query("trd_times_of_today"), values)).fetchall()
    times = [row[0] for row in rows]
    statistics = {"average": round(fmean(times)), "longest": max(times), "shortest": min(times)}
    await connection.execute(query("trd_store_stats"), {**values, **statistics})
