"""The upgrade of an installation of the last release runs in the background. All figures are correct at every
moment."""

from collections.abc import Sequence
from datetime import timedelta
from itertools import product
from operator import itemgetter
from pathlib import Path

import anyio
import psycopg
import pytest

import sql
from sla_monitor.settings import Settings
from sql.migrate import Migrated, migrate
from sql.migration_errors import MigrationError
from tests.campaigns import Share
from tests.servers import Server
from tests.sql.batches import connected, fetch, value
from tests.upgrade.history import DAY, CheckRow
from tests.upgrade.old_database import OldDatabase, Prober, recording
from tests.upgrade.processes import PATIENCE_S, LastRelease
from tests.upgrade.upgrading import assert_complete, assert_correct, pending, rounds, upgrade
from tests.worker.working import working
from worker.duties import DUTIES

MOMENTS = (1, 2, 4, 8, 16, 32, 64)


async def begin(old: OldDatabase, *probers: Prober) -> Migrated:
    """Migrates while probers of the last release record. Checks the figures before and after."""
    old.before_migration = assert_correct(old, acknowledged(probers)).ledger
    migrated = await migrate(old.url, Settings())
    for prober in probers:
        prober.migrated.touch()
    assert_correct(old, acknowledged(probers))
    return migrated


def acknowledged(probers: Sequence[Prober]) -> list[CheckRow]:
    """The committed rows of all probers in the order of their commits."""
    entries = sorted((entry for prober in probers for entry in prober.log_entries()), key=itemgetter(0))
    return [check for _, check in entries]


@pytest.mark.campaign
async def test_figures_are_correct_while_a_prober_of_the_last_release_records(
    short: OldDatabase, package: Path, tmp_path: Path
) -> None:
    """Most of the past is in the aggregates only. The prober records late rows all the time."""
    async with recording(package, short, tmp_path) as prober:
        await begin(short, prober)
        async for number in rounds(short.url):
            if number <= 4:
                await prober.wait_for_batches(1)
            if number in MOMENTS:
                assert_correct(short, prober.acknowledged())
        assert_correct(short, prober.acknowledged(), exact=True)
        await prober.wait_for_batches()
        assert_correct(short, prober.acknowledged(), exact=True)
    await assert_complete(short, prober.acknowledged())


async def test_the_comparison_accepts_a_past_outage_from_before_the_migration(
    short: OldDatabase, last_release: LastRelease
) -> None:
    """One row is stored between the snapshot and migrate(), another after migrate(). A prober does the same on a busy
    machine."""
    first = short.history.now.timestamp() // 60 * 60 - (5 * DAY).total_seconds() + 17
    rows = [CheckRow("mail", "local", first - 60 * number, 60, "mo", None, "timeout") for number in range(2)]
    short.before_migration = assert_correct(short).ledger
    assert await last_release.call("record", short.url, rows[:1]) == [1, 0, 0]
    await migrate(short.url, Settings())
    assert_correct(short, rows[:1])
    assert await last_release.call("record", short.url, rows[1:]) == [1, 0, 0]
    assert_correct(short, rows)
    async for _ in rounds(short.url):
        pass
    await assert_complete(short, rows)


async def test_a_worker_completes_the_upgrade_while_an_old_prober_runs(
    short: OldDatabase, package: Path, tmp_path: Path
) -> None:
    """The prober still runs its own housekeeping."""
    async with recording(package, short, tmp_path, housekeeping=0.7) as prober:
        await begin(short, prober)
        async with working(short.url, *[duty.name for duty in DUTIES], pause_s=0.5) as worker:
            with anyio.fail_after(PATIENCE_S):
                while await pending(short.url):
                    await worker.wait_for_next_round("aggregates")
            await prober.wait_for_batches()
            assert_correct(short, prober.acknowledged(), exact=True)
            for duty in DUTIES:
                assert worker.rounds(duty.name, "failed") == 0, duty.name
    await assert_complete(short, prober.acknowledged())
    assert prober.housekeeping_failures == []


@pytest.mark.campaign
async def test_figures_are_correct_while_the_last_release_runs_housekeeping(
    budget: Share, long: OldDatabase, package: Path, last_release: LastRelease, tmp_path: Path
) -> None:
    """The last release refreshes and runs its policy jobs, and two probers record late rows. The upgrade is done once;
    its figures are compared until the budget is used up, and at the end."""
    async with (
        recording(package, long, tmp_path, housekeeping=0.5) as prober,
        recording(package, long, tmp_path, second=23) as other,
    ):
        both = (prober, other)
        migrated = await begin(long, *both)
        async for number in rounds(long.url):
            if number <= 4:
                await prober.wait_for_batches(1)
                await other.wait_for_batches(1)
            if number in MOMENTS and not budget.over():
                if migrated.engine == "timescaledb":
                    await last_release.call("run_jobs", long.url)
                assert_correct(long, acknowledged(both))
        await prober.wait_for_batches()
        assert_correct(long, acknowledged(both), exact=True)
    await assert_complete(long, acknowledged(both))
    assert prober.housekeeping_failures == []


