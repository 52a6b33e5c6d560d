"""The duties of the worker, one by one."""

from datetime import UTC, datetime, timedelta

import anyio
import pytest

from sql import leases
from tests.sql.batches import (
    DAY,
    MINUTE,
    Connection,
    add_locations,
    add_services,
    connected,
    fetch,
    now,
    record,
    row,
    set_clock,
    state,
    until_true,
    value,
)
from tests.worker.working import working
from worker.duties import DUTIES


async def test_every_duty_is_repeated(database: str) -> None:
    names = [duty.name for duty in DUTIES]
    async with working(database, *names) as worker:
        for name in names:
            await worker.wait_for_rounds(name, 2)
            assert worker.rounds(name, "failed") == worker.rounds(name, "timed_out") == 0
            assert worker.value("duty_held", duty=name) == 1
            assert worker.value("duty_last_done_timestamp_seconds", duty=name) > datetime.now(UTC).timestamp() - 60


async def test_late_checks_are_folded_when_the_recorder_notifies(database: str) -> None:
    async with connected(database) as db:
        await add_locations(db, "local")
        await add_services(db, "web")
        async with working(database, "aggregates", pause_s=3600) as worker:
            await worker.wait_for_rounds("aggregates")
            folded = await value(db, "SELECT rollup_watermark()")
            await record(db, [row(now() - 5 * DAY)])
            await db.execute("SELECT pg_notify('sla_monitor', 'ranges')")
            await worker.wait_for_rounds("aggregates", 2)  # before its pause of an hour has ended
            assert await value(db, "SELECT sum(checks) FROM checks_daily") == 1
            assert await value(db, "SELECT rollup_watermark()") >= folded


async def test_partitions_are_created_in_advance(database: str) -> None:
    async with connected(database) as db:
        if await value(db, "SELECT engine FROM installation") != "postgresql":
            return
        month = "to_regclass('checks_' || to_char(now() AT TIME ZONE 'UTC' + interval '1 month', 'YYYYMM'))"
        await db.execute(
            "DO $$ BEGIN EXECUTE 'DROP TABLE checks_' || to_char(now() AT TIME ZONE 'UTC' + interval '1 month', "
            "'YYYYMM'); END $$"
        )
        assert await value(db, f"SELECT {month} IS NULL")
        async with working(database, "partitions") as worker:
            await worker.wait_for_rounds("partitions")
        assert await value(db, f"SELECT {month} IS NOT NULL")


async def test_services_whose_checks_have_stopped_become_unknown(database: str) -> None:
    async with connected(database) as db:
        await add_locations(db, "local")
        await add_services(db, "web")
        await record(db, [row(now())])
        assert (await state(db))[0] == "operational"
        await set_clock(db, now() + 10 * MINUTE)
        async with working(database, "expiry") as worker:
            await worker.wait_for_rounds("expiry")
        assert (await state(db))[0] == "unknown"


async def test_services_enter_maintenance_and_leave_it(database: str) -> None:
    async with connected(database) as db:
        await add_services(db, "web")
        await db.execute(
            "INSERT INTO maintenance_windows (title, affected_services, starts_at, ends_at, time_zone, author) "
            "VALUES ('Now', '{web}', now(), now() + interval '1 hour', 'UTC', 'kim')"
        )
        await db.execute(
            "INSERT INTO maintenance_occurrences (window_id, starts_at, ends_at, service_ids) "
            "SELECT id, starts_at, ends_at, affected_services FROM maintenance_windows"
        )
        async with working(database, "maintenance") as worker:
            await worker.wait_for_rounds("maintenance")
            assert (await state(db))[0] == "maintenance"
            await db.execute("UPDATE maintenance_occurrences SET ends_at = now()")
            await until_true(db, "SELECT state = 'unknown' FROM service_states")


@pytest.fixture
def short_leases(monkeypatch: pytest.MonkeyPatch) -> float:
    monkeypatch.setattr(leases, "LEASE_S", 1.0)
    return 1.0


async def lease(db: Connection, lifetime: timedelta, name: str = "ann") -> str:
    """A lease that no process renews, of a user and a socket of this name. Returns the incident of its room."""
    incident: str = await value(
        db, "INSERT INTO incidents (title, severity, priority) VALUES ('Down', 'high', 'P1') RETURNING id"
    )
    user = await value(
        db,
        "INSERT INTO users (username, email, password_hash) VALUES (%s, %s, 'none') RETURNING id",
        [name, f"{name}@example.com"],
    )
    holding = "SELECT hold_presence(%s, %s, gen_random_uuid(), %s, %s, true, NULL, %s)"
    await fetch(db, holding, [incident, name, user, name, lifetime])
    return incident


async def test_expired_leases_are_deleted_and_the_room_is_notified(database: str, short_leases: float) -> None:
    async with connected(database) as db:
        ended = await lease(db, timedelta())
        async with working(database, "presence") as worker:
            began = anyio.current_time()
            await until_true(db, "SELECT count(*) = 0 FROM presence_leases")
            # After a start, API processes have time to renew: the database may have been away.
            assert anyio.current_time() - began >= short_leases / 2
            assert worker.rounds("presence", "failed") == 0
        [pause_s] = [duty.pause_s for duty in DUTIES if duty.name == "presence"]
        assert pause_s <= 1  # an expired lease is deleted within a second
        events = await fetch(db, "SELECT event FROM events WHERE room = %s", [f"incident-{ended}"])
        assert ("user-left",) in events


@pytest.mark.usefixtures("short_leases")
async def test_valid_leases_stay(database: str) -> None:
    async with connected(database) as db:
        await lease(db, timedelta(hours=1), "valid")
        await lease(db, timedelta(), "expired")
        async with working(database, "presence"):
            await until_true(db, "SELECT count(*) = 1 FROM presence_leases")
        assert await value(db, "SELECT socket_id FROM presence_leases") == "valid"
