"""Sessions of probers of the last release that are open, or in a batch, during the migration."""

import time
from collections.abc import Callable

import anyio
import psycopg
from anyio import to_thread

from sla_monitor.settings import Settings
from sql.migrate import migrate
from tests.upgrade.history import CheckRow
from tests.upgrade.processes import PATIENCE_S, LastRelease
from tests.upgrade.sessions import Session, fetch, install, line, record_and_refresh
from tests.upgrade.upgrading import rounds

DAY = 86400.0
HOUR = 3600.0
OUTAGES = "SELECT started_at, ended_at FROM outages ORDER BY 1"
WITH_IDS = "SELECT id, started_at, ended_at FROM outages ORDER BY 1"
BATCH_TABLES = ("checks", "latest_checks", "service_states", "outages", "touched_ranges", "locations", "services")


def three_days(now: float) -> list[CheckRow]:
    """Two outages of an hour, two days ago and a day ago."""
    return [
        *line(now - 3 * DAY, now - 2 * DAY),
        *line(now - 2 * DAY, now - 2 * DAY + HOUR, "mo"),
        *line(now - 2 * DAY + HOUR, now - DAY),
        *line(now - DAY, now - DAY + HOUR, "mo"),
        *line(now - DAY + HOUR, now - 300),
    ]


def late(now: float, hours: float) -> list[CheckRow]:
    """A successful check, this many hours before the outage of two days ago. It changes no outage."""
    at = (now - 2 * DAY - hours * HOUR) // 300 * 300 + 17
    return [CheckRow("web", "local", at, 300, "o", 100.0, None)]


async def until_waiting(url: str, count: int) -> None:
    """Waits until this many sessions of the database wait for an advisory lock."""
    statement = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'advisory' "
        "AND wait_event_type = 'Lock'"
    )
    await _until(lambda: fetch(url, statement)[0][0] >= count)


async def _until(holds: Callable[[], bool]) -> None:
    with anyio.fail_after(PATIENCE_S):
        while not await to_thread.run_sync(holds):  # noqa: ASYNC110  # the server has no event for this
            await anyio.sleep(0.02)


async def test_an_open_session_continues_to_record(empty_database: str, last_release: LastRelease) -> None:
    """The session has temporary tables of the old functions. None of its batches fails."""
    now = time.time() // 300 * 300
    await install(last_release, empty_database)
    await record_and_refresh(last_release, empty_database, three_days(now))
    session = Session(empty_database)
    assert session.record(line(now - 300, now, "mo")) == (1, 0, 0)
    before = fetch(empty_database, OUTAGES)
    assert len(before) == 3
    await migrate(empty_database, Settings())
    ids = fetch(empty_database, WITH_IDS)
    assert [row[1:] for row in ids] == before
    assert session.record(late(now, 5)) == (1, 0, 0)
    assert session.record(line(now, now + 300)) == (1, 0, 0)
    assert [number async for number in rounds(empty_database)]
    assert session.record(late(now, 4)) == (1, 0, 0)
    assert [row[:2] for row in fetch(empty_database, WITH_IDS)] == [row[:2] for row in ids]
    assert fetch(empty_database, OUTAGES)[:2] == before[:2]


async def test_late_rows_do_not_change_outages_while_the_upgrade_is_pending(
    empty_database: str, last_release: LastRelease
) -> None:
    """The ids of the outages stay the same too."""
    now = time.time() // 300 * 300
    await install(last_release, empty_database)
    await record_and_refresh(last_release, empty_database, three_days(now))
    await migrate(empty_database, Settings())
    ids = fetch(empty_database, WITH_IDS)
    assert len(ids) == 2
    assert Session(empty_database).record(late(now, 5)) == (1, 0, 0)
    assert fetch(empty_database, WITH_IDS) == ids
    assert [number async for number in rounds(empty_database)]
    assert fetch(empty_database, WITH_IDS) == ids


async def test_an_outage_whose_start_moves_keeps_its_id(empty_database: str, last_release: LastRelease) -> None:
    """After the upgrade, a late check that is recorded twice moves the start once."""
    now = time.time() // 300 * 300
    await install(last_release, empty_database)
    await record_and_refresh(last_release, empty_database, three_days(now))
    await migrate(empty_database, Settings())
    assert [number async for number in rounds(empty_database)]
    ids = fetch(empty_database, WITH_IDS)
    session = Session(empty_database)
    earlier = [one._replace(at=one.at - 120) for one in line(now - DAY, now - DAY + 300, "mo")]
    assert session.record(earlier) == (1, 0, 0)
    assert session.record(earlier) == (0, 1, 0)
    moved = fetch(empty_database, WITH_IDS)
    assert [row[0] for row in moved] == [row[0] for row in ids]
    assert moved[1][1].timestamp() == earlier[0].at
    assert (moved[0], moved[1][2]) == (ids[0], ids[1][2])