async def test_a_shorter_retention_drops_rows_after_the_upgrade_only(
    long: OldDatabase, last_release: LastRelease
) -> None:
    """No row is dropped before the upgrade has counted all rows, including those that no refresh has processed."""
    shorter = Settings(retention=timedelta(days=8))
    migrated = await migrate(long.url, shorter)
    await drop_old_rows(long, migrated.engine, last_release)
    await upgrade(long, moments=(2, 16))
    assert first_check(long.url) == long.raw_from
    await assert_complete(long)
    await migrate(long.url, shorter)
    await drop_old_rows(long, migrated.engine, last_release)
    assert first_check(long.url) > long.raw_from
    long.raw_from = first_check(long.url)
    assert_correct(long, exact=True)


async def drop_old_rows(old: OldDatabase, engine: str, last_release: LastRelease) -> None:
    """Drops the rows older than the retention, as the background jobs do."""
    if engine == "timescaledb":
        await last_release.call("run_jobs", old.url)
    with psycopg.connect(old.url) as connection:
        connection.execute("CALL keep_partitions()")


def first_check(url: str) -> float:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT extract(epoch FROM min(scheduled_at))::float8 FROM checks").fetchone()
    assert row is not None
    return float(row[0])


async def test_response_times_and_status_are_correct_while_the_upgrade_is_pending(long: OldDatabase) -> None:
    """Their functions read the aggregates of the last release meanwhile. The results equal the sums of the views."""
    await migrate(long.url, Settings())
    async with connected(long.url) as connection:
        assert await value(connection, "SELECT upgrade_pending()")
        [(low, high)] = await fetch(connection, "SELECT min(bucket), max(bucket) + interval '1 day' FROM checks_daily")
        services = [
            service for (service,) in await fetch(connection, "SELECT id FROM services WHERE public ORDER BY id")
        ]
        counts = []
        for service, tier in product(services, ("15m", "hourly", "daily")):
            parameters = {"service_id": service, "start": low, "end": high, "step": timedelta(days=1), "tier": tier}
            rollups = await (await connection.execute(sql.query("response_times/rollups"), parameters)).fetchall()
            _, first, last, checks, errors, *_ = rollups[0]
            totals = f"SELECT coalesce(sum(checks), 0), coalesce(sum(failed), 0) FROM checks_{tier}"
            expected = f"{totals} WHERE service_id = %s AND bucket >= %s AND bucket < %s"
            assert await fetch(connection, expected, (service, first, last)) == [(checks, errors)], (service, tier)
            counts.append(checks)
        assert max(counts) > 0
        parts = "SELECT sum(checks), sum(failed) FROM figures_of_parts(%s, %s, %s)"
        totals = (
            "SELECT sum(checks), sum(failed) FROM checks_15m WHERE service_id = %s AND bucket >= %s AND bucket < %s"
        )
        for service in services:
            found = await fetch(connection, parts, ([service], [low], [high]))
            assert found == await fetch(connection, totals, (service, low, high)), service
        uptimes = {row[0]: row[5] for row in await fetch(connection, sql.query("status/system_status"))}
        days = """
            SELECT service_id, uptime_percent(sum(down_seconds), sum(covered_seconds))
            FROM checks_daily
            WHERE bucket >= local_day_start(local_date(present(), reporting_time_zone()) - 89, reporting_time_zone())
            GROUP BY service_id
        """
        expected_uptimes: dict[str, str] = dict(await fetch(connection, days))
        assert uptimes == {service: expected_uptimes.get(service, "-") for service in services}


async def test_the_time_zone_can_be_changed_after_the_upgrade_only(long: OldDatabase) -> None:
    """While the upgrade is pending, another time zone is refused and no figure changes."""
    await migrate(long.url, Settings())
    with pytest.raises(MigrationError, match="SLA_MONITOR_TIMEZONE"):
        await migrate(long.url, Settings(time_zone="America/St_Johns"))
    assert_correct(long)
    await upgrade(long, moments=(2, 16))
    await migrate(long.url, Settings(time_zone="America/St_Johns"))
    long.all = type(long.all)("America/St_Johns", long.all.rows.values())
    assert_correct(long, exact=True)


async def test_an_installation_without_checks_is_upgraded(
    empty_database: str, last_release: LastRelease, engine: Server
) -> None:
    created = await last_release.call("migrate", empty_database, {})
    assert created["engine"] == engine.name
    await migrate(empty_database, Settings())
    assert [number async for number in rounds(empty_database)]
    assert (await migrate(empty_database, Settings())).applied == ()
