"""The leases of presence: they are renewed, restored after a crash of the database, and deleted when they expire."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import psycopg
import pytest

import sql
from api.auth.permissions import Principal
from api.edge.middleware import REQUEST_DEADLINE_S
from api.live import presence
from api.live.client import Client, SlowClients
from api.live.events import Transport
from api.metrics import Metrics
from sql import leases
from tests.api.conftest import PATIENCE_S, User, create_user, running_api, until
from tests.api.incident_rooms import edit, join
from tests.api.recording_socket import RecordingSocket
from tests.api.relay import relay_before
from tests.api.transports import incident, socket_client
from tests.worker.working import working

pytestmark = pytest.mark.one_engine

Db = psycopg.AsyncConnection[Any]


@pytest.fixture
def quick_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases that expire after 1.8 s and are renewed every 0.3 s."""
    monkeypatch.setattr(leases, "LEASE_S", 1.8)
    monkeypatch.setattr(presence, "RENEW_S", 0.3)
    monkeypatch.setattr(presence, "RETRY_S", 0.1)


async def test_leases_of_a_dead_process_are_deleted_by_the_worker(database: str, db: Db, quick_leases: None) -> None:
    number, ann, bob = await incident(db), await create_user(db, "reporter"), await create_user(db, "viewer")
    async with (
        running_api(database) as api,
        working(database, "presence"),
        socket_client(api, "ws", bob.token) as observer,
    ):
        await join(observer, number)
        await db.execute(
            "SELECT hold_presence(%s, 'dead', gen_random_uuid(), %s, %s, true, 'title', interval '1 s')",
            [number, ann.user_id, ann.username],
        )
        events = [await observer.receive() for _ in range(3)]
        assert [(event, data.get("isEditing")) for event, data in events] == [
            ("incident-editing", True),
            ("incident-editing", False),
            ("user-left", None),
        ]
        await renewed(db)
        assert "sla_monitor_presence_leases 1.0" in (await api.http.get("/metrics")).text
        assert (await (await db.execute("SELECT count(*) FROM presence_leases")).fetchone()) == (1,)


async def test_leases_lost_in_a_crash_of_the_database_are_restored(database: str, db: Db, quick_leases: None) -> None:
    number, ann, bob = await incident(db), await create_user(db, "reporter"), await create_user(db, "viewer")
    async with (
        running_api(database) as api,
        socket_client(api, "ws", bob.token) as observer,
        socket_client(api, "socketio", ann.token) as editor,
    ):
        await join(observer, number)
        await edit(editor, number, field="title")
        assert (await observer.receive())[1]["isEditing"] is True
        await db.execute("TRUNCATE presence_leases")
        assert (await observer.receive())[1]["isEditing"] is True
        held = await (await db.execute("SELECT user_id, editing FROM presence_leases ORDER BY editing")).fetchall()
        assert held == [(bob.user_id, False), (ann.user_id, True)]


async def test_leases_released_while_the_database_was_away_are_deleted_afterwards(
    database: str, db: Db, quick_leases: None
) -> None:
    number, ann, bob = await incident(db), await create_user(db, "reporter"), await create_user(db, "viewer")
    async with (
        relay_before(database) as relay,
        running_api(relay.url) as api,
        socket_client(api, "ws", bob.token) as observer,
    ):
        await join(observer, number)
        async with socket_client(api, "socketio", ann.token) as editor:
            await edit(editor, number)
            assert (await observer.receive())[1]["isEditing"] is True
            relay.cut()
            reply = await editor.send("incident-editing", incidentId=number, isEditing=True, field="title")
            assert reply["code"] == "SERVER_ERROR"
        await until(lambda: all_expired(db))
        relay.restore()
        event, data = await observer.receive()
        if event == "database-away":  # sent if a poll has failed
            event, data = await observer.receive()
        assert (event, data["isEditing"]) == ("incident-editing", False)
        assert (await observer.receive())[0] == "user-left"
        held = await (await db.execute("SELECT user_id FROM presence_leases")).fetchall()
        assert held == [(bob.user_id,)]


