"""The cost of aggregating and compressing a raw row, and the time to record a late row.

The setup has these steps:

1. Record a history of all services. One service has no checks for some minutes in the middle of it: the gap.
2. Aggregate the history with one refresh.
3. Two days after the gap, record one check a minute of each service, with a refresh after each quarter of an hour.
4. Record checks for the gap, one at a time, without a refresh. They are late rows.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from time import perf_counter

from bench.checks import LOCATION
from bench.databases import Connection, Database
from bench.history import create_services, midnight
from bench.recording import Recorder, recorder
from bench.run import RollupCosts, Run, query
from bench.usage import cpu_seconds
from prober.store import Check
from sql import aggregates

MINUTE = timedelta(minutes=1)
QUARTER = timedelta(minutes=15)
HOUR = timedelta(hours=1)
LATE_BY = timedelta(days=2)
BEGIN = time(9, 30)
"""The time of yesterday at which step 3 begins. No day ends before the last refresh."""
WARM_UP_QUARTERS = 2
WARM_UP_ROWS = 6
"""The first late rows are not measured. PostgreSQL makes a new plan for each of the first five executions of a prepared
statement; the session of a prober is usually older."""


async def rollup_costs(run: Run, engine: str) -> RollupCosts | None:
    """Measures the costs, once per run and engine. Returns None if the CPU time of the server is unknown."""
    if engine not in run.rollup_costs:
        async with run.databases.migrated(engine) as database:
            run.rollup_costs[engine] = None
            if database.server_pid is not None:
                async with await database.connect() as connection:
                    run.rollup_costs[engine] = await _Measurement(run, database, connection).measure()
    return run.rollup_costs[engine]


class _Measurement:
    """The steps of the setup, on one database."""

    def __init__(self, run: Run, database: Database, connection: Connection) -> None:
        self._scale = run.scale
        self._database = database
        self._connection = connection
        self._begin = datetime.combine(midnight() - timedelta(days=1), BEGIN, UTC)
        self._gap = self._begin - LATE_BY

    async def measure(self) -> RollupCosts:
        services = self._scale.rollup_services
        await create_services(self._connection, services)
        recording = await recorder(self._connection)
        rows = await self._record_history(recording)
        history = await self._refresh_cpu_seconds() / rows
        hours = await self._record_hours(recording)
        late = [await self._record_late(recording, n) for n in range(self._scale.late_rows + WARM_UP_ROWS)]
        compress = await self._compress() if self._database.engine == "timescaledb" else None
        return RollupCosts(services, hours, 1e6 * history, late[WARM_UP_ROWS:], compress)

    async def _record_history(self, recording: Recorder) -> int:
        """Step 1, in batches of an hour. Returns the number of rows."""
        services, half = self._scale.rollup_services, timedelta(hours=self._scale.rollup_history_hours) / 2
        gap = (self._gap, self._gap + (self._scale.late_rows + WARM_UP_ROWS) * MINUTE)
        rows, hour = 0, self._gap - half
        while hour < self._gap + half:
            await recording.set_clock(hour + HOUR)
            if services > 1:
                rows += (await recording.record_random(1, services - 1, hour, hour + HOUR, 60)).stored
            for low, high in _outside(gap, hour, hour + HOUR):
                rows += (await recording.record_random(services, services, low, high, 60)).stored
            hour += HOUR
        return rows

    async def _record_hours(self, recording: Recorder) -> list[float]:
        """Step 3. Returns microseconds of CPU time per row, one figure for each hour after the warm-up."""
        at, costs = self._begin, list[float]()
        for _ in range(WARM_UP_QUARTERS):
            await self._record_quarter(recording, at)
            at += QUARTER
        for _ in range(self._scale.rollup_hours):
            rows, cpu = 0, 0.0
            for _ in range(4):
                more, used = await self._record_quarter(recording, at)
                rows, cpu, at = rows + more, cpu + used, at + QUARTER
            costs.append(1e6 * cpu / rows)
        return costs

    async def _record_quarter(self, recording: Recorder, begin: datetime) -> tuple[int, float]:
        """Fifteen batches and a refresh. Returns the number of rows and the CPU seconds of the refresh."""
        rows = 0
        for minute in range(15):
            low = begin + minute * MINUTE
            await recording.set_clock(low + MINUTE)
            rows += (await recording.record_random(1, self._scale.rollup_services, low, low + MINUTE, 60)).stored
        return rows, await self._refresh_cpu_seconds()

    async def _record_late(self, recording: Recorder, number: int) -> float:
        """Records one row of the gap. Returns the milliseconds from BEGIN to COMMIT. Raises AssertionError if a view
        does not include the row after COMMIT."""
        low, service = self._gap + number * MINUTE, self._scale.rollup_services
        finished = low + timedelta(milliseconds=105)
        phases = (1.25, 4.5, 11.75, 87.5)
        late = Check(f"service-{service}", LOCATION, low, finished, 60, 200, True, "o", 105.0, *phases, 1, None, None)
        began = perf_counter()
        await recording.record([late])
        took = 1000 * (perf_counter() - began)
        values = {"service_id": f"service-{service}", "day": low.replace(hour=0, minute=0)}
        row = await (await self._connection.execute(query("views_match_checks"), values)).fetchone()
        assert row is not None and all(row), f"views without the late row: {row}"
        return took

    async def _compress(self) -> float:
        """Compresses the chunks of the history. Returns microseconds of CPU time per row."""
        older_than = {"older_than": self._gap.replace(hour=0, minute=0) + timedelta(days=1)}
        row = await (await self._connection.execute(query("rows_before"), older_than)).fetchone()
        assert row is not None and row[0] > 0
        before = self._cpu_seconds()
        await self._connection.execute(query("compress_chunks"), older_than)
        return 1e6 * (self._cpu_seconds() - before) / float(row[0])

    async def _refresh_cpu_seconds(self) -> float:
        """Refreshes the aggregates. Returns the seconds of CPU time of the server."""
        before = self._cpu_seconds()
        assert await aggregates.refresh(self._connection), "another process refreshes the aggregates"
        return self._cpu_seconds() - before

    def _cpu_seconds(self) -> float:
        assert self._database.server_pid is not None
        return cpu_seconds(self._database.server_pid)


def _outside(gap: tuple[datetime, datetime], low: datetime, high: datetime) -> Iterator[tuple[datetime, datetime]]:
    """The parts of the span from `low` to `high` that are not in the gap."""
    for first, last in ((low, min(high, gap[0])), (max(low, gap[1]), high)):
        if first < last:
            yield first, last
