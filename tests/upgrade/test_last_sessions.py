"""Sessions of the last release's probers that are open, or in the middle of a batch, while the schema changes."""

import time
from collections.abc import Callable

import anyio
import psycopg
from anyio import to_thread

from sla_monitor.settings import Settings
from sql.migrate import migrate
from tests.upgrade.history import Fed
from tests.upgrade.processes import PATIENCE_S, LastRelease
from tests.upgrade.sessions import Session, ask, fed, installed, line
from tests.upgrade.upgrading import rounds

DAY = 86400.0
HOUR = 3600.0
OUTAGES = "SELECT started_at, ended_at FROM outages ORDER BY 1"
WITH_IDS = "SELECT id, started_at, ended_at FROM outages ORDER BY 1"
RECORDED_FROM = ("checks", "latest_checks", "service_states", "outages", "touched_ranges", "locations", "services")


def three_days(now: float) -> list[Fed]:
    """Two outages of an hour, two days ago and a day ago."""
    return [
        *line(now - 3 * DAY, now - 2 * DAY),
        *line(now - 2 * DAY, now - 2 * DAY + HOUR, "mo"),
        *line(now - 2 * DAY + HOUR, now - DAY),
        *line(now - DAY, now - DAY + HOUR, "mo"),
        *line(now - DAY + HOUR, now - 300),
    ]


def late(now: float, hours: float) -> list[Fed]:
    """A good check among good ones, that long before the outage of two days ago: it changes nothing."""
    at = (now - 2 * DAY - hours * HOUR) // 300 * 300 + 17
    return [Fed("web", "local", at, 300, "o", 100.0, None)]


async def until_waiting(url: str, count: int) -> None:
    """Returns when so many sessions of the database wait for an advisory lock."""
    question = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'advisory' "
        "AND wait_event_type = 'Lock'"
    )
    await _until(lambda: ask(url, question)[0][0] >= count)


async def _until(holds: Callable[[], bool]) -> None:
    with anyio.fail_after(PATIENCE_S):
        while not await to_thread.run_sync(holds):  # noqa: ASYNC110  # the server has no event for it
            await anyio.sleep(0.02)


async def test_an_open_session_goes_on(empty_database: str, last_release: LastRelease) -> None:
    """It has temporary tables of the old functions; none of its batches fails."""
    now = time.time() // 300 * 300
    await installed(last_release, empty_database)
    await fed(last_release, empty_database, three_days(now))
    session = Session(empty_database)
    assert session.record(line(now - 300, now, "mo")) == (1, 0, 0)
    before = ask(empty_database, OUTAGES)
    assert len(before) == 3
    await migrate(empty_database, Settings())
    ids = ask(empty_database, WITH_IDS)
    assert [row[1:] for row in ids] == before
    assert session.record(late(now, 5)) == (1, 0, 0)
    assert session.record(line(now, now + 300)) == (1, 0, 0)
    assert [number async for number in rounds(empty_database)]
    assert session.record(late(now, 4)) == (1, 0, 0)
    assert [row[:2] for row in ask(empty_database, WITH_IDS)] == [row[:2] for row in ids]
    assert ask(empty_database, OUTAGES)[:2] == before[:2]


async def test_late_rows_leave_outages_while_the_upgrade_is_pending(
    empty_database: str, last_release: LastRelease
) -> None:
    """They keep their ids too."""
    now = time.time() // 300 * 300
    await installed(last_release, empty_database)
    await fed(last_release, empty_database, three_days(now))
    await migrate(empty_database, Settings())
    ids = ask(empty_database, WITH_IDS)
    assert len(ids) == 2
    assert Session(empty_database).record(late(now, 5)) == (1, 0, 0)
    assert ask(empty_database, WITH_IDS) == ids
    assert [number async for number in rounds(empty_database)]
    assert ask(empty_database, WITH_IDS) == ids


async def test_an_outage_whose_start_moves_keeps_its_id(empty_database: str, last_release: LastRelease) -> None:
    """Once the upgrade is over; the late check comes twice."""
    now = time.time() // 300 * 300
    await installed(last_release, empty_database)
    await fed(last_release, empty_database, three_days(now))
    await migrate(empty_database, Settings())
    assert [number async for number in rounds(empty_database)]
    ids = ask(empty_database, WITH_IDS)
    session = Session(empty_database)
    earlier = [one._replace(at=one.at - 120) for one in line(now - DAY, now - DAY + 300, "mo")]
    assert session.record(earlier) == (1, 0, 0)
    assert session.record(earlier) == (0, 1, 0)
    moved = ask(empty_database, WITH_IDS)
    assert [row[0] for row in moved] == [row[0] for row in ids]
    assert moved[1][1].timestamp() == earlier[0].at
    assert (moved[0], moved[1][2]) == (ids[0], ids[1][2])


