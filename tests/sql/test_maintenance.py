"""turn_maintenance(): the states of services before, during and after maintenance, in any order with checks."""

from datetime import datetime, timedelta
from typing import Any

import anyio
import psycopg
import pytest

from tests.sql.batches import (
    DAY,
    MINUTE,
    PATIENCE_S,
    Connection,
    add_services,
    connected,
    fetch,
    now,
    outages,
    record,
    row,
    state,
    until_waiting,
    value,
)

HOUR = timedelta(hours=1)


async def plan(db: Connection, starts: datetime, ends: datetime, *services: str) -> None:
    """Adds maintenance that was announced earlier."""
    window = await value(
        db,
        "INSERT INTO maintenance_windows (title, affected_services, starts_at, ends_at, time_zone, author) "
        "VALUES ('New disks', %s, %s, %s, 'UTC', 'ann') RETURNING id",
        (list(services or ("web",)), starts, ends),
    )
    await db.execute(
        "INSERT INTO maintenance_occurrences SELECT id, starts_at, ends_at, affected_services "
        "FROM maintenance_windows WHERE id = %s",
        (window,),
    )


async def end(db: Connection, moment: datetime) -> None:
    """Ends all running maintenance at this time."""
    await db.execute("UPDATE maintenance_occurrences SET ends_at = %s WHERE ends_at > now()", (moment,))


async def turn(db: Connection) -> int:
    """Calls turn_maintenance(). Returns the number of services that entered or left maintenance."""
    turned: int = await value(db, "SELECT turn_maintenance()")
    return turned


async def status_updates(db: Connection) -> list[tuple[str, str]]:
    """Returns the states in the events, and the start of each."""
    return [
        (data["status"], data["timestamp"])
        for (data,) in await fetch(db, "SELECT data FROM events WHERE event = 'status-update' ORDER BY seq")
    ]


async def iso(db: Connection, moment: datetime) -> str:
    return str(await value(db, "SELECT iso_time(%s)", (moment,)))


async def test_maintenance_begins_and_ends_once_at_its_time(db: Connection) -> None:
    checked, begun, over = now() - 20 * MINUTE, now() - 5 * MINUTE, now() - MINUTE
    await record(db, [row(checked + n * MINUTE) for n in range(20)])
    await plan(db, begun, now() + HOUR)
    assert [await turn(db), await turn(db)] == [1, 0]
    assert await state(db) == ("maintenance", begun)

    await end(db, over)
    assert [await turn(db), await turn(db)] == [1, 0]
    assert await state(db) == ("operational", over)
    assert await status_updates(db) == [
        ("operational", await iso(db, checked)),
        ("maintenance", await iso(db, begun)),
        ("operational", await iso(db, over)),
    ]


async def test_during_maintenance_checks_change_outages_and_no_state(db: Connection) -> None:
    begun = now() - 5 * MINUTE
    await record(db, [row(begun - MINUTE)])
    await plan(db, begun, now() + HOUR)
    await turn(db)
    before = await status_updates(db)
    for minute, severity in ((0, "mo"), (1, "mo"), (2, "o"), (3, "mo")):
        await record(db, [row(begun + minute * MINUTE, severity)])
        assert await state(db) == ("maintenance", begun)
    assert await status_updates(db) == before
    assert await outages(db) == [(begun, begun + 2 * MINUTE), (begun + 3 * MINUTE, None)]

    over = begun + 4 * MINUTE
    await end(db, over)
    await turn(db)
    assert await state(db) == ("outage", over)
    assert await outages(db) == [(begun, begun + 2 * MINUTE), (begun + 3 * MINUTE, None)]


async def test_a_check_after_the_end_ends_maintenance_before_the_worker(db: Connection) -> None:
    begun, over = now() - 5 * MINUTE, now() - 2 * MINUTE
    await record(db, [row(begun - MINUTE)])
    await plan(db, begun, now() + HOUR)
    await turn(db)
    await end(db, over)
    failed = now() - MINUTE
    await record(db, [row(failed, "mo")])
    assert await state(db) == ("outage", failed)
    assert await turn(db) == 0


async def test_without_recent_checks_the_state_after_maintenance_is_unknown(db: Connection) -> None:
    await add_services(db, "never")
    await record(db, [row(now() - HOUR)])
    await fetch(db, "SELECT expire_states()")
    await plan(db, now() - 30 * MINUTE, now() + HOUR, "web", "never")
    assert await turn(db) == 2
    over = now() - 10 * MINUTE
    await end(db, over)
    assert [await turn(db), await turn(db)] == [2, 0]
    assert await state(db) == ("unknown", over)
    assert await state(db, "never") == ("unknown", over)


async def test_every_location_counts_after_maintenance(db: Connection) -> None:
    started = now() - 2 * MINUTE
    for location, severity in (("local", "o"), ("seoul", "mo"), ("fra-1", "mo")):
        await record(db, [row(started, severity, location=location)])
    await plan(db, now() - MINUTE, now() + HOUR)
    await turn(db)
    await end(db, now())
    await turn(db)
    assert (await state(db))[0] == "outage"


