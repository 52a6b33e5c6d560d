"""The rate at which the prober's code records checks, compared with a bare binary COPY and with the TRD's algorithm."""

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import LiteralString

from bench.checks import FAILS_EVERY, LOCATION, make_check
from bench.databases import Connection, Database
from bench.recording import column_types, copy
from bench.report import Result, Target, at_least, comparison
from bench.run import Run, alternate, query
from bench.trd import CONNECTIONS, MetricsCollector, metrics_collector
from prober.metrics import Metrics
from prober.store import Check, Store

TIMEOUT_S = 60
COPY_TARGETS = (at_least(0.35), at_least(0.3))
TRD_TARGETS = (at_least(150), at_least(40))
"""For the large and the small batch."""
TRD_CHECKS = 100


class Batches:
    """Makes batches of one check per service. Each batch is a second later than the last one, up to the present.

    One check in a thousand fails, and the next check of that service succeeds: both change a state, an outage and the
    event feed.
    """

    def __init__(self, first: datetime) -> None:
        self._at = first
        self._checks_made = 0

    def next(self, services: int) -> list[Check]:
        self._at += timedelta(seconds=1)
        return [self._check(n) for n in range(1, services + 1)]

    def _check(self, service: int) -> Check:
        self._checks_made += 1
        good = self._checks_made % FAILS_EVERY != 0
        return make_check(service, self._checks_made, self._at + timedelta(milliseconds=57 * service), 60, good=good)


async def measure(run: Run) -> AsyncIterator[Result]:
    for engine in run.databases.engines:
        async with run.databases.migrated(engine) as database:
            async for result in _measure_on(run, database):
                yield result


async def _measure_on(run: Run, database: Database) -> AsyncIterator[Result]:
    scale = run.scale
    sizes = (scale.ingest_large_batch, scale.ingest_small_batch)
    batches = Batches(datetime.now(UTC) - timedelta(seconds=60))
    store = Store(database.url, LOCATION, Metrics())
    async with AsyncExitStack() as stack:
        stack.push_async_callback(store.close)
        connection = await stack.enter_async_context(await database.connect())
        values = {"count": scale.ingest_large_batch, "urls": ["http://127.0.0.1:9/"], "interval_seconds": 60}
        await connection.execute(query("services"), values)
        await connection.execute(query("copy_tables"))
        for size, target in zip(sizes, COPY_TARGETS, strict=True):
            title = f"Ingest, batches of {size:,} rows, {database.engine}"
            for result in await _compare_with_copy(run, connection, store, partial(batches.next, size), title, target):
                yield result
        services, rows = scale.trd_services, scale.trd_rows_of_today
        trd = await stack.enter_async_context(metrics_collector(database, services, rows))
        for result in await _compare_with_trd(run, database, store, batches, trd):
            yield result


async def _compare_with_copy(
    run: Run,
    connection: Connection,
    store: Store,
    make_batch: Callable[[], Sequence[Check]],
    title: str,
    target: Target,
) -> list[Result]:
    """Each batch is recorded and then copied, with the same rows."""
    batch: list[Check] = []

    def next_batch() -> Sequence[Check]:
        batch[:] = make_batch()
        return batch

    record = partial(_record_rate, store, next_batch)
    types = await column_types(connection, "checks_without_key")
    with_key, without_key = (
        partial(_copy_rate, connection, table, types, batch) for table in ("checks_with_key", "checks_without_key")
    )
    await alternate(2, record, with_key, without_key)  # fills caches and makes plans
    recorded, keyed, unkeyed = await alternate(run.scale.ingest_rounds, record, with_key, without_key)
    note = "into a table with the columns and the primary key of checks"
    return [
        comparison(f"{title}: vs COPY with a primary key", recorded, keyed, "rows/s", target, note=note),
        comparison(f"{title}: vs COPY without a primary key", recorded, unkeyed, "rows/s"),
    ]


async def _compare_with_trd(
    run: Run, database: Database, store: Store, batches: Batches, trd: MetricsCollector
) -> list[Result]:
    sizes = (run.scale.ingest_large_batch, run.scale.ingest_small_batch)
    product = [partial(_record_rate, store, partial(batches.next, size)) for size in sizes]
    references = [partial(trd.checks_per_second, TRD_CHECKS, connections) for connections in (CONNECTIONS, 1)]
    await alternate(1, *product, *references)
    large, small, many_connections, one_connection = await alternate(run.scale.rounds, *product, *references)
    rows = run.scale.trd_rows_of_today
    note = f"the TRD's tables have {rows:,} response times of today for each service; {TRD_CHECKS} checks a round"
    note_many = f"{CONNECTIONS} connections are the default of the TRD's ORM on two cores"
    results = []
    for size, recorded, target in zip(sizes, (large, small), TRD_TARGETS, strict=True):
        title = f"Ingest, batches of {size:,} rows, {database.engine}: vs the TRD's algorithm"
        results += [
            comparison(f"{title}, 1 connection", recorded, one_connection, "rows/s", target, note=note),
            comparison(f"{title}, {CONNECTIONS} connections", recorded, many_connections, "rows/s", note=note_many),
        ]
    return results


async def _record_rate(store: Store, next_batch: Callable[[], Sequence[Check]]) -> float:
    """Rows per second."""
    batch = next_batch()
    began = time.perf_counter()
    recorded = await store.record(batch, TIMEOUT_S)
    took = time.perf_counter() - began
    assert recorded.stored == len(batch), recorded
    return float(len(batch) / took)


async def _copy_rate(
    connection: Connection, table: LiteralString, types: Sequence[int], batch: Sequence[Check]
) -> float:
    """Rows per second."""
    began = time.perf_counter()
    async with connection.cursor() as cursor:
        await copy(cursor, table, types, batch)
    return len(batch) / (time.perf_counter() - began)
