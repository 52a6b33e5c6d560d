"""Retention: old rows are deleted, and only those."""

from datetime import timedelta

import psycopg
import pytest

import sql
from tests.worker.working import working


async def test_old_events_are_pruned(database: str) -> None:
    with psycopg.connect(database) as connection:
        connection.execute(
            "INSERT INTO events (occurred_at, event, data) "
            "SELECT now() - days * interval '1 day', 'status-update', '{}' FROM generate_series(9, 1, -1) AS days"
        )
    async with working(database, "events") as worker:
        await worker.wait_for_rounds("events")
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT count(*) FROM events").fetchone() == (6,)


async def test_the_last_event_is_never_pruned(database: str) -> None:
    """A feed that starts needs it to know the last number."""
    with psycopg.connect(database) as connection:
        connection.execute(
            "INSERT INTO events (occurred_at, event, data) VALUES (now() - interval '1 year', 'status-update', '{}')"
        )
    async with working(database, "events") as worker:
        await worker.wait_for_rounds("events")
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT count(*) FROM events").fetchone() == (1,)


async def test_expired_sessions_tokens_addresses_and_limits_are_pruned(database: str) -> None:
    with psycopg.connect(database) as connection:
        connection.execute(
            "INSERT INTO users (username, email, password_hash) VALUES ('kim', 'kim@example.com', 'none')"
        )
        connection.execute(
            "INSERT INTO sessions (user_id, user_agent, expires_at, revoked_at) "
            "SELECT id, which, now() + expires * interval '1 hour', now() + revoked * interval '1 hour' "
            "FROM users, (VALUES ('lives', 9, NULL), ('has just ended', 9, -1), ('ended', 9, -25), "
            "('expired', -25, NULL)) AS given (which, expires, revoked)"
        )
        connection.execute(
            "INSERT INTO refresh_tokens (token_hash, session_id, expires_at) "
            "SELECT sha256((id::text || age)::bytea), id, now() - age * interval '1 hour' "
            "FROM sessions, (VALUES (-1), (25)) AS given (age)"
        )
        connection.execute(
            "INSERT INTO known_addresses (user_id, address, last_login_at) "
            "SELECT id, address::inet, now() - days * interval '1 day' "
            "FROM users, (VALUES ('192.0.2.1', 89), ('192.0.2.2', 91)) AS given (address, days)"
        )
        connection.execute(
            "INSERT INTO rate_limits (limit_name, client, count, resets_at) "
            "VALUES ('api', 'now', 5, now() + '1 minute'), ('api', 'past', 5, now() - '2 minutes'::interval)"
        )
    async with working(database, "sessions") as worker:
        await worker.wait_for_rounds("sessions")
    with psycopg.connect(database) as connection:
        remaining = connection.execute("SELECT user_agent FROM sessions ORDER BY 1").fetchall()
        assert remaining == [("has just ended",), ("lives",)]
        assert connection.execute("SELECT count(*), min(expires_at) > now() FROM refresh_tokens").fetchone() == (
            2,
            True,
        )
        assert connection.execute("SELECT host(address) FROM known_addresses").fetchall() == [("192.0.2.1",)]
        assert connection.execute("SELECT client FROM rate_limits").fetchall() == [("now",)]


async def test_idempotency_keys_are_kept_for_a_day(database: str) -> None:
    with psycopg.connect(database) as connection:
        connection.execute(
            "INSERT INTO idempotency_keys (actor_id, key, request_hash, created_at) "
            "SELECT gen_random_uuid(), hours::text, '', now() - make_interval(hours => hours) "
            "FROM unnest('{23,25}'::int[]) AS hours"
        )
    async with working(database, "idempotency") as worker:
        await worker.wait_for_rounds("idempotency")
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT key FROM idempotency_keys").fetchall() == [("23",)]


async def test_the_audit_log_is_pruned_by_its_retention(database: str) -> None:
    with psycopg.connect(database) as connection:
        connection.execute(
            "INSERT INTO audit_entries (occurred_at, actor_kind, actor, action, object_type, object_id) "
            "SELECT now() - days * interval '1 day', 'program', 'test', 'create', 'service', days::text "
            "FROM unnest(ARRAY[1, 29, 31, 49, 51, 4000]) AS days"
        )
    async with working(database, "audit", audit_retention=timedelta(days=50)) as worker:
        await worker.wait_for_rounds("audit")
    with psycopg.connect(database, autocommit=True) as connection:

        def stored() -> list[str]:
            return [
                name for (name,) in connection.execute("SELECT object_id FROM audit_entries ORDER BY id").fetchall()
            ]

        assert stored() == ["1", "29", "31", "49"]
        # Other statements cannot delete entries, and prune_audit cannot delete those of the last 30 days.
        refused = [
            "DELETE FROM audit_entries WHERE object_id = '49'",
            "SELECT prune_audit('0'); DELETE FROM audit_entries",
            "SELECT prune_audit('29 days')",
            "SET sla_monitor.pruning_audit = 'on'; UPDATE audit_entries SET actor = 'nobody'",
        ]
        for statement in refused:
            with pytest.raises(psycopg.errors.RestrictViolation):
                connection.execute(statement.encode())
        assert stored() == ["1", "29", "31", "49"]


async def test_ended_sessions_are_found_by_an_index(database: str) -> None:
    with psycopg.connect(database) as connection:
        connection.execute("INSERT INTO users (username, email, password_hash) VALUES ('kim', 'k@example.com', 'none')")
        connection.execute(
            "INSERT INTO sessions (user_id, expires_at) SELECT id, now() + '7d' FROM users, generate_series(1, 5000)"
        )
        connection.execute("ANALYZE sessions")
        plan = connection.execute(b"EXPLAIN " + sql.query("housekeeping/prune_sessions").encode()).fetchall()
    assert any("sessions_ended_at" in line for (line,) in plan)