async def test_a_batch_that_waits_for_the_migration_is_recorded(empty_database: str, last_release: LastRelease) -> None:
    """The batch begins in the old record_checks() and continues there after the migration."""
    now = time.time() // 300 * 300
    await install(last_release, empty_database)
    await record_and_refresh(last_release, empty_database, three_days(now))
    before = fetch(empty_database, OUTAGES)
    await _record_across_the_migration(empty_database, late(now, 5))
    assert fetch(empty_database, OUTAGES) == before
    assert [number async for number in rounds(empty_database)]
    assert fetch(empty_database, OUTAGES) == before
    assert fetch(empty_database, "SELECT sum(checks) = (SELECT count(*) FROM checks) FROM checks_15m") == [(True,)]


async def test_a_batch_that_waits_for_the_migration_adds_no_outage_of_two_locations(
    empty_database: str, last_release: LastRelease
) -> None:
    """One location fails and the other is slow: never an outage, even if the checks of one begin earlier."""
    now = time.time() // 300 * 300
    await install(last_release, empty_database)
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute("INSERT INTO locations (id, name) VALUES ('seoul', 'Seoul')")
    failing = [one._replace(location="seoul") for one in line(now - 3 * HOUR + 300, now - HOUR, "mo")]
    failing += [one._replace(location="seoul") for one in line(now - HOUR, now - 300)]
    slow = [one._replace(at=one.at + 59, severity="po") for one in line(now - 3 * HOUR, now - HOUR - 300)]
    slow += [one._replace(at=one.at + 59) for one in line(now - HOUR - 300, now - 300)]
    await record_in_order(last_release, empty_database, failing + slow)
    assert fetch(empty_database, OUTAGES) == []
    await _record_across_the_migration(empty_database, [slow[5]._replace(at=slow[5].at + 60)])
    assert fetch(empty_database, OUTAGES) == []
    assert [number async for number in rounds(empty_database)]
    assert fetch(empty_database, OUTAGES) == []


async def record_in_order(release: LastRelease, url: str, rows: list[CheckRow]) -> None:
    await record_and_refresh(release, url, sorted(rows, key=lambda one: one.at))


async def _record_across_the_migration(url: str, rows: list[CheckRow]) -> None:
    """Records a batch whose record_checks() waits for the recording lock until migrate() commits."""
    session = Session(url)
    done: list[tuple[int, int, int]] = []

    async def record() -> None:
        done.append(await to_thread.run_sync(session.record, rows))

    with psycopg.connect(url) as holding:
        holding.execute("SELECT FROM installation FOR UPDATE")
        async with anyio.create_task_group() as group:
            group.start_soon(migrate, url, Settings())
            await _until(lambda: _holds_recording_lock(url))
            group.start_soon(record)
            await until_waiting(url, 1)
            await to_thread.run_sync(holding.rollback)
    assert done == [(len(rows), 0, 0)]


def _holds_recording_lock(url: str) -> bool:
    """Whether the migration holds the recording lock and waits for another lock."""
    statement = (
        "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) "
        "WHERE locktype = 'advisory' AND granted AND application_name = 'sla-monitor migrate' "
        "AND datname = current_database() "
        "AND (classid::bigint << 32 | objid::bigint) = hashtextextended('sla-monitor recording', 0) "
        "AND wait_event_type = 'Lock'"
    )
    return bool(fetch(url, statement)[0][0])


async def test_a_batch_can_read_its_tables_while_the_migration_waits_for_it(
    empty_database: str, last_release: LastRelease
) -> None:
    """A batch that holds the recording lock can read all its tables. The migration waits for the batch."""
    now = time.time() // 300 * 300
    await install(last_release, empty_database)
    await record_and_refresh(last_release, empty_database, three_days(now))
    with psycopg.connect(empty_database) as batch:
        batch.execute("SELECT lock_recording()")
        async with anyio.create_task_group() as group:
            group.start_soon(migrate, empty_database, Settings())
            await until_waiting(empty_database, 1)
            batch.execute("SET LOCAL lock_timeout = '500ms'")
            for table in BATCH_TABLES:
                await to_thread.run_sync(batch.execute, f"SELECT count(*) FROM {table}".encode())
            await to_thread.run_sync(batch.rollback)
    assert [number async for number in rounds(empty_database)]
