"""Runs the code of the last release: `python -P last_release.py`, with PYTHONPATH set to the unpacked wheel (see
processes.py).

No module of this repository is imported here: `sql`, `prober` and `sla_monitor` are those of the last release. Reads
one JSON command per line from stdin and writes one line for each: {"result": …} or {"error": …}.
"""

import asyncio
import json
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import psycopg

CheckRow = list[Any]
"""[service, location, scheduled_at (seconds since 1970), interval_seconds, severity, total_ms, error_type]"""

sql: Any = import_module("sql")
aggregates: Any = import_module("sql.aggregates")
migrations: Any = import_module("sql.migrate")
settings: Any = import_module("sla_monitor.settings")
store: Any = import_module("prober.store")
recorder: Any = import_module("prober.recorder")
spool: Any = import_module("prober.spool")
metrics: Any = import_module("prober.metrics")
housekeeping: Any = import_module("prober.housekeeping")

BATCH_ROWS = 1000
JOBS = (
    "SELECT job_id FROM timescaledb_information.jobs WHERE proc_name IN "
    "('policy_refresh_continuous_aggregate', 'policy_compression', 'policy_retention') "
    "ORDER BY proc_name DESC, job_id"
)


def release_check(check: CheckRow) -> Any:
    """Converts a row of the tests to a Check of the last release."""
    service, location, at, interval, severity, total_ms, error_type = check
    scheduled_at = datetime.fromtimestamp(at, UTC)
    failed = severity == "mo"
    return store.Check(
        service_id=service,
        location=location,
        scheduled_at=scheduled_at,
        finished_at=scheduled_at + timedelta(milliseconds=200),
        interval_seconds=interval,
        status_code=None if failed else 200,
        success=not failed,
        severity=severity,
        total_ms=total_ms,
        dns_ms=1.0,
        connect_ms=2.0,
        tls_ms=None,
        first_byte_ms=None if failed else 50.0,
        attempts=1,
        error_type=error_type,
        error_message=f"it was {error_type}" if failed else None,
    )


async def migrate(url: str, given: dict[str, Any]) -> dict[str, Any]:
    if "retention_days" in given:
        given["retention"] = timedelta(days=given.pop("retention_days"))
    done = await migrations.migrate(url, settings.Settings(**given))
    return {"engine": done.engine, "applied": list(done.applied), "source": str(Path(sql.__file__))}


async def record(url: str, rows: list[CheckRow]) -> list[int]:
    """Records rows in this order with one Store per location. Returns the numbers of stored, duplicate and parked
    rows."""
    stores: dict[str, Any] = {}
    total = [0, 0, 0]
    try:
        for location in sorted({row[1] for row in rows}):
            stores[location] = store.Store(url, location, metrics.Metrics())
        for first in range(0, len(rows), BATCH_ROWS):
            batch = rows[first : first + BATCH_ROWS]
            done = await stores[batch[0][1]].record([release_check(check) for check in batch], 120)
            total = [before + more for before, more in zip(total, done, strict=True)]
    finally:
        for opened in stores.values():
            await opened.close()
    return total


async def housekeep(url: str) -> dict[str, float]:
    """Runs one round of the prober's housekeeping. Returns the number of failures of each chore."""
    counted = metrics.Metrics()
    keeper = housekeeping.Housekeeping(url, settings.Settings(), counted)
    await keeper._round()
    return {
        sample.labels["chore"]: sample.value
        for family in counted.registry.collect()
        for sample in family.samples
        if sample.name.endswith("housekeeping_failures_total") and sample.value
    }


async def run_jobs(url: str) -> int:
    """Runs each policy job once, as the scheduler of TimescaleDB does. A job fails when another refresh locks its
    range; the scheduler would repeat it later."""
    async with await sql.connect(url, application="sla-monitor tests") as connection:
        jobs = await (await connection.execute(JOBS)).fetchall()
        for (job,) in jobs:
            with suppress(psycopg.errors.LockNotAvailable):
                await connection.execute("CALL run_job(%s)", (job,))
    return len(jobs)


async def run_query(url: str, query: str, parameters: dict[str, Any]) -> list[list[str]]:
    """Runs a query file of the last release. Returns the rows as text."""
    async with await sql.connect(url, application="sla-monitor tests") as connection:
        rows = await (await connection.execute(sql.query(query), parameters)).fetchall()
    return [[str(value) for value in row] for row in rows]


