"""The aggregates in steady state: what refreshing and compressing cost a raw row, and how soon a late row is shown.

Two days of checks of all services are there, in whose middle one service has none for some minutes. Two days after that
gap checks come in, one a minute of each service, and each quarter of an hour is followed by a refresh. Then rows of the
gap arrive, one at a time; nothing is refreshed any more.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from time import perf_counter

from bench.databases import Connection, Database
from bench.past import make_services, midnight
from bench.recording import Recorder, recorder
from bench.run import Run, query
from bench.usage import cpu_seconds
from prober.store import Check
from sql import aggregates

MINUTE = timedelta(minutes=1)
QUARTER = timedelta(minutes=15)
HOUR = timedelta(hours=1)
BACK = timedelta(days=2)
BEGIN = time(9, 30)
"""Of yesterday. No day ends before the last refresh."""
WARM_UP_QUARTERS = 2
WARM_UP_ROWS = 6
"""A session of PostgreSQL plans a statement anew five times before it keeps a plan; a prober's lives for long."""
LOCATION = "bench"


@dataclass(frozen=True)
class Steady:
    """What was measured on one engine. Costs are microseconds of the server's CPU for a raw row."""

    services: int
    clock: str
    refresh_us: list[float]
    """One figure an hour, so that each holds the end of an hour."""
    bulk_us: float
    """Of the two days, by the first refresh, which makes all aggregates in one go."""
    late_ms: list[float]
    compress_us: float | None
    """None on an engine that compresses nothing."""


async def steady(run: Run, engine: str) -> Steady | None:
    """Measured once in a run. None on a server whose CPU cannot be told."""
    if engine not in run.steady:
        async with run.databases.migrated(engine) as database:
            run.steady[engine] = None
            if database.server_pid is not None:
                async with await database.connect() as connection:
                    run.steady[engine] = await _Installation(run, database, connection).measured()
    return run.steady[engine]


class _Installation:
    def __init__(self, run: Run, database: Database, connection: Connection) -> None:
        self._scale = run.scale
        self._database = database
        self._connection = connection
        self._begin = datetime.combine(midnight() - timedelta(days=1), BEGIN, UTC)
        self._gap = self._begin - BACK

    async def measured(self) -> Steady:
        services = self._scale.steady_services
        await make_services(self._connection, services)
        recorder_ = await recorder(self._connection)
        rows = await self._record_past(recorder_)
        bulk = await self._refresh_cpu() / rows
        hours = await self._record_present(recorder_)
        late = [await self._late_row(recorder_, n) for n in range(self._scale.late_rows + WARM_UP_ROWS)]
        compressed = await self._compress() if self._database.engine == "timescaledb" else None
        return Steady(services, recorder_.clock, hours, 1e6 * bulk, late[WARM_UP_ROWS:], compressed)

    async def _record_past(self, recorder_: Recorder) -> int:
        """An hour in each batch. Returns the number of rows."""
        services, half = self._scale.steady_services, timedelta(hours=self._scale.steady_past_hours) / 2
        gap = (self._gap, self._gap + (self._scale.late_rows + WARM_UP_ROWS) * MINUTE)
        rows, hour = 0, self._gap - half
        while hour < self._gap + half:
            await recorder_.set_clock(hour + HOUR)
            if services > 1:
                rows += (await recorder_.record_noise(1, services - 1, hour, hour + HOUR, 60)).stored
            for low, high in _without(gap, hour, hour + HOUR):
                rows += (await recorder_.record_noise(services, services, low, high, 60)).stored
            hour += HOUR
        return rows

    async def _record_present(self, recorder_: Recorder) -> list[float]:
        """Microseconds a row, for each hour after the warm-up."""
        at, costs = self._begin, list[float]()
        for _ in range(WARM_UP_QUARTERS):
            await self._quarter(recorder_, at)
            at += QUARTER
        for _ in range(self._scale.steady_hours):
            rows, cpu = 0, 0.0
            for _ in range(4):
                more, used = await self._quarter(recorder_, at)
                rows, cpu, at = rows + more, cpu + used, at + QUARTER
            costs.append(1e6 * cpu / rows)
        return costs

    async def _quarter(self, recorder_: Recorder, begin: datetime) -> tuple[int, float]:
        """Fifteen batches, then a refresh: the rows, and the CPU seconds of the refresh."""
        rows = 0
        for minute in range(15):
            low = begin + minute * MINUTE
            await recorder_.set_clock(low + MINUTE)
            rows += (await recorder_.record_noise(1, self._scale.steady_services, low, low + MINUTE, 60)).stored
        return rows, await self._refresh_cpu()

    async def _late_row(self, recorder_: Recorder, number: int) -> float:
        """Milliseconds from BEGIN of the transaction that records it to COMMIT, when all views must show it."""
        low, service = self._gap + number * MINUTE, self._scale.steady_services
        finished = low + timedelta(milliseconds=105)
        phases = (1.25, 4.5, 11.75, 87.5)
        late = Check(f"service-{service}", LOCATION, low, finished, 60, 200, True, "o", 105.0, *phases, 1, None, None)
        began = perf_counter()
        await recorder_.record([late])
        took = 1000 * (perf_counter() - began)
        values = {"service_id": f"service-{service}", "day": low.replace(hour=0, minute=0)}
        row = await (await self._connection.execute(query("views_agree"), values)).fetchone()
        assert row is not None and all(row), f"views without the late row: {row}"
        return took

    async def _compress(self) -> float:
        """Microseconds a row, of the chunks of the past."""
        older_than = {"older_than": self._gap.replace(hour=0, minute=0) + timedelta(days=1)}
        row = await (await self._connection.execute(query("rows_before"), older_than)).fetchone()
        assert row is not None and row[0] > 0
        began = self._cpu()
        await self._connection.execute(query("compress"), older_than)
        return 1e6 * (self._cpu() - began) / float(row[0])

    async def _refresh_cpu(self) -> float:
        began = self._cpu()
        assert await aggregates.refresh(self._connection), "the aggregates are being refreshed elsewhere"
        return self._cpu() - began

    def _cpu(self) -> float:
        assert self._database.server_pid is not None
        return cpu_seconds(self._database.server_pid)


def _without(gap: tuple[datetime, datetime], low: datetime, high: datetime) -> Iterator[tuple[datetime, datetime]]:
    """What of a span lies outside of the gap."""
    for first, last in ((low, min(high, gap[0])), (max(low, gap[1]), high)):
        if first < last:
            yield first, last