async def test_a_batch_that_waits_for_the_migration(empty_database: str, last_release: LastRelease) -> None:
    """It began in the old record_checks(), and goes on in it when the new schema is there."""
    now = time.time() // 300 * 300
    await installed(last_release, empty_database)
    await fed(last_release, empty_database, three_days(now))
    before = ask(empty_database, OUTAGES)
    await _record_across_the_migration(empty_database, late(now, 5))
    assert ask(empty_database, OUTAGES) == before
    assert [number async for number in rounds(empty_database)]
    assert ask(empty_database, OUTAGES) == before
    assert ask(empty_database, "SELECT sum(checks) = (SELECT count(*) FROM checks) FROM checks_15m") == [(True,)]


async def test_such_a_batch_where_two_locations_vote(empty_database: str, last_release: LastRelease) -> None:
    """One failed, the other was slow: never an outage, also where the known part of one begins before the other's."""
    now = time.time() // 300 * 300
    await installed(last_release, empty_database)
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute("INSERT INTO locations (id, name) VALUES ('seoul', 'Seoul')")
    failing = [one._replace(location="seoul") for one in line(now - 3 * HOUR + 300, now - HOUR, "mo")]
    failing += [one._replace(location="seoul") for one in line(now - HOUR, now - 300)]
    slow = [one._replace(at=one.at + 59, severity="po") for one in line(now - 3 * HOUR, now - HOUR - 300)]
    slow += [one._replace(at=one.at + 59) for one in line(now - HOUR - 300, now - 300)]
    await fed_in_order(last_release, empty_database, failing + slow)
    assert ask(empty_database, OUTAGES) == []
    await _record_across_the_migration(empty_database, [slow[5]._replace(at=slow[5].at + 60)])
    assert ask(empty_database, OUTAGES) == []
    assert [number async for number in rounds(empty_database)]
    assert ask(empty_database, OUTAGES) == []


async def fed_in_order(release: LastRelease, url: str, rows: list[Fed]) -> None:
    await fed(release, url, sorted(rows, key=lambda one: one.at))


async def _record_across_the_migration(url: str, rows: list[Fed]) -> None:
    """A batch whose record_checks() waits for the recording lock while migrate() has it, until that is committed."""
    session = Session(url)
    done: list[tuple[int, int, int]] = []

    async def record() -> None:
        done.append(await to_thread.run_sync(session.record, rows))

    with psycopg.connect(url) as holding:
        holding.execute("SELECT FROM installation FOR UPDATE")
        async with anyio.create_task_group() as group:
            group.start_soon(migrate, url, Settings())
            await _until(lambda: _holds_recording(url))
            group.start_soon(record)
            await until_waiting(url, 1)
            await to_thread.run_sync(holding.rollback)
    assert done == [(len(rows), 0, 0)]


def _holds_recording(url: str) -> bool:
    """Whether the migration has the lock that batches are recorded under, and waits for something else."""
    question = (
        "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) "
        "WHERE locktype = 'advisory' AND granted AND application_name = 'sla-monitor migrate' "
        "AND datname = current_database() "
        "AND (classid::bigint << 32 | objid::bigint) = hashtextextended('sla-monitor recording', 0) "
        "AND wait_event_type = 'Lock'"
    )
    return bool(ask(url, question)[0][0])


async def test_a_migration_that_waits_for_a_batch(empty_database: str, last_release: LastRelease) -> None:
    """A batch that holds the recording lock gets at all its tables, whatever the migration has done already."""
    now = time.time() // 300 * 300
    await installed(last_release, empty_database)
    await fed(last_release, empty_database, three_days(now))
    with psycopg.connect(empty_database) as batch:
        batch.execute("SELECT lock_recording()")
        async with anyio.create_task_group() as group:
            group.start_soon(migrate, empty_database, Settings())
            await until_waiting(empty_database, 1)
            batch.execute("SET LOCAL lock_timeout = '500ms'")
            for table in RECORDED_FROM:
                await to_thread.run_sync(batch.execute, f"SELECT count(*) FROM {table}".encode())
            await to_thread.run_sync(batch.rollback)
    assert [number async for number in rounds(empty_database)]
