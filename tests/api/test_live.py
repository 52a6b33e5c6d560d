"""Messages of clients, on both transports: rooms, comments, drafts, templates, access and limits."""

from datetime import timedelta
from typing import Any, cast
from uuid import UUID, uuid4

import anyio
import psycopg
import pytest
from websockets.exceptions import InvalidStatus

import sql
from api.auth.permissions import Principal
from api.edge import token_bucket
from api.incidents.fields import MAX_DATA_BYTES
from api.live import access
from api.live.access import Access, LiveConnection
from api.metrics import Metrics
from api.rest.errors import ApiError
from sla_monitor.settings.values import Limit
from tests.api.conftest import Api, User, create_user, running_api, signer, until
from tests.api.raw_clients import raw_client
from tests.api.transports import TRANSPORTS, SocketClient, TransportName, incident, socket_client

pytestmark = pytest.mark.one_engine

Db = psycopg.AsyncConnection[Any]
SOON = timedelta(seconds=3)
"""The lifetime of a token that expires in the test. It may be up to a second shorter: `exp` is in whole seconds."""
both_transports = pytest.mark.parametrize("transport", TRANSPORTS)


@both_transports
async def test_a_comment_is_sent_once_to_every_client_in_the_room(api: Api, db: Db, transport: TransportName) -> None:
    number, ann, bob = await incident(db), await create_user(db, "reporter"), await create_user(db, "viewer")
    async with socket_client(api, transport, ann.token) as one, socket_client(api, "ws", bob.token) as two:
        for client in (one, two):
            assert (await client.send("join-room", room=f"incident-{number}"))["ok"]
        for comment in ("It is the disk", {"content": "Or not", "public": True, "userId": str(bob.user_id)}):
            reply = await one.send("incident-comment", incidentId=number, comment=comment, userName="Mallory")
            assert reply["ok"]
            for client in (one, two):
                event, data = await client.receive()
                assert (event, data["incidentId"]) == ("incident-comment", number)
                assert data["comment"]["userId"] == str(ann.user_id)
                assert data["comment"]["author"] == ann.username
                assert data["comment"]["public"] == (not isinstance(comment, str))
    audited = await (
        await db.execute("SELECT actor, count(*) FROM audit_entries GROUP BY 1 HAVING actor <> 'analyst'")
    ).fetchall()
    assert audited == [(ann.username, 2)]


@both_transports
async def test_a_comment_keeps_all_fields_of_the_message(api: Api, db: Db, transport: TransportName) -> None:
    """Existing front ends show `content` and `userName`, and recognise their own comment by the `id` they have sent."""
    number, ann = await incident(db), await create_user(db, "reporter")
    sent = {
        "id": "c-1",
        "content": "It is the disk",
        "userName": "Mallory",
        "userId": "7",
        "color": "#fff",
        "at": [1, {}],
    }
    async with socket_client(api, transport, ann.token) as client:
        assert (await client.send("join-room", room=f"incident-{number}"))["ok"]
        reply = await client.send("incident-comment", incidentId=number, comment=sent)
        received = (await client.receive())[1]["comment"]
        assert reply["comment"] == received
        stored = await (await db.execute("SELECT id FROM incident_comments")).fetchone()
        assert stored is not None
        added = {"userName": ann.username, "userId": str(ann.user_id), "commentId": stored[0], "public": False}
        assert received == received | sent | added | {"text": sent["content"], "author": ann.username}
        assert received["timestamp"] == received["createdAt"]
        for plain in ("Or not", {"content": "Or not", "id": {"x": 1}}, {"message": "Or not", "id": None}):
            assert (await client.send("incident-comment", incidentId=number, comment=plain))["ok"]
            received = (await client.receive())[1]["comment"]
            assert (received["content"], received["id"] > stored[0], "commentId" in received) == ("Or not", True, False)
            assert received.get("message") == (plain.get("message") if isinstance(plain, dict) else None)
        listed = await api.get(f"/api/incidents/{number}/comments", headers=ann.headers)
        assert listed["comments"][0]["id"] == stored[0]
        assert {comment["content"] for comment in listed["comments"]} == {"It is the disk", "Or not"}
        invalid = {"content": "x", "a": "\0"}
        assert (await client.send("incident-comment", incidentId=number, comment=invalid))["code"] == "VALIDATION_ERROR"


