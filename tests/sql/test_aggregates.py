"""The continuous aggregates remain correct: late rows, retention, concurrent refreshes, other time zones, policies."""

import itertools
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import anyio
import pytest
from psycopg.rows import TupleRow

import sql
from sla_monitor.settings import Settings
from sql.aggregates import refresh
from sql.migrate import migrate
from tests.servers import Server
from tests.sql.batches import (
    AGGREGATES,
    DAY,
    MINUTE,
    Connection,
    Row,
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

HOUR = timedelta(hours=1)
LONG, SHORT = timedelta(days=400), timedelta(days=30)
MIDNIGHT = now().replace(hour=0, minute=0, second=0)
PAST_RETENTION = MIDNIGHT - SHORT - timedelta(days=40)
"""In a month that ended more than SHORT ago on any date: plain PostgreSQL drops whole months."""


async def counts(db: Connection, low: datetime, high: datetime) -> dict[str, int]:
    """Returns the number of checks in each aggregate between two times."""
    return {
        name: int(
            await value(
                db, f"SELECT coalesce(sum(checks), 0) FROM {name} WHERE bucket >= %s AND bucket < %s", (low, high)
            )
        )
        for name in AGGREGATES
    }


async def days(db: Connection) -> list[TupleRow]:
    return await fetch(
        db, "SELECT day, checks, failed, status, covered_seconds, down_seconds FROM service_days ORDER BY day"
    )


async def watermark(db: Connection) -> datetime:
    found: datetime = await value(db, "SELECT rollup_watermark()")
    return found


async def drop_old_checks(db: Connection) -> None:
    """Drops the checks that are older than the retention, like the housekeeping."""
    await db.execute(sql.query("housekeeping/keep_partitions"))


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


def minutely(start: datetime, minutes: int, severity: str = "o") -> list[Row]:
    return [row(start + minute * MINUTE, severity) for minute in range(minutes)]


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


class TestRetention:
    """The aggregates remain when the raw rows are dropped."""

    async def test_aggregates_remain_when_raw_rows_are_dropped(self, db: Connection, database: str) -> None:
        old, young = PAST_RETENTION, MIDNIGHT - 2 * DAY
        await record(db, [*minutely(old, 90), *minutely(old + 2 * HOUR, 30, "mo"), *minutely(young, 50)])
        assert await refresh(db)
        before = await days(db)
        counts_before = await counts(db, old, old + DAY)

        await migrate(database, Settings(retention=SHORT, compress_after=DAY))
        await drop_old_checks(db)
        assert await value(db, "SELECT count(*) FROM checks") == 50
        await fetch(db, "SELECT rebuild_rollups('web', 'local', %s, now())", (old - DAY,))
        assert await refresh(db)

        assert await days(db) == before
        assert await counts(db, old, old + DAY) == counts_before

    async def test_a_longer_retention_does_not_recompute_from_dropped_rows(self, db: Connection, database: str) -> None:
        old = PAST_RETENTION
        await record(db, [*minutely(old, 90), row(MIDNIGHT - DAY)])
        assert await refresh(db)
        before = await days(db)
        await migrate(database, Settings(retention=SHORT, compress_after=DAY))
        await drop_old_checks(db)
        await migrate(database, Settings(retention=LONG))

        assert await record(db, [row(old + 5 * HOUR)]) == (0, 0, 1)
        await fetch(db, "SELECT rebuild_rollups('web', 'local', %s, %s)", (old, old + DAY))
        assert await refresh(db)

        assert await days(db) == before

    async def test_hours_and_days_of_another_zone_are_computed_from_quarters(
        self, db: Connection, database: str
    ) -> None:
        old, young = PAST_RETENTION, MIDNIGHT - 3 * DAY
        rows = [
            *minutely(old + 17 * HOUR, 120),
            *minutely(young + 17 * HOUR, 120, "mo"),
            *minutely(now() - 5 * MINUTE, 5),
        ]
        await record(db, rows)
        assert await refresh(db)
        await migrate(database, Settings(retention=SHORT, compress_after=DAY))
        await drop_old_checks(db)

        await migrate(database, Settings(retention=SHORT, compress_after=DAY, time_zone="Asia/Kolkata"))

        expected = figures([one._replace(interval_seconds=300) for one in rows], "day", "Asia/Kolkata")
        wanted = sorted((at, one.checks, one.failed) for (at, _, _), one in expected.items())
        statement = "SELECT bucket, checks, failed FROM checks_daily ORDER BY 1"
        assert await fetch(db, statement) == wanted, "before the refresh, computed when read"
        assert await refresh(db)
        assert await fetch(db, statement) == wanted, "materialised"
        assert len(wanted) >= 4, "17:00Z to 19:00Z are two days in Kolkata"
        assert await value(db, "SELECT reporting_time_zone()") == "Asia/Kolkata"

        await migrate(database, Settings(retention=SHORT, compress_after=DAY))
        assert await refresh(db)
        assert await value(db, "SELECT sum(checks) FROM service_days") == len(rows)
        assert await value(db, "SELECT count(*) FROM service_days WHERE day = %s", (old.date(),)) == 1

    async def test_checks_that_are_not_materialised_are_not_dropped(self, db: Connection) -> None:
        """The housekeeping has not run for longer than the retention."""
        await record(db, [row(now() - 10 * MINUTE)])
        assert await refresh(db)
        await record(db, [row(now())])
        await db.execute("UPDATE installation SET retention = '30 days'")
        await set_clock(db, now() + 100 * DAY)
        await drop_old_checks(db)
        assert await value(db, "SELECT count(*) FROM checks WHERE scheduled_at >= rollup_watermark()") >= 1
        assert await refresh(db)
        assert await value(db, "SELECT sum(checks) FROM checks_daily") == 2
        await set_clock(db, now() + 200 * DAY)
        await drop_old_checks(db)
        assert await value(db, "SELECT count(*) FROM checks") == 0
        assert await value(db, "SELECT sum(checks) FROM checks_daily") == 2


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


@pytest.mark.engines("timescaledb")  # on plain PostgreSQL the worker does this
class TestPolicies:
    """The jobs of TimescaleDB, configured by the settings."""

    async def jobs(self, db: Connection) -> list[TupleRow]:
        return await fetch(
            db,
            "SELECT proc_name, coalesce(view_name, jobs.hypertable_name), coalesce(config ->> 'drop_after', "
            "config ->> 'compress_after', config ->> 'start_offset') FROM timescaledb_information.jobs AS jobs "
            "LEFT JOIN timescaledb_information.continuous_aggregates "
            "ON materialization_hypertable_name = jobs.hypertable_name "
            "WHERE jobs.hypertable_name IS NOT NULL ORDER BY 1, 2",
        )

    async def test_checks_and_rollups_have_compression_policies(self, db: Connection) -> None:
        assert await self.jobs(db) == [
            ("policy_compression", "checks", "2 days"),
            ("policy_compression", "rollups", "3 days"),
        ]

    async def test_the_policies_follow_the_settings(self, db: Connection, database: str) -> None:
        await migrate(database, Settings(retention=timedelta(days=90), compress_after=timedelta(days=5)))
        found = await self.jobs(db)
        assert ("policy_compression", "checks", "5 days") in found
        assert len(found) == 2

    async def test_the_policies_compress_and_keep_all_rows(self, db: Connection) -> None:
        start = MIDNIGHT - 4 * DAY
        await record(db, [*minutely(start, 30), *minutely(now() - 5 * HOUR, 120), row(now())])
        jobs = await fetch(db, "SELECT job_id FROM timescaledb_information.jobs WHERE hypertable_name IS NOT NULL")
        for (job,) in jobs:
            await db.execute("CALL run_job(%s)", (job,))
        assert await value(db, "SELECT count(*) FROM checks") == 151
        compressed = (
            "SELECT count(*) FROM timescaledb_information.chunks WHERE hypertable_name = 'checks' AND is_compressed"
        )
        assert await value(db, compressed) == 1
        assert await refresh(db)
        assert await counts(db, start, now() + DAY) == dict.fromkeys(AGGREGATES, 151)

    async def test_late_rows_reach_the_aggregates_of_compressed_chunks(self, db: Connection) -> None:
        start = MIDNIGHT - 40 * DAY
        await record(db, minutely(start, 30))
        assert await refresh(db)
        for (job,) in await fetch(
            db, "SELECT job_id FROM timescaledb_information.jobs WHERE proc_name = 'policy_compression'"
        ):
            await db.execute("CALL run_job(%s)", (job,))
        await record(db, minutely(start + 30 * MINUTE, 30))
        assert await refresh(db)
        assert await counts(db, start, start + DAY) == dict.fromkeys(AGGREGATES, 60)


@pytest.mark.engines("postgresql")
@pytest.mark.one_day
class TestPartitions:
    """Partitions by month on plain PostgreSQL."""

    @pytest.fixture(autouse=True)
    async def _migrate_now(self, db: Connection, database: str) -> None:
        """The template was migrated at the start of the tests, maybe in another month."""
        await migrate(database, Settings())

    async def months(self, db: Connection) -> Sequence[datetime]:
        names = await fetch(db, "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'checks'::regclass")
        return sorted(datetime.strptime(name, "checks_%Y%m").replace(tzinfo=UTC) for (name,) in names)

    async def test_partitions_reach_from_the_retention_to_the_end_of_next_month(self, db: Connection) -> None:
        months = await self.months(db)
        assert months[0] <= now() - LONG < months[1]
        assert months[-1] > now()
        for earlier, later in itertools.pairwise(months):
            assert (earlier + 31 * DAY).replace(day=1) == later

    async def test_old_partitions_are_dropped_and_missing_ones_created(self, db: Connection) -> None:
        before = await self.months(db)
        assert await refresh(db)
        await db.execute(f"DROP TABLE checks_{before[-1]:%Y%m}".encode())
        await db.execute("UPDATE installation SET retention = '30 days'")
        await db.execute(sql.query("housekeeping/keep_partitions"))
        oldest = (now() - SHORT).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        assert await self.months(db) == [month for month in before if month >= oldest]

    async def test_two_processes_create_partitions_at_the_same_time(self, db: Connection, database: str) -> None:
        before = await self.months(db)
        for month in before[-2:]:
            await db.execute(f"DROP TABLE checks_{month:%Y%m}".encode())
        async with connected(database) as one, connected(database) as two, anyio.create_task_group() as tasks:
            for connection in (one, two):
                tasks.start_soon(connection.execute, sql.query("housekeeping/keep_partitions"))
        assert await self.months(db) == before

    async def test_a_start_after_a_long_stop_creates_the_current_partitions(
        self, db: Connection, database: str
    ) -> None:
        for month in (await self.months(db))[-2:]:
            await db.execute(f"DROP TABLE checks_{month:%Y%m}".encode())
        await migrate(database, Settings())
        assert await record(db, [row(now())]) == (1, 0, 0)


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
