"""Ingest: the recorder's transaction against a bare binary COPY, and against the requirements document's algorithm."""

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import LiteralString

from bench.databases import Connection, Database
from bench.recording import column_types, copy
from bench.report import Line, compared, least
from bench.run import Run, alternate, query
from bench.trd import CONNECTIONS, collector
from prober.metrics import Metrics
from prober.store import Check, Store

LOCATION = "bench"
TIMEOUT_S = 60
COPY_FACTORS = (0.35, 0.3)
TRD_FACTORS = (150, 40)
"""Targets of the large and of the small batches."""
TRD_CHECKS = 100
FAILS_EVERY = 999
"""No divisor of the batches' sizes, so that it is not always the same service."""


class Batches:
    """One row for each of some services, a second later each time, up to the present. One check in a thousand fails,
    and the next one of that service is good again: each of them moves a state, an outage and the feed."""

    def __init__(self, first: datetime) -> None:
        self.at = first
        self._made = 0

    def next(self, services: int) -> list[Check]:
        self.at += timedelta(seconds=1)
        return [self._check(n) for n in range(1, services + 1)]

    def _check(self, service: int) -> Check:
        self._made += 1
        failing = self._made % FAILS_EVERY == 0
        at = self.at + timedelta(milliseconds=57 * service)
        ms = 40 + (service * 7919 + self._made * 104729) % 1000 / 10
        return Check(
            f"service-{service}",
            LOCATION,
            at,
            at + timedelta(milliseconds=ms),
            60,
            None if failing else 200,
            not failing,
            "mo" if failing else "o",
            ms,
            1.25,
            4.5,
            None if failing else 11.75,
            None if failing else ms - 18,
            1,
            "connection_error" if failing else None,
            "connection refused" if failing else None,
        )


async def lines(run: Run) -> AsyncIterator[Line]:
    for engine in run.databases.engines:
        async with run.databases.migrated(engine) as database:
            async for line in _on(run, database):
                yield line


async def _on(run: Run, database: Database) -> AsyncIterator[Line]:
    scale = run.scale
    sizes = (scale.ingest_services, scale.ingest_small)
    batches = Batches(datetime.now(UTC) - timedelta(seconds=60))
    store = Store(database.url, LOCATION, Metrics())
    async with AsyncExitStack() as stack:
        stack.push_async_callback(store.close)
        connection = await stack.enter_async_context(await database.connect())
        values = {"count": scale.ingest_services, "urls": ["http://127.0.0.1:9/"], "interval_seconds": 60}
        await connection.execute(query("services"), values)
        await connection.execute(query("bare_tables"))
        for size in sizes:
            async for line in _against_copy(run, database, connection, store, batches, size):
                yield line
        trd = await stack.enter_async_context(collector(database, scale.trd_services, scale.trd_rows_of_today))
        ours = [partial(_store_rate, store, partial(batches.next, size)) for size in sizes]
        peers = [partial(trd.checks_per_second, TRD_CHECKS, connections) for connections in (CONNECTIONS, 1)]
        await alternate(1, *ours, *peers)
        large, small, together, in_turn = await alternate(scale.rounds, *ours, *peers)
    note = f"{scale.trd_rows_of_today:,} response times of today for each service, {TRD_CHECKS} checks a round"
    for size, own, factor in zip(sizes, (large, small), TRD_FACTORS, strict=True):
        what = f"Ingest, {size:,} rows, {database.engine}: against the TRD's algorithm"
        yield compared(f"{what}, one at a time", own, in_turn, "rows/s", least(factor), note=note)
        note_here = f"{CONNECTIONS} at a time, as many as its ORM has connections on two cores"
        yield compared(what, own, together, "rows/s", note=note_here)


async def _against_copy(
    run: Run, database: Database, connection: Connection, store: Store, batches: Batches, size: int
) -> AsyncIterator[Line]:
    batch: list[Check] = []

    def next_batch() -> Sequence[Check]:
        batch[:] = batches.next(size)
        return batch

    ours = partial(_store_rate, store, next_batch)
    types = await column_types(connection, "bare_checks")
    keyed, bare = (partial(_copy_rate, connection, table, types, batch) for table in ("keyed_checks", "bare_checks"))
    await alternate(2, ours, keyed, bare)  # plans and caches
    own, with_key, without = await alternate(run.scale.ingest_rounds, ours, keyed, bare)
    target = least(COPY_FACTORS[0 if size == run.scale.ingest_services else 1])
    what = f"Ingest, {size:,} rows, {database.engine}: against COPY"
    yield compared(what, own, with_key, "rows/s", target, note="into a table of the same shape and key")
    yield compared(f"{what}, no key", own, without, "rows/s")


async def _store_rate(store: Store, next_batch: Callable[[], Sequence[Check]]) -> float:
    batch = next_batch()
    began = time.perf_counter()
    recorded = await store.record(batch, TIMEOUT_S)
    took = time.perf_counter() - began
    assert recorded.stored == len(batch), recorded
    return float(len(batch) / took)


async def _copy_rate(
    connection: Connection, table: LiteralString, types: Sequence[int], batch: Sequence[Check]
) -> float:
    began = time.perf_counter()
    async with connection.cursor() as cursor:
        await copy(cursor, table, types, batch)
    return len(batch) / (time.perf_counter() - began)