class Prober:
    """A prober of the last release that records until SIGTERM: every `period` seconds one batch, through its Recorder,
    spool and Store. Some batches have late or repeated rows.

    Each committed batch is one line in the log, written right after the commit is known.
    """

    def __init__(self, url: str, log: Path, plan: dict[str, Any]) -> None:
        self._url = url
        self._log = log
        self._plan = plan
        self._rng = random.Random(plan["seed"])
        self._stopping = asyncio.Event()
        self._sent: dict[tuple[Any, ...], CheckRow] = {}
        self.batches = 0

    async def run(self) -> dict[str, Any]:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._stopping.set)
        with tempfile.TemporaryDirectory() as folder:
            spooled = spool.Spool(Path(folder) / "spool", 64 * 1024 * 1024)
            refused = Path(folder) / "refused"
            writer = recorder.Recorder(self._store(), spooled, refused, metrics.Metrics())
            chores = [asyncio.create_task(writer.run())]
            if self._plan["housekeeping"]:
                chores.append(asyncio.create_task(self._housekeep()))
            while not self._stopping.is_set():
                for check in self._next_batch():
                    writer.put(release_check(check))
                await self._pause(self._plan["period"])
            while spooled.records:  # noqa: ASYNC110  # the spool has no event for this
                await asyncio.sleep(0.05)
            writer.close()
            await chores[0]
            for chore in chores[1:]:
                await chore
            left = spooled.records
            return {"put": len(self._sent), "spooled": left, "refused": refused.exists(), "batches": self.batches}

    def _store(self) -> Any:
        """The Store of the last release. It logs each batch that it has stored."""
        prober = self

        class LoggingStore(store.Store):  # type: ignore[misc]  # its base is loaded at run time
            async def record(self, checks: Any, timeout_s: float) -> Any:
                done = await super().record(checks, timeout_s)
                prober.log_batch(checks, list(done))
                return done

        return LoggingStore(self._url, self._plan["location"], metrics.Metrics())

    def log_batch(self, checks: Any, done: list[int]) -> None:
        self.batches += 1
        names = ("service_id", "location", "scheduled_at", "interval_seconds", "severity", "total_ms", "error_type")
        rows = [[getattr(check, name) for name in names] for check in checks]
        for row in rows:
            row[2] = row[2].timestamp()
        with self._log.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"at": time.time(), "rows": rows, "done": done}) + "\n")

    def _next_batch(self) -> list[CheckRow]:
        """Returns a check of each current service and, in some batches, late or repeated rows, as from the spool of
        another prober."""
        rng, plan = self._rng, self._plan
        moment = time.time()
        rows = [self._row(service, plan["location"], int(moment * 4) / 4, 5) for service in plan["present"]]
        if rng.random() < 0.5:
            for service, location in plan["late"]:
                low, high = rng.choice(plan["spans"])
                at = rng.randrange(int(low), int(high)) // 60 * 60 + plan["second"]
                rows.append(self._row(service, location, at, 300))
        rows = [row for row in rows if tuple(row[:3]) not in self._sent]
        sent = list(self._sent.values())
        self._sent |= {tuple(row[:3]): row for row in rows}
        # The last release cannot record a batch with both new and repeated rows, so only after the migration.
        if sent and rng.random() < 0.3 and Path(plan["migrated"]).exists():
            rows += rng.sample(sent, min(3, len(sent)))
        return rows

    def _row(self, service: str, location: str, at: float, interval: int) -> CheckRow:
        severity = self._rng.choices(("o", "po", "mo"), (8, 1, 2))[0]
        total_ms = None if severity == "mo" else self._rng.randrange(320, 40000) / 16
        return [service, location, at, interval, severity, total_ms, "timeout" if severity == "mo" else None]

    async def _housekeep(self) -> None:
        while not self._stopping.is_set():
            failed = await housekeep(self._url)
            if failed and not self._stopping.is_set():
                with self._log.open("a", encoding="utf-8") as file:
                    file.write(json.dumps({"housekeeping": failed}) + "\n")
            await self._pause(self._plan["housekeeping"])

    async def _pause(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return


async def probe(url: str, log: str, plan: dict[str, Any]) -> dict[str, Any]:
    return await Prober(url, Path(log), plan).run()


COMMANDS: dict[str, Callable[..., Coroutine[Any, Any, Any]]] = {
    "migrate": migrate,
    "record": record,
    "housekeep": housekeep,
    "run_jobs": run_jobs,
    "run_query": run_query,
    "probe": probe,
}


def main() -> None:
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        try:
            response: dict[str, Any] = {"result": asyncio.run(COMMANDS[name](*arguments))}
        except Exception as error:
            if name == "probe":
                raise
            response = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(response), flush=True)


if __name__ == "__main__":
    main()
