"""Upgrades of unusual installations: new ones, with deleted or paused services, with gaps."""

import math
import time

import psycopg
import pytest

from sla_monitor.settings import Settings
from sql.migrate import migrate
from tests.servers import Server
from tests.upgrade.history import CheckRow
from tests.upgrade.processes import LastRelease
from tests.upgrade.sessions import Session, fetch, install, line, record_and_refresh
from tests.upgrade.upgrading import rounds

DAY = 86400.0
HOUR = 3600.0
COUNTS = "SELECT (SELECT sum(checks) FROM checks_daily)::int, (SELECT sum(checks) FROM latency_daily)::int"
EPISODES = "SELECT starts_at, ends_at, state::text, estimated FROM episodes ORDER BY 1"


async def upgrade(url: str) -> None:
    await migrate(url, Settings())
    assert [number async for number in rounds(url)]
    assert (await migrate(url, Settings())).applied == ()


@pytest.mark.parametrize("checks", [0, 3])
async def test_aggregates_that_were_never_refreshed_are_upgraded(
    checks: int, empty_database: str, last_release: LastRelease, engine: Server
) -> None:
    now = time.time() // 300 * 300
    await install(last_release, empty_database)
    rows = line(now - checks * HOUR, now)
    if rows:
        assert await last_release.call("record", empty_database, rows) == [len(rows), 0, 0]
    await upgrade(empty_database)
    assert fetch(empty_database, COUNTS) == [(len(rows) or None, len(rows) or None)]
    assert Session(empty_database).record(line(now, now + 300)) == (1, 0, 0)
    assert fetch(empty_database, COUNTS) == [(len(rows) + 1, len(rows) + 1)]


async def test_a_deleted_service_that_is_added_again_continues_its_history(
    empty_database: str, last_release: LastRelease
) -> None:
    """The time in between is unknown, and its outage has ended."""
    now = time.time() // 300 * 300
    await install(last_release, empty_database)
    await record_and_refresh(
        last_release, empty_database, [*line(now - 3 * DAY, now - 2 * DAY), *line(now - 2 * DAY, now - DAY, "mo")]
    )
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute("DELETE FROM services")
    await upgrade(empty_database)
    [(_, ended)] = fetch(empty_database, "SELECT started_at, ended_at FROM outages")
    assert ended is not None
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute("INSERT INTO services (id, name, endpoint_url) VALUES ('web', 'Web', 'http://target/')")
    next_check = CheckRow("web", "local", float(math.ceil(time.time())), 300, "o", 100.0, None)
    assert Session(empty_database).record([next_check]) == (1, 0, 0)
    episodes = fetch(empty_database, EPISODES)
    assert [state for _, _, state, _ in episodes][:4] == ["operational", "outage", "unknown", "operational"]
    assert [end for _, end, _, _ in episodes[:-1]] == [start for start, _, _, _ in episodes[1:]]
    assert episodes[-1][1] is None


async def test_a_pause_during_an_outage_ends_the_outage(empty_database: str, last_release: LastRelease) -> None:
    """The upgraded database has one outage with an end, and the state is unknown."""
    now = time.time() // 300 * 300
    await install(last_release, empty_database)
    await record_and_refresh(last_release, empty_database, [*line(now - DAY, now - HOUR), *line(now - HOUR, now, "mo")])
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute("UPDATE services SET enabled = false")
    await upgrade(empty_database)
    assert fetch(empty_database, "SELECT count(*), count(ended_at) FROM outages") == [(1, 1)]
    assert fetch(empty_database, "SELECT state::text FROM service_states") == [("unknown",)]


async def test_a_late_row_in_the_oldest_quarter_hour_is_counted(empty_database: str, last_release: LastRelease) -> None:
    """The row is in the oldest quarter of an hour that is accepted. It is in the raw rows and in no aggregate yet."""
    await install(last_release, empty_database, retention_days=10)
    [(oldest,)] = fetch(empty_database, "SELECT extract(epoch FROM oldest_check())::float8")
    rows = line(oldest + 900, oldest + DAY)
    await record_and_refresh(last_release, empty_database, rows)
    late = [CheckRow("web", "local", int(oldest) + 60.0, 300, "mo", None, "timeout")]
    assert Session(empty_database).record(late) == (1, 0, 0)
    await migrate(empty_database, Settings())
    while fetch(empty_database, "SELECT run_upgrade_task()") == [(True,)]:
        pass  # the upgrade tasks run before any refresh
    await upgrade(empty_database)
    assert fetch(empty_database, "SELECT sum(checks)::int FROM checks_15m") == [(len(rows) + 1,)]
    assert fetch(empty_database, "SELECT sum(down_seconds)::int FROM checks_daily") == [(300,)]


async def test_a_gap_older_than_the_raw_rows_is_estimated(
    empty_database: str, last_release: LastRelease, engine: Server
) -> None:
    """Its episode is marked as estimated, like the episodes next to it."""
    now = time.time() // 900 * 900
    await install(last_release, empty_database)
    gap = now - 80 * DAY
    rows = [*line(gap - 2 * DAY, gap), *line(gap + HOUR, gap + 2 * DAY), *line(now - DAY, now)]
    await record_and_refresh(last_release, empty_database, rows)
    await last_release.call("migrate", empty_database, {"retention_days": 10})
    if engine.name == "timescaledb":
        await last_release.call("run_jobs", empty_database)
    await upgrade(empty_database)
    old = [row for row in fetch(empty_database, EPISODES) if row[1] is not None and row[1].timestamp() < now - 40 * DAY]
    assert [(state, estimated) for _, _, state, estimated in old] == [
        ("operational", True),
        ("unknown", True),
        ("operational", True),
    ]
