"""All at once, for minutes: recording at a steady pace, refresh, compression, the feed, and a client that reads."""

import math
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from statistics import median
from time import perf_counter
from typing import Any

import anyio

from bench.children import Child, peer
from bench.databases import Connection, Database
from bench.past import make_services, midnight
from bench.recording import number, recorder, shift_clock
from bench.report import Line, absolute, least, most
from bench.run import Run, query, until
from bench.served import STATUS, api, asker
from bench.steady import QUARTER
from bench.storage import ROWS_A_DAY
from bench.usage import cpu_seconds
from sql import aggregates

ROOM = "/ws?rooms=system-status"
MARKER = '"service-1"'
FIGURES = ("/api/response-times/service-2", "/api/uptime/service-2")
ROWS_PER_SECOND = 20_000
BEHIND_S = 120
LAG_MS = 1000
LONG_AGO = timedelta(minutes=-40)
"""The clock of the time before, of which it is only set forward."""
READS_PERIOD_S = 0.1
STATUS_PERIOD_S = 1.0


@dataclass
class Beside:
    """What went on beside the recording."""

    figures_ms: list[float] = field(default_factory=list)
    status_ms: list[float] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    """Requests that were not answered 200, by status and path."""
    refreshes_s: list[float] = field(default_factory=list)
    ages_s: list[float] = field(default_factory=list)
    """How far the watermark was behind the present."""
    compressed: int = 0
    """Chunks of a day."""


async def lines(run: Run) -> AsyncIterator[Line]:
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        database = await enter(run.databases.migrated())
        scale = run.scale
        services, interval_s = scale.sustained_services, scale.sustained_interval_s
        connection = await enter(await database.connect())
        await make_services(connection, services)
        await _prepare(run, connection)
        server, port = await enter(api(run, database))
        clients, _ = await enter(peer("sockets", run.folder))
        await clients.ask(what="connect", port=port, path=ROOM, count=1, marker=MARKER)
        offset = _offset(scale.sustained_seconds)
        shifted = await shift_clock(connection, offset)
        await aggregates.refresh(connection)
        offset_s = offset.total_seconds() if shifted else 0.0
        pace = {"services": services, "interval_s": interval_s, "batch": scale.sustained_batch, "offset_s": offset_s}
        await clients.ask(what="times")  # forgets what came with joining
        writer, _ = await enter(peer("writer", run.folder, database_url=database.url, **pace))
        await _arrivals(clients, 1)  # of the first checks, before the measurement
        pids = [pid for pid in (database.server_pid, server.pid) if pid is not None]
        cpu = [cpu_seconds(pid) for pid in pids]
        reported, beside = await _together(run, database, connection, writer, port)
        used = [cpu_seconds(pid) - before for pid, before in zip(pids, cpu, strict=True)]
        arrived = await _arrivals(clients, len(reported["turns"]))
    lags = [1000 * (at - sent) for sent, at in zip(reported["turns"], arrived, strict=True)]
    shares = " and ".join(f"{100 * each / reported['seconds']:.0f} %" for each in used)
    for line in _lines(run, database.engine, reported, beside, shares, shifted=shifted):
        yield line
    note = f"from before a batch is sent to the frame on a socket; {len(lags):,} changes, p50 {median(lags):.0f} ms"
    yield absolute(
        f"Sustained, {database.engine}: the feed's lag, p99", [_rank(lags, 0.99)], "ms", most(LAG_MS, "ms"), note=note
    )


