"""All work at the same time, for minutes: recording at a constant rate, refreshes, compression, live feed, requests."""

import math
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from statistics import median
from time import perf_counter
from typing import Any, NamedTuple

import anyio

from bench.api_server import STATUS, persistent_connection, running_api
from bench.databases import Connection, Database
from bench.groups.storage import CHECKS_A_DAY
from bench.history import create_services, midnight
from bench.processes import Child, running_program
from bench.recording import recorder, shift_clock
from bench.report import Result, at_least, at_most, figure
from bench.rollup_costs import QUARTER
from bench.run import Run, query, wait_until
from bench.usage import cpu_seconds
from sql import aggregates

SOCKET = "/ws?rooms=system-status"
MARKER = '"service-1"'
SERVICE_FIGURES = ("/api/response-times/service-2", "/api/uptime/service-2")
RATE_TARGET = at_least(20_000, "rows/s")
LAG_TARGET = at_most(120, "s")
FEED_TARGET = at_most(1000, "ms")
SETUP_OFFSET = timedelta(minutes=-40)
"""The offset of the database's clock during the setup. It is less than the offset of the measurement, so that the clock
never goes back."""
SERVICE_PERIOD_S = 0.1
STATUS_PERIOD_S = 1.0


@dataclass
class Observed:
    """The observations of the tasks that run beside the recording."""

    service_ms: list[float] = field(default_factory=list)
    status_ms: list[float] = field(default_factory=list)
    failed_requests: Counter[str] = field(default_factory=Counter)
    """Responses other than 200, by status and path."""
    refreshes_s: list[float] = field(default_factory=list)
    watermark_ages_s: list[float] = field(default_factory=list)
    compressed_chunks: int = 0
    """The number of chunks that were compressed. Each has the checks of one day."""


class Recorded(NamedTuple):
    """The results of the writer and of the WebSocket client, and the CPU time of each server as a share of one core."""

    rows: int
    seconds: float
    batch_ms: list[float]
    feed_lags_ms: list[float]
    cpu_shares: list[float]


async def measure(run: Run) -> AsyncIterator[Result]:
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        database = await enter(run.databases.migrated())
        connection = await enter(await database.connect())
        await create_services(connection, run.scale.sustained_services)
        await _load_history(run, connection)
        api, port = await enter(running_api(run, database))
        clients, _ = await enter(running_program("websocket_clients", run.folder))
        await clients.request(action="connect", port=port, path=SOCKET, count=1, marker=MARKER)
        offset = _clock_offset(run.scale.sustained_seconds)
        await shift_clock(connection, offset)
        await aggregates.refresh(connection)
        await clients.request(action="take_times")  # discards the frames that followed the connect
        writer = await enter(_running_writer(run, database, offset))
        await _frame_times(clients, 1)  # of the first checks, which are not measured
        pids = [pid for pid in (database.server_pid, api.pid) if pid is not None]
        before = [cpu_seconds(pid) for pid in pids]
        reported, observed = await _record_and_observe(run, database, connection, writer, port)
        cpu = [cpu_seconds(pid) - earlier for pid, earlier in zip(pids, before, strict=True)]
        arrived_at = await _frame_times(clients, len(reported["sent_at"]))
    recorded = Recorded(
        reported["rows"],
        reported["seconds"],
        reported["batch_ms"],
        [1000 * (arrived - sent) for sent, arrived in zip(reported["sent_at"], arrived_at, strict=True)],
        [each / reported["seconds"] for each in cpu],
    )
    for result in _results(run, f"Sustained, {database.engine}", recorded, observed):
        yield result


@asynccontextmanager
async def _running_writer(run: Run, database: Database, offset: timedelta) -> AsyncIterator[Child]:
    """Runs the writer. Yields its process once every service has a check."""
    scale = run.scale
    services, interval_s, batch = scale.sustained_services, scale.sustained_interval_s, scale.sustained_batch
    rate = {"services": services, "interval_s": interval_s, "batch": batch, "offset_s": offset.total_seconds()}
    async with running_program("steady_writer", run.folder, database_url=database.url, **rate) as (writer, _):
        yield writer


