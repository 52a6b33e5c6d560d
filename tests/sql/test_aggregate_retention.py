"""Retention of the continuous aggregates: dropped rows, other time zones, policies, and partitions."""

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import anyio
import pytest
from psycopg.rows import TupleRow

import sql
from sla_monitor.settings import Settings
from sql.aggregates import refresh
from sql.migrate import migrate
from tests.sql.aggregates import HOUR, MIDNIGHT, counts, minutely
from tests.sql.batches import (
    AGGREGATES,
    DAY,
    MINUTE,
    Connection,
    connected,
    fetch,
    now,
    record,
    row,
    set_clock,
    value,
)
from tests.sql.histories import figures

LONG, SHORT = timedelta(days=400), timedelta(days=30)
PAST_RETENTION = MIDNIGHT - SHORT - timedelta(days=40)
"""In a month that ended more than SHORT ago on any date: plain PostgreSQL drops whole months."""


async def days(db: Connection) -> list[TupleRow]:
    return await fetch(
        db, "SELECT day, checks, failed, status, covered_seconds, down_seconds FROM service_days ORDER BY day"
    )


async def drop_old_checks(db: Connection) -> None:
    """Drops the checks that are older than the retention, like the housekeeping."""
    await db.execute(sql.query("housekeeping/keep_partitions"))


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