async def test_two_sockets_of_a_user_that_leave_together_cause_one_event(database: str, db: Db) -> None:
    number, ann = await incident(db), await create_user(db, "reporter")
    for socket in ("one", "two"):
        await db.execute(
            "SELECT hold_presence(%s, %s, gen_random_uuid(), %s, 'ann', true, NULL, interval '1 min')",
            [number, socket, ann.user_id],
        )
    other = await sql.connect(database, application="analyst")
    async with other, anyio.create_task_group() as tasks, db.transaction():
        await db.execute("SELECT end_presence(ARRAY[%s], ARRAY['one'])", [number])
        tasks.start_soon(other.execute, "SELECT end_presence(ARRAY['" + number + "'], ARRAY['two'])")
        await until(lambda: waits_for_events_lock(db))
    events = await (await db.execute("SELECT event, data -> 'isEditing' FROM events ORDER BY seq")).fetchall()
    assert [event for event in events if event[0] == "user-left"] == [("user-left", None)]
    assert [event for event in events if event[0] == "incident-editing"][-1] == ("incident-editing", False)


@pytest.fixture
async def pool(database: str) -> AsyncIterator[sql.Pool]:
    async with sql.open_pool(database, application="sla-monitor api") as pool:
        yield pool


def client_with_id(client_id: str) -> Client:
    return Client(RecordingSocket(), Transport.WS, client_id, SlowClients(1, 1.0, lambda *_: None))


def principal_of(person: User) -> Principal:
    return Principal(user_id=person.user_id, name=person.username, role="reporter", session_id=person.session_id)


@asynccontextmanager
async def events_locked(database: str) -> AsyncIterator[None]:
    """Another transaction holds the lock of `events` until the end of the block."""
    async with await sql.connect(database, application="slow") as slow, slow.transaction():
        await slow.execute("SELECT lock_events()")
        yield