@both_transports
@pytest.mark.parametrize("escaped", [False, True])
async def test_sockets_and_rest_accept_the_same_drafts(
    api: Api, db: Db, transport: TransportName, escaped: bool
) -> None:
    """The limit applies to the size of the decoded draft: escaping its characters in JSON changes nothing."""
    number, ann = await incident(db), await create_user(db, "reporter")
    path = f"/api/incidents/{number}/draft"
    largest = {"x": "\u00e9" * ((MAX_DATA_BYTES - 8) // 2)}
    async with raw_client(api, transport, ann.token) as client:
        for data, code in ((largest, None), ({"x": largest["x"] + "y"}, "VALIDATION_ERROR")):
            put = await api.http.put(path, json={"data": data}, headers=ann.headers)
            assert put.json().get("code") == code
            if escaped:
                reply = await client.send_json("auto-save", {"incidentId": number, "data": data})
            else:
                reply = await client.send("auto-save", incidentId=number, data=data)
            assert reply.get("code") == code


async def create_template(api: Api, who: User) -> str:
    body = {"name": "Disk", "data": {"title": "Disk", "severity": "low", "priority": "P3", "affectedServices": []}}
    response = await api.http.post("/api/templates", json=body, headers=who.headers)
    assert response.status_code == 201, response.text
    return str(response.json()["data"]["id"])


@both_transports
async def test_clients_in_a_template_room_get_the_number_of_clients(
    database: str, db: Db, transport: TransportName
) -> None:
    """The number includes the clients of other processes."""
    ann, bob = await create_user(db, "reporter"), await create_user(db, "viewer")
    async with running_api(database) as api, running_api(database) as other:
        number = await create_template(api, ann)

        def count(users: int) -> tuple[str, dict[str, Any]]:
            return "user-count-updated", {"templateId": number, "userCount": users}

        async with socket_client(api, transport, ann.token) as one:
            reply = await one.send("join-template", templateId=number.upper())
            assert (reply["ok"], reply["templateId"]) == (True, number)
            assert await one.receive() == count(1)
            async with socket_client(other, "ws", bob.token) as two:
                assert (await two.send("join-room", room=f"template-{number}"))["ok"]
                assert (await two.receive(), await one.receive()) == (count(2), count(2))
                changes = {"title": "Disk full", "affected": [1, None]}
                reply = await one.send("template-update", templateId=number, data=changes, userId="7", timestamp="x")
                assert reply["ok"]
                event, received = await two.receive()
                assert (event, received) == (
                    "template-updated",
                    {
                        "templateId": number,
                        "data": changes,
                        "userId": str(ann.user_id),
                        "userName": ann.username,
                        "timestamp": reply["timestamp"],
                    },
                )
                async with socket_client(other, "socketio", bob.token) as three:
                    assert (await three.send("join-template", templateId=number))["ok"]
                    assert [await client.receive() for client in (one, two, three)] == [count(3)] * 3
                assert [await client.receive() for client in (one, two)] == [count(2)] * 2
                assert (await two.send("leave-template", templateId=number))["ok"]
                assert await one.receive() == count(1), "the sender does not get its own update"
                assert (await two.send("template-update", templateId=number, data={}))["code"] == "FORBIDDEN"
            for missing in (str(uuid4()), "x", "template"):
                for event in ("join-template", "template-update"):
                    reply = await one.send(event, templateId=missing, data={})
                    assert reply["code"] == "NOT_FOUND", (event, missing)
            assert (await one.send("template-update", templateId=number, data="\0"))["code"] == "VALIDATION_ERROR"
    assert await (await db.execute("SELECT FROM presence_leases")).fetchall() == []


@both_transports
async def test_a_draft_is_stored_and_sent_to_other_clients_only(api: Api, db: Db, transport: TransportName) -> None:
    number, ann = await incident(db), await create_user(db, "reporter")
    async with socket_client(api, transport, ann.token) as one, socket_client(api, transport, ann.token) as two:
        for client in (one, two):
            assert (await client.send("join-room", room=f"incident-{number}"))["ok"]
        assert (await one.send("auto-save", incidentId=number, data={"title": "Half a sen"}))["ok"]
        assert (await two.send("incident-comment", incidentId=number, comment="seen"))["ok"]
        assert (await two.receive())[1]["data"] == {"title": "Half a sen"}
        assert (await two.receive())[0] == "incident-comment"
        assert (await one.receive())[0] == "incident-comment"
    stored = await (await db.execute("SELECT incident_id, user_id, data FROM incident_drafts")).fetchall()
    assert stored == [(number, ann.user_id, {"title": "Half a sen"})]


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
async def test_unknown_rooms_cannot_be_joined(api: Api, db: Db, transport: TransportName) -> None:
    admin = await create_user(db, "admin")
    async with socket_client(api, transport, admin.token) as client:
        for room in ("staff", "anonymous", "", "incident-", "incident-*", "incident-INC-1", "INC-2026-0001", "a" * 99):
            for event in ("join-room", "leave-room"):
                assert (await client.send(event, room=room))["code"] == "VALIDATION_ERROR", room
    async with socket_client(api, transport, admin.token) as client:  # with a token bucket of its own
        for value in (None, 5, ["uptime"], "a" * 101):
            assert (await client.send("join-room", room=value))["code"] == "VALIDATION_ERROR", value
        assert (await client.send("join-room", room="incident-INC-2026-9999"))["code"] == "NOT_FOUND"


@both_transports
async def test_data_that_cannot_be_stored_is_a_bad_request(api: Api, db: Db, transport: TransportName) -> None:
    number, ann = await incident(db), await create_user(db, "reporter")
    messages: list[tuple[str, dict[str, Any], str]] = [
        ("auto-save", {"incidentId": number, "data": []}, "VALIDATION_ERROR"),
        ("auto-save", {"incidentId": number, "data": {"text": "\0"}}, "VALIDATION_ERROR"),
        ("auto-save", {"incidentId": number, "data": nested(40)}, "VALIDATION_ERROR"),
        ("auto-save", {"incidentId": number, "data": {}, "baseVersion": 2**31}, "VALIDATION_ERROR"),
        ("auto-save", {"incidentId": "INC-2026-9999", "data": {}}, "NOT_FOUND"),
        ("auto-save", {"incidentId": "\0", "data": {}}, "VALIDATION_ERROR"),
        ("incident-comment", {"incidentId": number, "comment": " "}, "VALIDATION_ERROR"),
        ("incident-comment", {"incidentId": number, "comment": "a\0"}, "VALIDATION_ERROR"),
        ("incident-comment", {"incidentId": number, "comment": {"public": True}}, "VALIDATION_ERROR"),
        ("incident-comment", {"incidentId": "INC-2026-9999", "comment": "x"}, "NOT_FOUND"),
        ("incident-editing", {"incidentId": number, "isEditing": "yes"}, "VALIDATION_ERROR"),
        ("incident-editing", {"incidentId": number, "isEditing": True, "field": "\0"}, "VALIDATION_ERROR"),
        ("incident-editing", {"incidentId": "INC-2026-9999", "isEditing": True}, "NOT_FOUND"),
        ("auth-me", {}, "VALIDATION_ERROR"),
    ]
    async with socket_client(api, transport, ann.token) as client:
        for event, data, code in messages:
            reply = await client.send(event, **data)
            assert (reply["ok"], reply["code"]) == (False, code), (event, data, reply)


def nested(depth: int) -> dict[str, Any]:
    """Returns an object with `depth` objects in one another."""
    return {"in": nested(depth - 1)} if depth else {}


@both_transports
async def test_very_long_numbers_are_a_bad_request(api: Api, db: Db, transport: TransportName) -> None:
    number, ann = await incident(db), await create_user(db, "reporter")
    for digits in ("1" * 400, "1" * 5000, "-" + "9" * 20_000, "1e400", "1" * 300 + ".5"):
        text = f'["auto-save",{{"incidentId":"{number}","data":{{"n":{digits}}}}}]'
        async with socket_client(api, transport, ann.token) as client:
            if transport == "ws":
                text = text.replace('["auto-save",', '{"event":"auto-save","data":')[:-1] + "}"
                await client.socket.send(text)
            else:
                await client.socket.send("421" + text)
            reply = await client.receive_reply()
            assert reply["ok"] or reply["code"] == "VALIDATION_ERROR", (digits[:20], reply)


@both_transports
async def test_staff_and_anonymous_clients_get_their_events(api: Api, db: Db, transport: TransportName) -> None:
    ann = await create_user(db, "viewer")
    async with socket_client(api, transport) as visitor, socket_client(api, transport, ann.token) as staff:
        await db.execute(
            "SELECT append_event('for-staff', 'staff', '{}'), append_event('for-visitors', 'anonymous', '{}')"
        )
        await db.execute("SELECT append_event('for-all', NULL, '{}')")
        assert [(await staff.receive())[0] for _ in range(2)] == ["for-staff", "for-all"]
        assert [(await visitor.receive())[0] for _ in range(2)] == ["for-visitors", "for-all"]


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
async def test_the_rate_of_drafts_of_a_socket_is_limited(
    api: Api, db: Db, transport: TransportName, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = [0.0]
    monkeypatch.setattr(token_bucket, "monotonic", lambda: seconds[-1])
    monkeypatch.setattr(access, "UPDATE_BURST", 2)
    number, ann = await incident(db), await create_user(db, "reporter")
    async with socket_client(api, transport, ann.token) as client:
        replies = [await client.send("auto-save", incidentId=number, data={"n": n}) for n in range(3)]
        assert [reply.get("code") for reply in replies] == [None, None, "RATE_LIMITED"]
        seconds.append(1 / access.UPDATES_PER_SECOND)
        assert (await client.send("auto-save", incidentId=number, data={}))["ok"]
        assert (await client.send("auto-save", incidentId=number, data={}))["code"] == "RATE_LIMITED"


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


@both_transports
async def test_the_sockets_of_a_user_are_limited(database: str, db: Db, transport: TransportName) -> None:
    ann, bob = await create_user(db, "viewer"), await create_user(db, "viewer")
    async with running_api(database, sockets_per_user=1) as api:
        async with socket_client(api, "ws", ann.token):
            with pytest.raises(AssertionError):
                async with socket_client(api, transport, ann.token):
                    pass
            async with socket_client(api, transport, bob.token):
                pass

        async def can_connect() -> bool:
            try:
                async with socket_client(api, transport, ann.token):
                    return True
            except AssertionError:
                return False

        await until(can_connect)


@both_transports
async def test_the_sockets_of_an_address_are_limited(database: str, transport: TransportName) -> None:
    async with running_api(database, sockets_per_address=1) as api, socket_client(api, "ws"):
        assert await refused_status(api, transport) == 429
    async with running_api(database, rate_limit_sockets=Limit(2, timedelta(minutes=1))) as api:
        for _ in range(2):
            async with socket_client(api, transport):
                pass
        assert await refused_status(api, transport) == 429


async def refused_status(api: Api, transport: TransportName) -> int:
    with pytest.raises(InvalidStatus) as raised:
        async with socket_client(api, transport):
            pass
    assert raised.value.response.headers["retry-after"]
    return int(raised.value.response.status_code)


@both_transports
async def test_too_many_messages_close_the_socket(api: Api, transport: TransportName) -> None:
    async with socket_client(api, transport) as client:
        await flood(client)
        assert await client.close_code() == 1008


async def flood(client: SocketClient) -> None:
    text = '{"event":"join-room","room":"uptime"}' if client.transport == "ws" else '42["join-room",{"room":"uptime"}]'
    for _ in range(60):
        await client.socket.send(text)


@both_transports
async def test_a_64_kb_draft_is_accepted_and_a_larger_message_closes_the_socket(
    api: Api, db: Db, transport: TransportName
) -> None:
    number, ann = await incident(db), await create_user(db, "reporter")
    async with socket_client(api, transport, ann.token) as client:
        for text in ("x" * 60_000, "\x07" * 10_000):
            assert (await client.send("auto-save", incidentId=number, data={"text": text}))["ok"]
        await client.socket.send("x" * (api.settings.socket_max_message + 1))
        assert await client.close_code() == 1009


async def test_the_rooms_of_a_client_are_limited(api: Api, db: Db, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.live.rooms.MAX_ROOMS", 3)
    numbers, ann = [await incident(db) for _ in range(2)], await create_user(db, "viewer")
    async with socket_client(api, "ws", ann.token) as client:
        replies = [await client.send("join-room", room=f"incident-{number}") for number in numbers]
        assert [reply.get("code") for reply in replies] == [None, "RATE_LIMITED"]
        assert (await client.send("leave-room", room=f"incident-{numbers[0]}"))["ok"]
        assert (await client.send("join-room", room=f"incident-{numbers[1]}"))["ok"]
