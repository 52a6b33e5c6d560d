"""Occurrences of recurring windows are stored in advance; a window that fails does not stop others."""

from datetime import UTC, datetime, timedelta

import anyio
import psycopg
import pytest

import sql
from sla_monitor.windows import AHEAD
from tests.sql.batches import Connection, add_services, connected, fetch, until_true, value
from tests.worker.working import working
from worker.maintenance_plan import WindowError, extend_windows

UNREADABLE = [
    {"starts_at": "'-infinity'"},
    {"ends_at": "'infinity'"},
    {"starts_at": "'0001-01-01 00:00Z'", "ends_at": "'0001-01-01 01:00Z'"},
]
DAY = timedelta(days=1)


async def due_window(db: Connection, title: str, **columns: str) -> None:
    """Inserts a daily window of 500 days ago that needs more occurrences."""
    values = {
        "title": repr(title),
        "starts_at": "now() - interval '500 days'",
        "ends_at": "now() - interval '499 days'",
        "expanded_until": "now() - interval '1 day'",
        "rrule": "'FREQ=DAILY'",
        "time_zone": "'Pacific/Honolulu'",
    } | columns
    await db.execute(
        f"INSERT INTO maintenance_windows (affected_services, author, {', '.join(values)}) "
        f"VALUES ('{{shop}}', 'kim', {', '.join(values.values())})".encode()
    )


async def stored(db: Connection) -> dict[str, int]:
    """The number of stored occurrences by the title of the window."""
    found = await fetch(
        db,
        "SELECT title, count(*) FROM maintenance_occurrences JOIN maintenance_windows ON id = window_id GROUP BY title",
    )
    return dict(found)


async def test_one_of_several_workers_stores_occurrences_in_advance(database: str) -> None:
    async with (
        connected(database) as db,
        sql.open_pool(database, application="one") as one,
        sql.open_pool(database, application="two") as two,
    ):
        await add_services(db, "shop")
        await due_window(db, "daily")
        await due_window(db, "thrice", rrule="'FREQ=DAILY;COUNT=3'")
        now = datetime.now(UTC)
        assert await extend_windows(one, now) == 2
        assert await stored(db) == {"daily": 1 + AHEAD.days + 1}  # yesterday, the days ahead, the last day
        assert await extend_windows(one, now) == 0
        found: list[int] = []

        async def extend(pool: sql.Pool) -> None:
            found.append(await extend_windows(pool, now + timedelta(days=365)))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(extend, one)
            tasks.start_soon(extend, two)
        assert sum(found) == 2
        assert await stored(db) == {"daily": 1 + AHEAD.days + 365 + 1}
        gaps = await fetch(
            db, "SELECT DISTINCT starts_at - lag(starts_at) OVER (ORDER BY starts_at) FROM maintenance_occurrences"
        )
        assert {gap for (gap,) in gaps} == {None, DAY}
        assert await fetch(db, "SELECT DISTINCT version FROM maintenance_windows") == [(1,)]


@pytest.mark.parametrize("unreadable", UNREADABLE)
async def test_an_unreadable_window_does_not_stop_others(database: str, unreadable: dict[str, str]) -> None:
    async with connected(database) as db:
        with pytest.raises(psycopg.errors.CheckViolation):
            await due_window(db, "unreadable", **unreadable)
        await db.execute(
            "ALTER TABLE maintenance_windows DROP CONSTRAINT maintenance_windows_starts_at, "
            "DROP CONSTRAINT maintenance_windows_ends_at"
        )
        await due_window(db, "unreadable", expanded_until="now() - interval '2 days'", **unreadable)
        await due_window(db, "good")
        async with sql.open_pool(database, application="extending") as pool:
            with pytest.raises(WindowError, match="1 maintenance windows"):
                await extend_windows(pool, datetime.now(UTC))
        assert await stored(db) == {"good": 1 + AHEAD.days + 1}


@pytest.mark.parametrize(
    "changed",
    [
        {"time_zone": "'Mars/Olympus'"},
        {"rrule": "'FREQ=SOMETIMES'"},
        {"rrule": "'FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30'"},
        {"rrule": "'FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR,SA,SU'", "ends_at": "now() - interval '498 days'"},
    ],
)
async def test_a_window_that_was_made_invalid_in_the_database_is_not_extended(
    database: str, changed: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    async with connected(database) as db:
        await due_window(db, "damaged", **changed)
        async with sql.open_pool(database, application="extending") as pool:
            assert await extend_windows(pool, datetime.now(UTC)) == 1
            assert await extend_windows(pool, datetime.now(UTC)) == 0
        assert await stored(db) == {}
        assert "cannot be extended" in caplog.text


async def test_the_worker_waits_while_the_database_is_read_only(database: str) -> None:
    async with connected(database) as db:
        await add_services(db, "shop")
        await due_window(db, "daily", ends_at="now() - interval '500 days' + interval '1 hour'")
        await db.execute(
            "INSERT INTO maintenance_occurrences SELECT id, now(), now() + interval '1 hour', '{shop}' "
            "FROM maintenance_windows"
        )
        await set_read_only(db, "on")
        async with working(database, "maintenance", "maintenance_plan") as worker:
            await worker.wait_for_rounds("maintenance", 2, "failed")
            await worker.wait_for_rounds("maintenance_plan", 2, "failed")
            await set_read_only(db, "off")
            await until_true(
                db, "SELECT state = 'maintenance' AND expanded_until > now() FROM service_states, maintenance_windows"
            )


async def set_read_only(db: Connection, switch: str) -> None:
    """Makes the database read-only, or writable again, for other connections, and ends those of the worker."""
    name = await value(db, "SELECT quote_ident(current_database())")
    await db.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = {switch}".encode())
    await db.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND application_name LIKE 'sla-monitor worker%'"
    )
