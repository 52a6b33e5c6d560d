"""A made-up past in a database, and the aggregates as the worker and policies would have left them."""

import time
from datetime import UTC, datetime, timedelta

from bench.databases import Connection
from bench.recording import recorder
from bench.run import query
from sql import aggregates


async def make_services(connection: Connection, count: int) -> None:
    """`service-1` to `service-<count>`, the place `bench`, and the source of made-up checks."""
    await connection.execute("INSERT INTO locations (id, name) VALUES ('bench', 'bench')")
    values = {"count": count, "urls": ["http://127.0.0.1:9/"], "interval_seconds": 60}
    await connection.execute(query("services"), values)
    await connection.execute(query("noise"))


def midnight() -> datetime:
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


async def load(connection: Connection, engine: str, *, services: int, days: int, checks_an_hour: int) -> str:
    """`days` days up to now. The first service has a check each minute; the others are checked in the first hour of
    each day, so that more checks make no more buckets of the aggregates. Returns what it took, in words.

    The rows go straight into `checks`, and only then the first refresh makes the aggregates of all of them. The last
    check of each service is recorded, so that its state is known; it stands for an hour, which no measurement outlasts.
    """
    began = time.perf_counter()
    low, high = midnight() - timedelta(days=days - 1), midnight() + timedelta(days=1)
    every = 3600 // checks_an_hour
    values = {"low": low, "high": high}
    rows = 0
    minutely = {"first": 1, "last": 1, "every": 60, "hours": 24}
    for span in (minutely, {"first": 2, "last": services, "every": every, "hours": 1}):
        rows += (await connection.execute(query("load_checks"), {**values, **span})).rowcount
    now = datetime.now(UTC)
    await (await recorder(connection)).record_noise(1, services, now - timedelta(hours=1), now, 3600)
    loaded = time.perf_counter()
    await aggregates.refresh(connection)
    if engine == "timescaledb":  # what its policy does elsewhere
        await connection.execute(query("compress"), {"older_than": midnight() - timedelta(days=2)})
    await connection.execute("VACUUM ANALYZE")
    done = time.perf_counter()
    return f"{rows:,} raw rows, loaded in {loaded - began:.0f} s, aggregated and packed in {done - loaded:.0f} s"
