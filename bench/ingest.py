"""Ingest: the recorder's transaction against a bare binary COPY, and against the requirements document's algorithm."""

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import LiteralString

import msgspec

import sql
from bench.databases import Connection, Database
from bench.report import Line, compared, least
from bench.run import Run, alternate, query
from bench.trd import CONNECTIONS, collector
from prober.metrics import Metrics
from prober.store import Check, Store
from sql import aggregates

LOCATION = "bench"
TIMEOUT_S = 60
TYPES = (
    *("text", "text", "timestamptz", "timestamptz", "int4", "int2", "bool", "text"),
    *("float4", "float4", "float4", "float4", "float4", "int2", "text", "text"),
    *("timestamptz", "text"),
)
TRD_CHECKS = 100
FAILS_EVERY = 999
"""No divisor of the batches' sizes, so that it is not always the same service."""


class Batches:
    """One row for each of some services, a minute later each time. One check in a thousand fails, and the next one of
    that service is good again: each of them moves a state, an outage and the feed."""

    def __init__(self, first: datetime) -> None:
        self.at = first
        self._made = 0

    def next(self, services: int) -> list[Check]:
        self.at += timedelta(minutes=1)
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
    batches = Batches(datetime.now(UTC) - timedelta(minutes=2 * scale.ingest_rounds + 2 * scale.rounds + 10))
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
        kept = await _aggregates_row_seconds(connection, database.engine, batches)
        rate, plain = (
            f"{1 / kept:,.0f} rows/s",
            "quarters of an hour with their latency bins, hours and days of the last day",
        )
        yield Line(
            f"Ingest, {database.engine}: aggregates refreshed behind it",
            rate,
            note=f"{kept * 1e6:.3g} us a row: {plain}",
        )
        trd = await stack.enter_async_context(collector(database, scale.trd_services, scale.trd_rows_of_today))
        ours = [partial(_store_rate, store, partial(batches.next, size)) for size in sizes]
        peers = [partial(trd.checks_per_second, TRD_CHECKS, connections) for connections in (CONNECTIONS, 1)]
        await alternate(1, *ours, *peers)
        large, small, together, in_turn = await alternate(scale.rounds, *ours, *peers)
    note = f"{scale.trd_rows_of_today:,} response times of today for each service, {TRD_CHECKS} checks a round"
    for size, own, factor in zip(sizes, (large, small), (200, 40), strict=True):
        what = f"Ingest, {size:,} rows, {database.engine}: against the TRD's algorithm"
        note_here = f"{note}, {CONNECTIONS} at a time, as many as its ORM has connections on two cores"
        yield compared(what, own, together, "rows/s", least(factor), note=note_here)
        yield compared(f"{what}, one at a time", own, in_turn, "rows/s", least(factor))


async def _against_copy(
    run: Run, database: Database, connection: Connection, store: Store, batches: Batches, size: int
) -> AsyncIterator[Line]:
    batch: list[Check] = []

    def next_batch() -> Sequence[Check]:
        batch[:] = batches.next(size)
        return batch

    ours = partial(_store_rate, store, next_batch)
    keyed, bare = (
        partial(_copy_rate, connection, _copy_into(table), batch) for table in ("keyed_checks", "bare_checks")
    )
    await alternate(2, ours, keyed, bare)  # plans and caches
    own, with_key, without = await alternate(run.scale.ingest_rounds, ours, keyed, bare)
    target = least(0.3) if size == run.scale.ingest_services else None
    what = f"Ingest, {size:,} rows, {database.engine}: against COPY"
    yield compared(what, own, with_key, "rows/s", target, note="into a table of the same shape and key")
    yield compared(f"{what}, no key", own, without, "rows/s")


def _copy_into(table: LiteralString) -> LiteralString:
    """The recorder's COPY, into another table."""
    return sql.query("checks/copy").replace("incoming_checks", table)


async def _store_rate(store: Store, next_batch: Callable[[], Sequence[Check]]) -> float:
    batch = next_batch()
    began = time.perf_counter()
    recorded = await store.record(batch, TIMEOUT_S)
    took = time.perf_counter() - began
    assert recorded.stored == len(batch), recorded
    return float(len(batch) / took)


async def _copy_rate(connection: Connection, statement: LiteralString, batch: Sequence[Check]) -> float:
    began = time.perf_counter()
    async with connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.set_types(TYPES)
        for check in batch:
            await copy.write_row(msgspec.structs.astuple(check))
    return len(batch) / (time.perf_counter() - began)


async def _aggregates_row_seconds(connection: Connection, engine: str, batches: Batches) -> float:
    """What the prober's housekeeping, or TimescaleDB's policies in its place, do for the rows that were stored."""
    began = time.perf_counter()
    await aggregates.refresh(connection)
    if engine == "timescaledb":
        low = batches.at - timedelta(days=1)
        await connection.execute("CALL refresh_aggregates(%s, %s)", (low, datetime.now(UTC)))
    took = time.perf_counter() - began
    row = await (await connection.execute(query("materialised"))).fetchone()
    assert row is not None
    return float(took / max(1, row[0]))