async def waits_for_events_lock(db: Db) -> bool:
    """Returns whether a transaction waits for the lock of `events`."""
    found = await db.execute("SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
    return await found.fetchone() is not None


async def lease_count(db: Db) -> int:
    row = await (await db.execute("SELECT count(*) FROM presence_leases")).fetchone()
    return int(row[0]) if row else -1


async def sockets_with_lease(db: Db) -> list[str]:
    rows = await (await db.execute("SELECT socket_id FROM presence_leases ORDER BY socket_id")).fetchall()
    return [str(socket) for (socket,) in rows]


async def restored(db: Db) -> None:
    """Deletes all leases in the database and returns after a process has restored its own, at its next renewal."""
    await db.execute("TRUNCATE presence_leases")

    async def any_lease() -> bool:
        return await lease_count(db) > 0

    await until(any_lease)


async def renewed(db: Db) -> None:
    """Returns when a lease has lasted longer than it could without being renewed."""
    first = await (await db.execute("SELECT max(expires_at) FROM presence_leases")).fetchone()

    async def lasts_longer() -> bool:
        found = await db.execute(
            "SELECT max(expires_at) > %s + 1.2 * %s * interval '1 s' FROM presence_leases",
            [first and first[0], leases.LEASE_S],
        )
        return await found.fetchone() == (True,)

    await until(lasts_longer)


async def all_expired(db: Db) -> bool:
    found = await db.execute("SELECT count(*) > 0 AND max(expires_at) < now() FROM presence_leases")
    return await found.fetchone() == (True,)


async def test_leases_are_renewed_while_joins_wait(database: str, db: Db, pool: sql.Pool, quick_leases: None) -> None:
    number, ann = await incident(db), principal_of(await create_user(db, "reporter"))
    ours = presence.Presence(pool, Metrics())
    await ours.join_incident(client_with_id("first"), ann, number)
    async with anyio.create_task_group() as tasks:
        async with events_locked(database):
            for name in range(30):
                tasks.start_soon(ours.join_incident, client_with_id(str(name)), ann, number)
            tasks.start_soon(ours.run)
            await renewed(db)

        async def all_joined() -> bool:
            return await lease_count(db) == 31

        await until(all_joined)
        tasks.cancel_scope.cancel()


async def test_a_socket_that_leaves_during_its_join_has_no_lease(
    database: str, db: Db, pool: sql.Pool, quick_leases: None
) -> None:
    number, ann = await incident(db), principal_of(await create_user(db, "reporter"))
    ours, client = presence.Presence(pool, Metrics()), client_with_id("leaving")
    await ours.join_incident(client, ann, number, editing=True)
    async with anyio.create_task_group() as tasks:
        async with events_locked(database):
            tasks.start_soon(ours.stop_editing, client, ann, number)
            tasks.start_soon(ours.join_incident, client, ann, number)
            await until(lambda: waits_for_events_lock(db))
            ours.leave(client.id)
            client.disconnected = True
        tasks.start_soon(ours.run)

        async def no_lease() -> bool:
            return await lease_count(db) == 0

        await until(no_lease)
        await ours.join_incident(client_with_id("staying"), ann, number)
        await restored(db)
        assert await sockets_with_lease(db) == ["staying"]
        tasks.cancel_scope.cancel()


async def test_no_lease_is_written_after_close(database: str, db: Db, pool: sql.Pool, quick_leases: None) -> None:
    number, ann = await incident(db), principal_of(await create_user(db, "reporter"))
    ours, closed = presence.Presence(pool, Metrics()), anyio.Event()

    async def close() -> None:
        await ours.close()
        closed.set()

    await ours.join_incident(client_with_id("one"), ann, number)
    await db.execute("TRUNCATE presence_leases")
    async with anyio.create_task_group() as tasks:
        async with events_locked(database):
            tasks.start_soon(ours.run)
            await until(lambda: waits_for_events_lock(db))  # the renewal restores the lease
            tasks.start_soon(close)
            await anyio.wait_all_tasks_blocked()
        await closed.wait()
        assert await ours.join_incident(client_with_id("two"), ann, number) is None
        # Another process restores its leases twice. In that time `ours` would have restored its own, too.
        other = presence.Presence(pool, Metrics())
        await other.join_incident(client_with_id("other"), ann, number)
        tasks.start_soon(other.run)
        for _ in range(2):
            await restored(db)
        assert await sockets_with_lease(db) == ["other"]
        tasks.cancel_scope.cancel()


async def test_expiry_does_not_wait_for_renewals(database: str, db: Db) -> None:
    number, ann = await incident(db), await create_user(db, "reporter")
    for socket in ("dead", "slow"):
        await db.execute(
            "SELECT hold_presence(%s, %s, gen_random_uuid(), %s, 'ann', false, NULL, interval '-1 s')",
            [number, socket, ann.user_id],
        )
    async with await sql.connect(database, application="renewal") as other, other.transaction():
        await other.execute("UPDATE presence_leases SET expires_at = now() + interval '1 min' WHERE socket_id = 'slow'")
        with anyio.fail_after(PATIENCE_S):
            await db.execute("SELECT expire_presence()")
            await db.execute("SELECT append_event('others', NULL, '{}')")
    remaining = await (await db.execute("SELECT socket_id FROM presence_leases")).fetchall()
    assert remaining == [("slow",)]


async def test_no_transaction_keeps_locks_while_it_is_idle(db: Db, pool: sql.Pool) -> None:
    async with pool.connection() as connection:
        rows = await connection.execute(
            "SELECT name, setting::int FROM pg_settings WHERE name = ANY (%s) ORDER BY name",
            [["idle_in_transaction_session_timeout", "lock_timeout", "statement_timeout"]],
        )
        found: dict[str, int] = dict(await rows.fetchall())
    assert 0 < found["idle_in_transaction_session_timeout"] <= 5000
    assert 0 < found["lock_timeout"] < found["statement_timeout"] < REQUEST_DEADLINE_S * 1000
    outside_pool = await (await db.execute("SHOW statement_timeout")).fetchone()
    assert outside_pool == ("0",)  # the prober and migrations execute long statements
