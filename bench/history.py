"""Fills a database with services and a history of random checks, aggregated and compressed."""

import time
from datetime import UTC, datetime, timedelta

from bench.databases import Connection
from bench.recording import recorder
from bench.run import query
from sql import aggregates


async def create_services(connection: Connection, count: int) -> None:
    """Creates `service-1` to `service-<count>`, the location `bench`, and the SQL function random_checks()."""
    await connection.execute("INSERT INTO locations (id, name) VALUES ('bench', 'bench')")
    values = {"count": count, "urls": ["http://127.0.0.1:9/"], "interval_seconds": 60}
    await connection.execute(query("services"), values)
    await connection.execute(query("random_checks"))


def midnight() -> datetime:
    """The start of the current day in UTC."""
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


async def load(connection: Connection, engine: str, *, services: int, days: int, checks_per_hour: int) -> str:
    """Loads a history of `days` days that ends now. Returns a description with the number of rows and the durations.

    The first service has a check every minute. The others have checks in the first hour of each day only, so that
    `checks_per_hour` changes the number of raw rows but not the number of aggregated buckets.

    The raw rows are inserted into `checks` without record_checks_v2(), and the first refresh aggregates them. The last
    check of each service is recorded, so that its state is known. Its interval is an hour, so that the state does not
    become unknown during a measurement.
    """
    began = time.perf_counter()
    span = {"low": midnight() - timedelta(days=days - 1), "high": midnight() + timedelta(days=1)}
    first_service = {"first": 1, "last": 1, "every": 60, "hours": 24}
    other_services = {"first": 2, "last": services, "every": 3600 // checks_per_hour, "hours": 1}
    rows = 0
    for values in (first_service, other_services):
        rows += (await connection.execute(query("insert_history"), {**span, **values})).rowcount
    now = datetime.now(UTC)
    await (await recorder(connection)).record_random(1, services, now - timedelta(hours=1), now, 3600)
    loaded = time.perf_counter()
    await aggregates.refresh(connection)
    if engine == "timescaledb":  # in an installation, the columnstore policy does this
        await connection.execute(query("compress_chunks"), {"older_than": midnight() - timedelta(days=2)})
    await connection.execute("VACUUM ANALYZE")
    done = time.perf_counter()
    return f"{rows:,} raw rows, loaded in {loaded - began:.0f} s, aggregated and compressed in {done - loaded:.0f} s"