async def test_late_rows_do_not_begin_a_state_before_the_end_of_maintenance(db: Connection) -> None:
    begun, over = now() - 20 * MINUTE, now() - 5 * MINUTE
    await record(db, [row(over + n * MINUTE) for n in range(-16, 5) if n != -12])
    await plan(db, begun, now() + HOUR)
    await turn(db)
    await end(db, over)
    await turn(db)
    assert await state(db) == ("operational", over)
    await record(db, [row(over - 12 * MINUTE, "mo")])
    assert await outages(db) == [(over - 12 * MINUTE, over - 11 * MINUTE)]
    assert await state(db) == ("operational", over)


async def test_overlapping_or_adjacent_maintenance_is_one_state(db: Connection) -> None:
    await record(db, [row(now() - 10 * MINUTE)])
    await plan(db, now() - 5 * MINUTE, now() + HOUR)
    await turn(db)
    since = (await state(db))[1]
    await plan(db, now() - MINUTE, now() + 2 * HOUR)
    assert await turn(db) == 0
    await db.execute(
        "UPDATE maintenance_occurrences SET ends_at = now() WHERE starts_at < now() - interval '2 minutes'"
    )
    assert await turn(db) == 0
    assert await state(db) == ("maintenance", since)


async def test_a_service_that_is_paused_is_not_under_maintenance(db: Connection) -> None:
    await db.execute("UPDATE services SET enabled = false WHERE id = 'web'")
    await plan(db, now() - 5 * MINUTE, now() + HOUR)
    assert await turn(db) == 0
    await db.execute("UPDATE services SET enabled = true WHERE id = 'web'")
    assert await turn(db) == 1
    await db.execute("UPDATE services SET enabled = false WHERE id = 'web'")
    assert (await state(db))[0] == "unknown"
    assert await turn(db) == 0


async def test_maintenance_at_other_times_or_of_other_services_changes_nothing(db: Connection) -> None:
    await add_services(db, "other")
    await plan(db, now() - DAY, now() - HOUR)
    await plan(db, now() + HOUR, now() + DAY)
    await plan(db, now() - HOUR, now() + HOUR, "other", "deleted-since")
    assert await turn(db) == 1
    assert (await state(db))[0] == "unknown"


async def test_a_state_set_in_sql_is_corrected(db: Connection) -> None:
    await record(db, [row(now())])
    await db.execute("UPDATE service_states SET state = 'maintenance'")
    assert [await turn(db), await turn(db)] == [1, 0]
    assert (await state(db))[0] == "operational"


class TestWaitingTransactions:
    """A transaction that waited for the lock began before the one it waited for, so its now() is outdated."""

    async def test_maintenance_that_ended_meanwhile_does_not_begin_again(self, db: Connection, database: str) -> None:
        await record(db, [row(now() - MINUTE)])
        await plan(db, now() - MINUTE, now() + HOUR)
        turned: list[int] = []

        async def late(connection: Connection) -> None:
            turned.append(await turn(connection))

        async with connected(database) as rival, anyio.create_task_group() as tasks, db.transaction():
            await db.execute("SELECT lock_recording()")
            tasks.start_soon(late, rival)
            await until_waiting(db)
            await db.execute("UPDATE maintenance_occurrences SET ends_at = clock_timestamp()")
        assert turned == [0]
        assert (await state(db))[0] == "operational"

    async def test_maintenance_that_began_meanwhile_is_not_ended(self, db: Connection, database: str) -> None:
        await record(db, [row(now() - MINUTE)])
        async with connected(database) as rival, anyio.create_task_group() as tasks, db.transaction():
            await db.execute("SELECT lock_recording()")
            tasks.start_soon(record, rival, [row(now(), "mo")])
            await until_waiting(db)
            await plan(db, await value(db, "SELECT clock_timestamp()"), now() + HOUR)
            await db.execute("UPDATE service_states SET state = 'maintenance'")
        assert (await state(db))[0] == "maintenance"


async def test_the_event_of_a_window_is_appended_at_the_end_of_its_transaction(db: Connection, database: str) -> None:
    """A new window can have hundreds of occurrences. Other sessions append events meanwhile, and the numbers stay in
    the order of the commits."""
    async with connected(database) as rival:
        async with db.transaction():
            await plan(db, now() + HOUR, now() + 2 * HOUR)
            with anyio.fail_after(PATIENCE_S):
                await rival.execute("SELECT append_event('test', NULL, '{}')")
        events = await fetch(db, "SELECT event FROM events WHERE event IN ('test', 'maintenance-updated') ORDER BY seq")
    assert events == [("test",), ("maintenance-updated",)]


@pytest.mark.parametrize("change", ["ends_at = starts_at", "ends_at = starts_at - interval '1 hour'"])
async def test_an_occurrence_must_end_after_it_begins(db: Connection, change: str) -> None:
    await plan(db, now(), now() + HOUR)
    statement: Any = f"UPDATE maintenance_occurrences SET {change}"
    with pytest.raises(psycopg.errors.CheckViolation):
        await db.execute(statement)