def _offset(seconds: float) -> timedelta:
    """Back to where a quarter of an hour ends in the middle of the run."""
    now = datetime.now(UTC)
    ended = now.replace(minute=now.minute // 15 * 15, second=0, microsecond=0)
    return ended - timedelta(seconds=seconds / 2) - now


async def _prepare(run: Run, connection: Connection) -> None:
    """An hour of one service, so that there is a watermark. Then chunks that are old enough for compression, of
    services that are gone: nobody reads their aggregates."""
    first, high = run.scale.sustained_services + 1, midnight() - timedelta(days=2)
    low, last = high - timedelta(days=run.scale.sustained_old_days), first + run.scale.sustained_old_services - 1
    values = {"low": low, "high": high, "first": first, "last": last}
    seed = await recorder(connection)
    now = datetime.now(UTC) + (LONG_AGO if await shift_clock(connection, LONG_AGO) else timedelta())
    await seed.record_noise(2, 2, now - timedelta(hours=1), now, 60)
    await aggregates.refresh(connection)
    await connection.execute(query("load_checks"), {**values, "every": 60, "hours": 24})


async def _together(
    run: Run, database: Database, connection: Connection, writer: Child, port: int
) -> tuple[dict[str, Any], Beside]:
    """What the writer tells, after all the others have worked beside it."""
    seconds, beside = run.scale.sustained_seconds, Beside()
    async with await database.connect() as compressing, await database.connect() as watching:
        async with anyio.create_task_group() as group:
            group.start_soon(_repeat, run.scale.sustained_refresh_s, partial(_refresh, connection, beside))
            group.start_soon(_repeat, min(1.0, seconds / 4), partial(_watch, watching, beside))
            group.start_soon(_read, port, STATUS_PERIOD_S, (STATUS,), beside.status_ms, beside)
            group.start_soon(_read, port, READS_PERIOD_S, FIGURES, beside.figures_ms, beside)
            if database.engine == "timescaledb":
                group.start_soon(_compress, compressing, seconds / (run.scale.sustained_old_days + 1), beside)
            reported = await writer.ask(seconds=seconds, patience_s=2 * seconds + 120)
            group.cancel_scope.cancel()
        await _watch(watching, beside)
    return reported, beside


async def _repeat(period_s: float, work: Callable[[], Awaitable[None]]) -> None:
    while True:
        await work()
        await anyio.sleep(period_s)


async def _refresh(connection: Connection, beside: Beside) -> None:
    began = perf_counter()
    await aggregates.refresh(connection)
    beside.refreshes_s.append(perf_counter() - began)


async def _watch(connection: Connection, beside: Beside) -> None:
    beside.ages_s.append(await number(connection, "watermark_age"))


async def _compress(connection: Connection, period_s: float, beside: Beside) -> None:
    chunks = await (
        await connection.execute(query("old_chunks"), {"older_than": midnight() - timedelta(days=1)})
    ).fetchall()
    for (chunk,) in chunks:
        await anyio.sleep(period_s)
        await connection.execute("SELECT compress_chunk(%s::regclass)", (chunk,))
        beside.compressed += 1


async def _read(port: int, period_s: float, paths: Sequence[str], took: list[float], beside: Beside) -> None:
    """One kept connection, at most so many requests a second, each path in turn."""
    async with asker(port) as client:
        while True:
            for path in paths:
                began = perf_counter()
                status, _ = await client.get(path)
                spent_s = perf_counter() - began
                took.append(1000 * spent_s)
                beside.refused.update([f"{status} of {path}"] if status != 200 else [])
                await anyio.sleep(max(0.0, period_s - spent_s))


async def _arrivals(clients: Child, changes: int) -> list[float]:
    """When the frames of so many changes came; the feed loses none and tells none twice."""
    arrived = list[float]()

    async def all_there() -> bool:
        arrived.extend((await clients.ask(what="times"))["times"])
        return len(arrived) >= changes

    await until(all_there, f"the frames of {changes} changes")
    return arrived


def _lines(
    run: Run, engine: str, reported: dict[str, Any], beside: Beside, shares: str, *, shifted: bool
) -> list[Line]:
    scale, what = run.scale, f"Sustained, {engine}"
    offered = scale.sustained_services / scale.sustained_interval_s
    requests = len(beside.figures_ms) + len(beside.status_ms)
    refused = (
        "not answered: " + ", ".join(f"{n} x {what}" for what, n in beside.refused.items())
        if beside.refused
        else "all answered 200"
    )
    compressed = beside.compressed * scale.sustained_old_services * ROWS_A_DAY
    note = (
        f"{reported['seconds']:.0f} s, {offered:,.0f} rows/s offered: {scale.sustained_services:,} services each"
        f" {scale.sustained_interval_s} s, batches of {scale.sustained_batch:,}, which took"
        f" {median(reported['took']):.0f} ms (p99 {_rank(reported['took'], 0.99):.0f} ms);"
        f"\nbeside it {len(beside.refreshes_s)} refreshes, the longest {max(beside.refreshes_s):.1f} s,"
        f" {compressed:,} old rows compressed, and {requests:,} requests, {refused};"
        f"\ndatabase and API took {shares} of a core"
    )
    behind = [max(0.0, age - QUARTER.total_seconds()) for age in beside.ages_s]
    when = "a quarter ended in mid-run" if shifted else "by the real clock, whether or not a quarter ended in the run"
    note_behind = (
        "how long ago the first quarter ended that is not in the aggregates: the age of the watermark less 15 min,"
        f"\nwhen the last batch is stored; the most, asked every second: {max(behind):.0f} s; the watermark itself was"
        f" {beside.ages_s[-1]:.0f} s old at the end, {max(beside.ages_s):.0f} s at most; {when}"
    )
    return [
        absolute(
            f"{what}: rows recorded",
            [reported["rows"] / reported["seconds"]],
            "rows/s",
            least(ROWS_PER_SECOND, "rows/s"),
            note=note,
        ),
        absolute(f"{what}: aggregates behind at the end", behind[-1:], "s", most(BEHIND_S, "s"), note=note_behind),
        _latency(f"{what}: reads of one service's figures, p99", beside.figures_ms, READS_PERIOD_S),
        _latency(f"{what}: reads of the system status, p99", beside.status_ms, STATUS_PERIOD_S),
    ]


def _latency(what: str, took: list[float], period_s: float) -> Line:
    note = (
        f"p50 {median(took):.3g} ms; one connection, at most {1 / period_s:g} requests/s, from the API's memory or not"
    )
    return absolute(what, [_rank(took, 0.99)], "ms", note=note)


def _rank(values: Sequence[float], share: float) -> float:
    """The nearest rank."""
    return sorted(values)[max(1, math.ceil(share * len(values))) - 1]