def _clock_offset(seconds: float) -> timedelta:
    """The offset of the database's clock with which a quarter of an hour ends in the middle of the measurement."""
    now = datetime.now(UTC)
    end_of_quarter = now.replace(minute=now.minute // 15 * 15, second=0, microsecond=0)
    return end_of_quarter - timedelta(seconds=seconds / 2) - now


async def _load_history(run: Run, connection: Connection) -> None:
    """Records an hour of one service and refreshes, so that there is a watermark. Then inserts days of old checks for
    the compression. The old checks belong to services that do not exist, so that no figure includes them."""
    first, high = run.scale.sustained_services + 1, midnight() - timedelta(days=2)
    low, last = high - timedelta(days=run.scale.sustained_old_days), first + run.scale.sustained_old_services - 1
    recording = await recorder(connection)
    await shift_clock(connection, SETUP_OFFSET)
    now = datetime.now(UTC) + SETUP_OFFSET
    await recording.record_random(2, 2, now - timedelta(hours=1), now, 60)
    await aggregates.refresh(connection)
    old_checks = {"low": low, "high": high, "first": first, "last": last, "every": 60, "hours": 24}
    await connection.execute(query("insert_history"), old_checks)


async def _record_and_observe(
    run: Run, database: Database, connection: Connection, writer: Child, port: int
) -> tuple[dict[str, Any], Observed]:
    """Runs the writer with all other tasks beside it. Returns the response of the writer and the observations."""
    scale, observed = run.scale, Observed()
    seconds = scale.sustained_seconds
    async with await database.connect() as compressing, await database.connect() as watching:
        async with anyio.create_task_group() as group:
            start = group.start_soon
            start(_repeat, scale.sustained_refresh_s, partial(_refresh, connection, observed))
            start(_repeat, min(1.0, seconds / 4), partial(_read_watermark, watching, observed))
            start(_request, port, STATUS_PERIOD_S, (STATUS,), observed.status_ms, observed)
            start(_request, port, SERVICE_PERIOD_S, SERVICE_FIGURES, observed.service_ms, observed)
            if database.engine == "timescaledb":
                start(_compress, compressing, seconds / (scale.sustained_old_days + 1), observed)
            reported = await writer.request(seconds=seconds, timeout_s=2 * seconds + 120)
            group.cancel_scope.cancel()
        await _read_watermark(watching, observed)
    return reported, observed


async def _repeat(period_s: float, work: Callable[[], Awaitable[None]]) -> None:
    while True:
        await work()
        await anyio.sleep(period_s)


async def _refresh(connection: Connection, observed: Observed) -> None:
    began = perf_counter()
    await aggregates.refresh(connection)
    observed.refreshes_s.append(perf_counter() - began)


async def _read_watermark(connection: Connection, observed: Observed) -> None:
    row = await (await connection.execute(query("watermark_age"))).fetchone()
    assert row is not None
    observed.watermark_ages_s.append(float(row[0]))


async def _compress(connection: Connection, period_s: float, observed: Observed) -> None:
    older_than = {"older_than": midnight() - timedelta(days=1)}
    chunks = await (await connection.execute(query("chunks_before"), older_than)).fetchall()
    for (chunk,) in chunks:
        await anyio.sleep(period_s)
        await connection.execute("SELECT compress_chunk(%s::regclass)", (chunk,))
        observed.compressed_chunks += 1


async def _request(
    port: int, period_s: float, paths: Sequence[str], durations_ms: list[float], observed: Observed
) -> None:
    """Sends one request per period at most, for one path after the other, over one connection."""
    async with persistent_connection(port) as connection:
        while True:
            for path in paths:
                began = perf_counter()
                status, _ = await connection.get(path)
                took_s = perf_counter() - began
                durations_ms.append(1000 * took_s)
                if status != 200:
                    observed.failed_requests[f"{status} of {path}"] += 1
                await anyio.sleep(max(0.0, period_s - took_s))


async def _frame_times(clients: Child, changes: int) -> list[float]:
    """Waits for one frame per change and returns the time.monotonic() at which each arrived.

    If there are more frames, it returns more times, and the caller's zip(strict=True) raises ValueError.
    """
    arrived_at = list[float]()

    async def all_arrived() -> bool:
        arrived_at.extend((await clients.request(action="take_times"))["times"])
        return len(arrived_at) >= changes

    await wait_until(all_arrived, f"the frames of {changes} changes")
    return arrived_at


def _results(run: Run, title: str, recorded: Recorded, observed: Observed) -> list[Result]:
    behind_s = [max(0.0, age - QUARTER.total_seconds()) for age in observed.watermark_ages_s]
    note_behind = (
        "time since the end of the first quarter of an hour that is not aggregated (age of the watermark less 15 min);"
        f"\nat most {max(behind_s):.0f} s during the run, in which a quarter ended"
    )
    lags = recorded.feed_lags_ms
    note_feed = f"from before a batch is sent to the WebSocket frame; {len(lags):,} changes, p50 {median(lags):.0f} ms"
    rate = recorded.rows / recorded.seconds
    return [
        figure(f"{title}: rows recorded", [rate], "rows/s", RATE_TARGET, note=_note(run, recorded, observed)),
        figure(f"{title}: delay of the aggregates at the end", behind_s[-1:], "s", LAG_TARGET, note=note_behind),
        _response_time(f"{title}: response time of a service's figures, p99", observed.service_ms, SERVICE_PERIOD_S),
        _response_time(f"{title}: response time of the system status, p99", observed.status_ms, STATUS_PERIOD_S),
        figure(f"{title}: delay of the live feed, p99", [_quantile(lags, 0.99)], "ms", FEED_TARGET, note=note_feed),
    ]


def _note(run: Run, recorded: Recorded, observed: Observed) -> str:
    scale, batch_ms = run.scale, recorded.batch_ms
    planned = scale.sustained_services / scale.sustained_interval_s
    compressed = observed.compressed_chunks * scale.sustained_old_services * CHECKS_A_DAY
    requests = len(observed.service_ms) + len(observed.status_ms)
    failed = ", ".join(f"{count} x {what}" for what, count in observed.failed_requests.items())
    outcome = f"failed: {failed}" if failed else "all 200"
    shares = " and ".join(f"{100 * share:.0f} %" for share in recorded.cpu_shares)
    return (
        f"{recorded.seconds:.0f} s, {planned:,.0f} rows/s planned: {scale.sustained_services:,} services every"
        f" {scale.sustained_interval_s} s, in batches of {scale.sustained_batch:,},"
        f" which took {median(batch_ms):.0f} ms (p99 {_quantile(batch_ms, 0.99):.0f} ms);"
        f"\nat the same time {len(observed.refreshes_s)} refreshes of up to {max(observed.refreshes_s):.1f} s,"
        f" {compressed:,} old rows compressed, and {requests:,} requests ({outcome});"
        f"\ndatabase and API used {shares} of one core"
    )


def _response_time(title: str, durations_ms: list[float], period_s: float) -> Result:
    note = f"p50 {median(durations_ms):.3g} ms; one connection, at most {1 / period_s:g} requests/s, cached or not"
    return figure(title, [_quantile(durations_ms, 0.99)], "ms", note=note)


def _quantile(values: Sequence[float], share: float) -> float:
    """The quantile by nearest rank. `share` is between 0 and 1."""
    return sorted(values)[max(1, math.ceil(share * len(values))) - 1]
