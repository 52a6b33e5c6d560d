"""An installation of the last release is upgraded with its data, in the background, and is right at every moment."""

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
from tests.engines import Server
from tests.sql.batches import ask, connected, value
from tests.upgrade.history import DAY, Fed
from tests.upgrade.old_database import Old, Prober, recording
from tests.upgrade.processes import PATIENCE_S, LastRelease
from tests.upgrade.upgrading import complete, pending, right, rounds, upgrade
from tests.worker.working import working
from worker.duties import DUTIES

MOMENTS = (1, 2, 4, 8, 16, 32, 64)


async def begin(old: Old, *probers: Prober) -> Migrated:
    """Migrates while probers of the last release record; figures are right before and after."""
    old.before = right(old, acknowledged(probers)).ledger
    migrated = await migrate(old.url, Settings())
    for one in probers:
        one.migrated.touch()
    right(old, acknowledged(probers))
    return migrated


def acknowledged(probers: Sequence[Prober]) -> list[Fed]:
    """In the order in which they were committed."""
    noted = sorted((moment for one in probers for moment in one.noted()), key=itemgetter(0))
    return [fed for _, fed in noted]


async def test_while_a_prober_of_the_last_release_records(short: Old, package: Path, tmp_path: Path) -> None:
    """Most of the past is in the aggregates only; late rows come all the time."""
    async with recording(package, short, tmp_path) as prober:
        await begin(short, prober)
        async for number in rounds(short.url):
            if number <= 4:
                await prober.goes_on(1)
            if number in MOMENTS:
                right(short, prober.acknowledged())
        right(short, prober.acknowledged(), exact=True)
        await prober.goes_on()
        right(short, prober.acknowledged(), exact=True)
    await complete(short, prober.acknowledged())


async def test_an_outage_that_is_over_may_be_as_it_was_between_two_commits(
    short: Old, last_release: LastRelease
) -> None:
    """A row is stored after `before` was read, but before migrate(), and another one after it: on a busy machine the
    prober of the test above does the same."""
    first = short.history.now.timestamp() // 60 * 60 - (5 * DAY).total_seconds() + 17
    rows = [Fed("mail", "local", first - 60 * number, 60, "mo", None, "timeout") for number in range(2)]
    short.before = right(short).ledger
    assert await last_release.call("record", short.url, rows[:1]) == [1, 0, 0]
    await migrate(short.url, Settings())
    right(short, rows[:1])
    assert await last_release.call("record", short.url, rows[1:]) == [1, 0, 0]
    right(short, rows)
    async for _ in rounds(short.url):
        pass
    await complete(short, rows)


async def test_a_worker_ends_it_beside_a_prober_of_the_last_release(short: Old, package: Path, tmp_path: Path) -> None:
    """That prober still keeps house by itself."""
    async with recording(package, short, tmp_path, housekeeping=0.7) as prober:
        await begin(short, prober)
        async with working(short.url, *[duty.name for duty in DUTIES], pause_s=0.5) as worker:
            with anyio.fail_after(PATIENCE_S):
                while await pending(short.url):
                    await worker.again("aggregates")
            await prober.goes_on()
            right(short, prober.acknowledged(), exact=True)
            for duty in DUTIES:
                assert worker.rounds(duty.name, "failed") == 0, duty.name
    await complete(short, prober.acknowledged())
    assert prober.kept_house == []


@pytest.mark.campaign
async def test_while_the_last_release_keeps_house(
    budget: Share, long: Old, package: Path, last_release: LastRelease, tmp_path: Path
) -> None:
    """Its refresh, its policies' jobs, and two probers that bring late rows. The upgrade is done once; its figures are
    compared until the share is over, and at the end."""
    async with (
        recording(package, long, tmp_path, housekeeping=0.5) as prober,
        recording(package, long, tmp_path, second=23) as other,
    ):
        both = (prober, other)
        migrated = await begin(long, *both)
        async for number in rounds(long.url):
            if number <= 4:
                await prober.goes_on(1)
                await other.goes_on(1)
            if number in MOMENTS and not budget.over():
                if migrated.engine == "timescaledb":
                    await last_release.call("run_jobs", long.url)
                right(long, acknowledged(both))
        await prober.goes_on()
        right(long, acknowledged(both), exact=True)
    await complete(long, acknowledged(both))
    assert prober.kept_house == []


