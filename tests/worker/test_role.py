"""The worker performs every duty as a user with the role sla_worker only."""

from collections.abc import AsyncIterator

import anyio
import pytest
from psycopg.types.json import Jsonb

from sql.aggregates import refresh
from tests.pauses import pauses
from tests.sql.batches import DAY, MINUTE, Connection, add_locations, add_services, connected, now, record, row, value
from tests.sql.logins import login
from tests.worker.working import working
from worker.duties import DUTIES

EVERY_DUTY_HAS_WORK = (
    "WITH planned AS ("
    "    INSERT INTO maintenance_windows (title, affected_services, starts_at, ends_at, time_zone, author, rrule, "
    "                                     expanded_until) "
    "    VALUES ('Disks', '{web}', now(), now() + interval '1 hour', 'UTC', 'kim', 'FREQ=DAILY', now()) RETURNING id) "
    "INSERT INTO maintenance_occurrences SELECT id, now(), now() + interval '1 hour', '{web}' FROM planned",
    "INSERT INTO sla_corrections (scope, effect, category, reason, starts_at, ends_at, time_zone, author, rrule, "
    "                             due_at) "
    "VALUES ('everything', 'up', 'other', 'tests', now() - interval '2 days', now() - interval '47 hours', 'UTC', "
    "        'kim', 'FREQ=DAILY', now() - interval '1 minute')",
    "UPDATE heartbeats SET last_ping_at = now() - interval '1 day', last_event = 'success', "
    "                      due_at = now() - interval '10 minutes', late_at = now() - interval '9 minutes'",
    "INSERT INTO events (occurred_at, event, data) SELECT now() - interval '9 days', 'marker', '{}'",
    "INSERT INTO users (username, email, password_hash) VALUES ('kim', 'kim@example.com', 'none')",
    "INSERT INTO sessions (user_id, expires_at) SELECT id, now() - interval '9 days' FROM users",
    "INSERT INTO audit_entries (occurred_at, actor_kind, actor, action, object_type, object_id) "
    "VALUES (now() - interval '9 years', 'program', 'old', 'create', 'service', 'web')",
    "INSERT INTO idempotency_keys (actor_id, key, request_hash, created_at) "
    "VALUES (gen_random_uuid(), 'a', '', now() - interval '3 days')",
    "INSERT INTO presence_leases (incident_id, socket_id, process_id, user_id, user_name, expires_at) "
    "SELECT 'INC-2026-0001', 's', gen_random_uuid(), id, 'kim', now() - interval '1 hour' FROM users",
)
DONE = (
    "SELECT isfinite(rollup_watermark())",
    "SELECT state = 'maintenance' FROM service_states WHERE service_id = 'web'",
    "SELECT count(*) > 0 FROM checks WHERE service_id = 'job'",
    "SELECT count(*) > 10 FROM maintenance_occurrences",
    "SELECT count(*) > 1 FROM sla_correction_spans",
    "SELECT count(*) = 0 FROM events WHERE event = 'marker'",
    "SELECT count(*) = 0 FROM sessions",
    "SELECT count(*) = 0 FROM audit_entries WHERE actor = 'old'",
    "SELECT count(*) = 0 FROM idempotency_keys",
    "SELECT count(*) = 0 FROM presence_leases",
)


@pytest.fixture
async def db(database: str) -> AsyncIterator[Connection]:
    async with connected(database) as connection:
        await add_locations(connection, "local")
        await add_services(connection, "web")
        await connection.execute(
            "INSERT INTO services (id, name, type, check_config) VALUES ('job', 'Job', 'heartbeat', %s)",
            [Jsonb({"type": "heartbeat", "grace_seconds": 60})],
        )
        await record(connection, [row(now() - n * MINUTE, "mo" if n % 7 == 0 else "o") for n in range(200)])
        await record(connection, [row(now() - 3 * DAY)])
        yield connection


async def test_every_duty_does_its_work_without_an_error(db: Connection, database: str) -> None:
    for statement in EVERY_DUTY_HAS_WORK:
        await db.execute(statement.encode())
    names = [duty.name for duty in DUTIES]
    async with login(database, "sla_worker") as url, working(url, *names) as worker:
        for name in names:
            await worker.wait_for_rounds(name)
        missing = list(DONE)
        with anyio.move_on_after(40):
            for pause_s in pauses():
                missing = [statement for statement in DONE if not await value(db, statement)]
                if not missing:
                    break
                await anyio.sleep(pause_s)
        assert missing == []
        assert {name: worker.rounds(name, "failed") for name in names} == dict.fromkeys(names, 0)


async def test_an_upgrade_is_left_to_the_owner(db: Connection, database: str, caplog: pytest.LogCaptureFixture) -> None:
    await db.execute("UPDATE rollup_state SET legacy = true")
    async with login(database, "sla_worker") as url, connected(url) as worker:
        assert await refresh(worker)
    assert "an upgrade from release 0.1 needs a worker that connects as the owner" in caplog.text
    assert await value(db, "SELECT legacy AND isfinite(watermark) FROM rollup_state")
