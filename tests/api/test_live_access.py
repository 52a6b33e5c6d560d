"""Access of sockets, on both transports: missing permissions, ended access, changed roles and expired tokens."""

from datetime import timedelta
from typing import Any, cast
from uuid import UUID, uuid4

import anyio
import psycopg
import pytest

import sql
from api.auth.permissions import Principal
from api.live import access
from api.live.access import Access, LiveConnection
from api.metrics import Metrics
from api.rest.errors import ApiError
from tests.api.conftest import Api, create_user, signer, until
from tests.api.transports import TransportName, both_transports, incident, socket_client

pytestmark = pytest.mark.one_engine

Db = psycopg.AsyncConnection[Any]
SOON = timedelta(seconds=3)
"""The lifetime of a token that expires in the test. It may be up to a second shorter: `exp` is in whole seconds."""


@both_transports
async def test_messages_without_permission_get_an_error(api: Api, db: Db, transport: TransportName) -> None:
    number = await incident(db)
    room = f"incident-{number}"
    messages: list[tuple[str, dict[str, Any]]] = [
        ("join-room", {"room": room}),
        ("incident-editing", {"incidentId": number, "isEditing": True}),
        ("auto-save", {"incidentId": number, "data": {}}),
        ("incident-comment", {"incidentId": number, "comment": "x"}),
    ]
    async with (
        socket_client(api, transport) as anonymous,
        socket_client(api, transport, (await create_user(db, "viewer")).token) as viewer,
    ):
        for event, data in messages:
            assert (await anonymous.send(event, **data))["code"] == "UNAUTHORIZED", event
            reply = await viewer.send(event, **data)
            assert reply.get("code") == (None if event == "join-room" else "FORBIDDEN"), event
        for public in ("system-status", "uptime"):
            assert (await anonymous.send("join-room", room=public))["ok"]
    assert (await (await db.execute("SELECT count(*) FROM incident_comments")).fetchone()) == (0,)
    assert (await (await db.execute("SELECT count(*) FROM incident_drafts")).fetchone()) == (0,)


@both_transports
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE sessions SET revoked_at = now() WHERE user_id = %s",
        "UPDATE users SET active = false WHERE id = %s",
        "UPDATE users SET password_hash = 'another' WHERE id = %s",
        "DELETE FROM users WHERE id = %s",
    ],
)
async def test_a_socket_is_closed_when_its_user_loses_access(
    api: Api, db: Db, transport: TransportName, statement: str
) -> None:
    ann, bob = await create_user(db, "reporter"), await create_user(db, "reporter")
    async with socket_client(api, transport, ann.token) as revoked, socket_client(api, transport, bob.token) as other:
        with anyio.fail_after(access.SWEEP_S / 2):
            await db.execute(statement.encode(), [ann.user_id])
            assert await revoked.close_code() == 4401
        assert (await other.send("join-room", room="uptime"))["ok"]
    assert "sla_monitor_access_ended_total 1.0" in (await api.http.get("/metrics")).text


async def test_a_change_during_authentication_repeats_the_lookup() -> None:
    class ChangingGatekeeper:
        calls = 0

        async def principal(self, _token: str, _address: str) -> Principal:
            self.calls += 1
            if self.calls == 1:
                sockets.recheck()
                return Principal(user_id=uuid4(), name="ann", role="admin")
            raise ApiError(401)

    gatekeeper = ChangingGatekeeper()
    sockets = Access(cast(Any, None), cast(Any, gatekeeper), cast(Any, None), sockets_per_user=5)
    connection = LiveConnection(cast(Any, None), "192.0.2.1")
    with pytest.raises(ApiError):
        await sockets.authenticate(connection, "token")
    assert connection.principal is None


async def test_a_failed_restriction_is_retried_and_does_not_block_others(database: str, db: Db) -> None:
    people = [await create_user(db, "reporter") for _ in range(3)]
    principals = {
        ann.token: Principal(user_id=ann.user_id, name=ann.username, role="reporter", session_id=ann.session_id)
        for ann in people
    }
    done: list[UUID] = []
    failed: list[UUID] = []

    class KnownTokens:
        async def principal(self, token: str, _address: str) -> Principal:
            return principals[token]

    async def restrict(connection: LiveConnection) -> None:
        assert connection.principal is not None
        if not failed:
            failed.append(connection.principal.user_id)
            raise psycopg.errors.ReadOnlySqlTransaction
        done.append(connection.principal.user_id)

    async with sql.open_pool(database, application="test") as pool, anyio.create_task_group() as tasks:
        sockets = Access(pool, cast(Any, KnownTokens()), Metrics(), sockets_per_user=5)
        for token in principals:
            await sockets.authenticate(LiveConnection(cast(Any, None), "192.0.2.1"), token)
        await db.execute("UPDATE users SET role = 'viewer'")
        sockets.recheck()
        tasks.start_soon(sockets.run, restrict)

        async def all_done() -> bool:
            return len(done) == len(people)

        await until(all_done)
        assert done[-1] == failed[0]
        tasks.cancel_scope.cancel()


@both_transports
async def test_a_changed_role_applies_to_open_sockets(api: Api, db: Db, transport: TransportName) -> None:
    number, ann, bob = await incident(db), await create_user(db, "reporter"), await create_user(db, "viewer")
    async with socket_client(api, transport, ann.token) as client, socket_client(api, transport, bob.token) as other:
        assert (await other.send("join-room", room=f"incident-{number}"))["ok"]
        assert (await client.send("incident-editing", incidentId=number, isEditing=True))["ok"]
        assert (await other.receive())[1]["isEditing"] is True
        await db.execute("UPDATE users SET role = 'viewer' WHERE id = %s", [ann.user_id])
        assert (await other.receive())[1]["isEditing"] is False
        reply = await client.send("incident-comment", incidentId=number, comment="x")
        assert reply["code"] == "FORBIDDEN"
        await db.execute("UPDATE users SET role = 'admin' WHERE id = %s", [ann.user_id])
        assert (await client.send("incident-comment", incidentId=number, comment="x"))["ok"]


@both_transports
async def test_a_socket_is_closed_when_its_token_expires(api: Api, db: Db, transport: TransportName) -> None:
    ann = await create_user(db, "viewer")
    token = await signer().issue("access", ann.user_id, ann.session_id, SOON)
    async with socket_client(api, transport, token) as client:
        assert await client.close_code() == 4401


async def test_a_newer_token_keeps_a_socket_open(api: Api, db: Db) -> None:
    ann, bob = await create_user(db, "viewer"), await create_user(db, "viewer")
    token = await signer().issue("access", ann.user_id, ann.session_id, SOON)
    async with socket_client(api, "ws", token) as client, socket_client(api, "ws", token) as other:
        assert (await client.send("auth", token=ann.token))["ok"]
        assert await other.close_code() == 4401
        assert (await client.send("join-room", room="uptime"))["ok"]
        assert (await client.send("auth", token=bob.token))["code"] == "FORBIDDEN"