async def test_with_a_shorter_retention_from_then_on(long: Old, last_release: LastRelease) -> None:
    """Nothing is dropped before all of it is in the figures, also what no refresh has seen; then it is."""
    shorter = Settings(retention=timedelta(days=8))
    migrated = await migrate(long.url, shorter)
    await sweep(long, migrated.engine, last_release)
    await upgrade(long, moments=(2, 16))
    assert first_check(long.url) == long.raw_from
    await complete(long)
    await migrate(long.url, shorter)
    await sweep(long, migrated.engine, last_release)
    assert first_check(long.url) > long.raw_from
    long.raw_from = first_check(long.url)
    right(long, exact=True)


async def sweep(old: Old, engine: str, last_release: LastRelease) -> None:
    """Drops what is older than the retention, as is done in the background."""
    if engine == "timescaledb":
        await last_release.call("run_jobs", old.url)
    with psycopg.connect(old.url) as connection:
        connection.execute("CALL keep_partitions()")


def first_check(url: str) -> float:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT extract(epoch FROM min(scheduled_at))::float8 FROM checks").fetchone()
    assert row is not None
    return float(row[0])


async def test_response_times_and_status_while_it_is_pending(long: Old) -> None:
    """They come from functions that read the last release's aggregates meanwhile, and say what the views add up to."""
    await migrate(long.url, Settings())
    async with connected(long.url) as connection:
        assert await value(connection, "SELECT upgrade_pending()")
        [(low, high)] = await ask(connection, "SELECT min(bucket), max(bucket) + interval '1 day' FROM checks_daily")
        services = [service for (service,) in await ask(connection, "SELECT id FROM services WHERE public ORDER BY id")]
        counts = []
        for service, tier in product(services, ("15m", "hourly", "daily")):
            asked = {"service_id": service, "start": low, "end": high, "step": timedelta(days=1), "tier": tier}
            answer = await (await connection.execute(sql.query("response_times/rollups"), asked)).fetchall()
            _, first, last, checks, errors, *_ = answer[0]
            known = f"SELECT coalesce(sum(checks), 0), coalesce(sum(failed), 0) FROM checks_{tier}"
            there = f"{known} WHERE service_id = %s AND bucket >= %s AND bucket < %s"
            assert await ask(connection, there, (service, first, last)) == [(checks, errors)], (service, tier)
            counts.append(checks)
        assert max(counts) > 0
        told = {row[0]: row[5] for row in await ask(connection, sql.query("status/system_status"))}
        days = """
            SELECT service_id, uptime_percent(sum(down_seconds), sum(covered_seconds))
            FROM checks_daily
            WHERE bucket >= local_day_start(local_date(present(), reporting_time_zone()) - 89, reporting_time_zone())
            GROUP BY service_id
        """
        known_days: dict[str, str] = dict(await ask(connection, days))
        assert told == {service: known_days.get(service, "-") for service in services}


async def test_another_time_zone(long: Old) -> None:
    """While the last release's figures are brought along it is refused, and changes nothing; then it is taken."""
    await migrate(long.url, Settings())
    with pytest.raises(MigrationError, match="SLA_MONITOR_TIMEZONE"):
        await migrate(long.url, Settings(time_zone="America/St_Johns"))
    right(long)
    await upgrade(long, moments=(2, 16))
    await migrate(long.url, Settings(time_zone="America/St_Johns"))
    long.all = type(long.all)("America/St_Johns", long.all.rows.values())
    right(long, exact=True)


async def test_an_installation_without_checks(empty_database: str, last_release: LastRelease, engine: Server) -> None:
    made = await last_release.call("migrate", empty_database, {})
    assert made["engine"] == engine.name
    await migrate(empty_database, Settings())
    assert [number async for number in rounds(empty_database)]
    assert (await migrate(empty_database, Settings())).applied == ()
