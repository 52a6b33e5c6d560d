"""An installation of the last release is upgraded with its data, in the background, and is right at every moment."""

from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from sla_monitor.settings import Settings
from sql.migrate import MigrationError, migrate
from tests.engines import Server
from tests.upgrade.history import Fed
from tests.upgrade.old_database import Old, recording
from tests.upgrade.processes import LastRelease
from tests.upgrade.upgrading import complete, right, rounds, upgrade

MINUTE_S = 60


async def test_while_a_prober_of_the_last_release_records(short: Old, package: Path, tmp_path: Path) -> None:
    """Most of the past is in the aggregates only; late rows come all the time."""
    async with recording(package, short, tmp_path) as prober:
        right(short, prober.acknowledged())
        await migrate(short.url, Settings())
        prober.migrated.touch()
        right(short, prober.acknowledged())
        async for number in rounds(short.url):
            if number <= 4:
                await prober.goes_on(1)
            if number <= 4 or number.bit_count() == 1:
                right(short, prober.acknowledged())
        right(short, prober.acknowledged(), exact=True)
        await prober.goes_on()
        right(short, prober.acknowledged(), exact=True)
    await complete(short, prober.acknowledged())


async def test_while_the_last_release_keeps_house(
    long: Old, package: Path, last_release: LastRelease, tmp_path: Path
) -> None:
    """Its refresh, its policies' jobs, and two probers that bring late rows."""
    async with (
        recording(package, long, tmp_path, housekeeping=0.5) as prober,
        recording(package, long, tmp_path, second=23) as other,
    ):
        both = (prober, other)
        migrated = await migrate(long.url, Settings())
        for one in both:
            one.migrated.touch()
        async for number in rounds(long.url):
            if number <= 4:
                await prober.goes_on(1)
                await other.goes_on(1)
            if migrated.engine == "timescaledb":
                await last_release.call("run_jobs", long.url)
            if number <= 4 or number.bit_count() == 1:
                right(long, [fed for one in both for fed in one.acknowledged()])
        await prober.goes_on()
        right(long, [fed for one in both for fed in one.acknowledged()], exact=True)
    await complete(long, [fed for one in both for fed in one.acknowledged()])
    assert prober.kept_house == []


async def test_outages_keep_their_ids_from_then_on(long: Old, last_release: LastRelease) -> None:
    await upgrade(long)
    before = outage_ids(long.url)
    [going_on] = [key for key, ended in before.items() if key[0] == "mail" and ended is None]
    span = long.all.outages("mail", 0)[-1]
    late = [Fed("mail", "local", span.started - 2 * MINUTE_S + 1, 300, "mo", None, "timeout")]
    assert await last_release.call("record", long.url, late) == [1, 0, 0]
    assert await last_release.call("record", long.url, late) == [0, 1, 0]
    long.all.add(late)
    right(long, late, exact=True)
    after = outage_ids(long.url)
    assert [key[1] for key, ended in after.items() if key[0] == "mail" and ended is None] == [going_on[1]]
    assert after.keys() == before.keys()


def outage_ids(url: str) -> dict[tuple[str, int], object]:
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT service_id, id, ended_at FROM outages").fetchall()
    return {(service, number): ended for service, number, ended in rows}


async def test_with_a_shorter_retention_from_then_on(long: Old, last_release: LastRelease) -> None:
    """What the new retention drops is in the figures for good, also what no refresh has seen."""
    migrated = await migrate(long.url, Settings(retention=timedelta(days=8), compress_after=timedelta(days=2)))
    if migrated.engine == "timescaledb":
        await last_release.call("run_jobs", long.url)
    with psycopg.connect(long.url) as connection:
        connection.execute("CALL keep_partitions()")
        row = connection.execute("SELECT extract(epoch FROM min(scheduled_at))::float8 FROM checks").fetchone()
    assert row is not None
    assert row[0] > long.raw_from
    long.raw_from = row[0]
    right(long)
    await upgrade(long)
    await complete(long)


async def test_another_time_zone(long: Old) -> None:
    """While the last release's figures are brought along it is refused, and changes nothing; then it is taken."""
    await migrate(long.url, Settings())
    with pytest.raises(MigrationError, match="SLA_MONITOR_TIMEZONE"):
        await migrate(long.url, Settings(time_zone="America/St_Johns"))
    right(long)
    await upgrade(long)
    await migrate(long.url, Settings(time_zone="America/St_Johns"))
    long.all = type(long.all)("America/St_Johns", long.all.rows.values())
    right(long, exact=True)


async def test_an_installation_without_checks(empty_database: str, last_release: LastRelease, engine: Server) -> None:
    made = await last_release.call("migrate", empty_database, {})
    assert made["engine"] == engine.name
    await migrate(empty_database, Settings())
    assert [number async for number in rounds(empty_database)]
    assert (await migrate(empty_database, Settings())).applied == ()
