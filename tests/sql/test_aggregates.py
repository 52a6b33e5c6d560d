"""The continuous aggregates remain correct: late rows, open buckets, concurrent refreshes, and plans of the views."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import anyio
import pytest

import sql
from sla_monitor.settings import Settings
from sql.aggregates import refresh
from sql.migrate import migrate
from tests.servers import Server
from tests.sql.aggregates import HOUR, MIDNIGHT, counts, minutely
from tests.sql.batches import (
    AGGREGATES,
    DAY,
    MINUTE,
    Connection,
    add_services,
    connected,
    copy,
    fetch,
    now,
    quarter,
    record,
    row,
    set_clock,
    until_true,
    until_waiting,
    value,
)
from tests.sql.histories import figures


async def watermark(db: Connection) -> datetime:
    found: datetime = await value(db, "SELECT rollup_watermark()")
    return found


@asynccontextmanager
async def stalled_commits(db: Connection) -> AsyncIterator[None]:
    """Commits with synchronous_commit = on do not complete before the block ends: they wait for a standby that does not
    exist."""
    await db.execute("ALTER SYSTEM SET synchronous_standby_names = 'missing'")
    await db.execute("SELECT pg_reload_conf()")
    try:
        yield
    finally:
        await db.execute("ALTER SYSTEM RESET synchronous_standby_names")
        await db.execute("SELECT pg_reload_conf()")


class TestLateRows:
    """Checks that are recorded after their range was materialised."""

    @pytest.mark.parametrize("zone", ["UTC", "Europe/Vienna", "Asia/Kolkata"])
    async def test_late_rows_reach_every_aggregate(self, db: Connection, database: str, zone: str) -> None:
        """The late rows are in the first quarter of an hour and the first hour of a day."""
        if zone != "UTC":
            await migrate(database, Settings(time_zone=zone))
        midnight = (datetime.now(ZoneInfo(zone)) - 6 * DAY).replace(hour=0, minute=0, second=0, microsecond=0)
        for number, late in enumerate(
            (timedelta(hours=12, minutes=3), timedelta(minutes=3), timedelta(hours=23, minutes=59))
        ):
            start = (midnight + number * DAY).astimezone(UTC)
            await record(db, [row(start + hour * HOUR + 30 * MINUTE) for hour in range(23)])
            assert await refresh(db)

            run = [row(start + late - 10 * minute * MINUTE) for minute in range(12)]
            await record(db, [*run, row(start + late + timedelta(seconds=1), "mo")])

            for moment in ("before the next refresh", "after it"):
                [(good, failed)] = await fetch(db, "SELECT sum(success::int), sum((NOT success)::int) FROM checks")
                expected = {name: good + failed if name.startswith("checks") else good for name in AGGREGATES}
                assert await counts(db, start - 9 * DAY, start + DAY) == expected, (late, moment)
                assert await value(db, "SELECT worst::text FROM checks_daily WHERE bucket = %s", (start,)) == "mo"
                assert await refresh(db)

    async def test_late_rows_are_added_in_the_transaction_that_stores_them(self, db: Connection) -> None:
        start = MIDNIGHT - 3 * DAY
        await record(db, [row(start)])
        await refresh(db)
        async with db.transaction(force_rollback=True):
            await copy(db, [row(start + MINUTE), row(start + 16 * MINUTE), row(start + 40 * MINUTE)])
            await fetch(db, "SELECT record_checks_v2()")
            assert await counts(db, start, start + DAY) == dict.fromkeys(AGGREGATES, 4)
            tiers = await fetch(db, "SELECT tier::text, count(*), sum(checks) FROM rollups GROUP BY rollups.tier")
            assert sorted(tiers) == [("15m", 3, 4), ("daily", 1, 4), ("hourly", 1, 4)]
        assert await counts(db, start, start + DAY) == dict.fromkeys(AGGREGATES, 1)
        assert await value(db, "SELECT count(*) FROM checks") == 1

    async def test_a_duplicate_changes_nothing(self, db: Connection) -> None:
        late = [row(MIDNIGHT - 3 * DAY)]
        await record(db, late)
        await refresh(db)
        rollups = "SELECT * FROM rollups ORDER BY tier"
        before = await fetch(db, rollups)
        await record(db, [*late, *late])
        assert await fetch(db, rollups) == before

    async def test_a_late_row_writes_buckets_of_its_own_service_only(self, db: Connection) -> None:
        """The row versions of the other service are unchanged."""
        start = MIDNIGHT - 3 * DAY
        await add_services(db, "mail")
        await record(db, [*minutely(start, 30), *[one._replace(service_id="mail") for one in minutely(start, 30)]])
        await refresh(db)
        versions = "SELECT xmin, ctid FROM rollups WHERE service_id = 'mail' ORDER BY tier, bucket"
        before = await fetch(db, versions)
        await record(db, [row(start + 31 * MINUTE)])
        assert await fetch(db, versions) == before

    async def test_a_late_row_does_not_hide_rows_that_are_not_materialised(self, db: Connection) -> None:
        """The rows of the last hours are not materialised yet when an older one is recorded."""
        start = quarter(now()) - 6 * HOUR
        for minute in range(0, 360, 5):
            await record(db, [row(start + minute * MINUTE)])
        await record(db, [row(start + 5 * HOUR + 7 * MINUTE)])
        assert await refresh(db)
        assert await counts(db, start - DAY, now()) == dict.fromkeys(AGGREGATES, 73)

    async def test_random_batches_with_refreshes_between_them(self, db: Connection) -> None:
        rng = random.Random("late rows")
        start = MIDNIGHT - 4 * DAY
        rows = rng.sample(minutely(start, 3 * 24 * 60, "po"), 600)
        for first in range(0, 600, 60):
            batch = sorted(rows[first : first + 60], key=lambda one: rng.random())
            span = rng.randrange(0, 2 * 24 * 60)
            close = [one for one in batch if one.scheduled_at and one.scheduled_at - start > span * MINUTE]
            await record(db, close)
            if first % 180 == 0:
                assert await refresh(db)
            await record(db, batch)
        assert await refresh(db)
        expected = figures([one._replace(interval_seconds=300) for one in rows], "day", "UTC")
        found = await fetch(db, "SELECT bucket, checks, degraded FROM checks_daily ORDER BY 1")
        assert found == [(at, one.checks, one.degraded) for (at, _, _), one in sorted(expected.items())]
        assert await counts(db, start, start + 3 * DAY) == dict.fromkeys(AGGREGATES, 600)


class TestOpenBuckets:
    """Buckets that still get new rows."""

    async def test_a_refresh_does_not_materialise_the_open_bucket(self, db: Connection) -> None:
        await record(db, [row(MIDNIGHT - 2 * DAY), row(now() - 3 * HOUR), row(now() - 2 * MINUTE), row(now())])
        assert await refresh(db)
        assert await watermark(db) <= quarter(now())

    async def test_rows_of_the_open_bucket_are_read_immediately(self, db: Connection) -> None:
        start = now() - 2 * HOUR
        await record(db, minutely(start, 100))
        for second in range(3):
            assert await refresh(db)
            await record(db, [row(now() - timedelta(seconds=10 - second), "po", service="web")])
            found = await counts(db, start - DAY, now() + HOUR)
            assert found == dict.fromkeys(AGGREGATES, await value(db, "SELECT count(*) FROM checks"))

    async def test_a_check_of_a_prober_whose_clock_is_ahead_is_counted(self, db: Connection) -> None:
        await record(db, [row(now() - DAY), row(now())])
        assert await refresh(db)
        await record(db, [row(now() + timedelta(seconds=5))])
        assert await counts(db, now() - 3 * DAY, now() + DAY) == dict.fromkeys(AGGREGATES, 3)

    async def test_large_quarters_are_materialised_before_they_end(self, db: Connection) -> None:
        """Otherwise queries would add up more than 100,000 raw rows."""
        start = quarter(now()) + timedelta(seconds=1)
        await set_clock(db, start)
        await refresh(db)
        await db.execute(
            """INSERT INTO checks (service_id, location, scheduled_at, finished_at, interval_seconds, success, severity,
                                   attempts)
               SELECT 'web', 'local', at, at, 1, true, 'o', 1
               FROM generate_series(0, 149999) AS n
               CROSS JOIN LATERAL (SELECT %s::timestamptz + n * interval '2 ms' AS at) AS slot""",
            (start,),
        )
        await set_clock(db, start + 7 * MINUTE)
        assert await refresh(db)
        edge = await watermark(db)
        assert start < edge < start + 7 * MINUTE
        assert await value(db, "SELECT count(*) FROM checks WHERE scheduled_at >= %s", (edge,)) < 100_000
        for view in ("checks_15m", "checks_hourly", "checks_daily"):
            assert await fetch(db, f"SELECT count(*), sum(checks) FROM {view}") == [(1, 150_000)]
        await record(db, [row(start + 2 * MINUTE + timedelta(milliseconds=1), "mo")])
        assert await fetch(db, "SELECT checks, failed FROM checks_15m") == [(150_001, 1)]


class TestConcurrentRefreshes:
    """Concurrent refreshes and writes."""

    async def test_a_second_refresh_is_skipped_and_no_row_is_lost(self, db: Connection, database: str) -> None:
        start = MIDNIGHT - 3 * DAY
        await record(db, minutely(start, 60))
        async with connected(database) as rival:
            await fetch(rival, sql.query("aggregates/lock"))
            assert await refresh(db) is False
            await fetch(rival, sql.query("aggregates/unlock"))
        assert await refresh(db) is True
        assert await counts(db, start, start + DAY) == dict.fromkeys(AGGREGATES, 60)

    async def test_concurrent_refreshes_and_writes_lose_no_row(self, db: Connection, database: str) -> None:
        start = MIDNIGHT - 3 * DAY
        results: list[bool] = []

        async def refresh_often(connection: Connection) -> None:
            results.extend([await refresh(connection) for _ in range(4)])

        async def write(connection: Connection) -> None:
            for minute in range(0, 300, 10):
                await record(connection, minutely(start + minute * MINUTE, 10))

        async with connected(database) as one, connected(database) as two, anyio.create_task_group() as tasks:
            tasks.start_soon(refresh_often, one)
            tasks.start_soon(refresh_often, two)
            tasks.start_soon(write, db)
        assert any(results)
        assert await refresh(db)
        assert await counts(db, start, start + DAY) == dict.fromkeys(AGGREGATES, 300)

    async def test_a_refresh_waits_for_a_stalled_commit(self, db: Connection, engine: Server, database: str) -> None:
        """The watermark decides whether a check is late, so it must not move before the commit is complete."""
        if engine.source == "TEST_DATABASE_URL":
            pytest.skip("this delays every commit on the server")
        start = now() - 2 * HOUR
        await record(db, minutely(start, 60))
        await db.execute("SET synchronous_commit = local")
        async with connected(database) as writer, connected(database) as refresher, anyio.create_task_group() as tasks:
            await refresher.execute("SET synchronous_commit = local")
            async with stalled_commits(db):
                await until_true(writer, "SELECT current_setting('synchronous_standby_names') = 'missing'")
                tasks.start_soon(record, writer, [one._replace(location="seoul") for one in minutely(start, 30)])
                await until_true(db, "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
                tasks.start_soon(refresh, refresher)
                await until_waiting(db)
                assert await counts(db, start - DAY, start + DAY) == dict.fromkeys(AGGREGATES, 60)
        assert await counts(db, start - DAY, start + DAY) == dict.fromkeys(AGGREGATES, 90)
        assert await watermark(db) > start + HOUR

    async def test_a_refresh_releases_its_lock(self, db: Connection) -> None:
        assert [await refresh(db) for _ in range(3)] == [True] * 3
        assert await value(db, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == 0


async def test_plans_of_the_views_do_not_overestimate_rows(db: Connection) -> None:
    """A thousandfold overestimate of a join makes everything around it look cheap: with 21,000 services the query of
    the status page became a nested loop that took minutes."""
    services = [f"service-{number}" for number in range(200)]
    await add_services(db, *services)
    await record(db, [row(now() - MINUTE, service=service) for service in services])
    await db.execute("ANALYZE checks")
    for name in AGGREGATES:
        [(explained,)] = await fetch(db, f"EXPLAIN (FORMAT JSON) SELECT * FROM {name}")
        assert explained[0]["Plan"]["Plan Rows"] <= 10 * len(services), name
