"""Messages over WebSockets, on both transports: rooms, comments, drafts, templates, access and limits."""

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
from tests.api.intruders import entered
from tests.api.transports import TRANSPORTS, Speaker, TransportName, incident, speaker

pytestmark = pytest.mark.one_engine

Db = psycopg.AsyncConnection[Any]
SOON = timedelta(seconds=3)
"""The lifetime of a token that expires in the test. It may be up to a second shorter: tokens count in whole seconds."""
both_transports = pytest.mark.parametrize("transport", TRANSPORTS)


@both_transports
async def test_a_comment_is_sent_once_to_every_client_in_the_room(api: Api, db: Db, transport: TransportName) -> None:
    number, ann, bob = await incident(db), await create_user(db, "reporter"), await create_user(db, "viewer")
    async with speaker(api, transport, ann.token) as one, speaker(api, "ws", bob.token) as two:
        for client in (one, two):
            assert (await client.say("join-room", room=f"incident-{number}"))["ok"]
        for comment in ("It is the disk", {"content": "Or not", "public": True, "userId": str(bob.user_id)}):
            answer = await one.say("incident-comment", incidentId=number, comment=comment, userName="Mallory")
            assert answer["ok"]
            for client in (one, two):
                event, data = await client.hear()
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
    """Existing front ends show `content` and `userName`, and recognise their own comment by the `id` they gave it."""
    number, ann = await incident(db), await create_user(db, "reporter")
    sent = {
        "id": "c-1",
        "content": "It is the disk",
        "userName": "Mallory",
        "userId": "7",
        "color": "#fff",
        "at": [1, {}],
    }
    async with speaker(api, transport, ann.token) as client:
        assert (await client.say("join-room", room=f"incident-{number}"))["ok"]
        answer = await client.say("incident-comment", incidentId=number, comment=sent)
        told = (await client.hear())[1]["comment"]
        assert answer["comment"] == told
        stored = await (await db.execute("SELECT id FROM incident_comments")).fetchone()
        assert stored is not None
        ours = {"userName": ann.username, "userId": str(ann.user_id), "commentId": stored[0], "public": False}
        assert told == told | sent | ours | {"text": sent["content"], "author": ann.username}
        assert told["timestamp"] == told["createdAt"]
        for plain in ("Or not", {"content": "Or not", "id": {"x": 1}}, {"message": "Or not", "id": None}):
            assert (await client.say("incident-comment", incidentId=number, comment=plain))["ok"]
            told = (await client.hear())[1]["comment"]
            assert (told["content"], told["id"] > stored[0], "commentId" in told) == ("Or not", True, False)
            assert told.get("message") == (plain.get("message") if isinstance(plain, dict) else None)
        listed = await api.get(f"/api/incidents/{number}/comments", headers=ann.headers)
        assert listed["comments"][0]["id"] == stored[0]
        assert {comment["content"] for comment in listed["comments"]} == {"It is the disk", "Or not"}
        hostile = {"content": "x", "a": "\0"}
        assert (await client.say("incident-comment", incidentId=number, comment=hostile))["code"] == "VALIDATION_ERROR"


@both_transports
@pytest.mark.parametrize("escaped", [False, True])
async def test_sockets_and_rest_accept_the_same_drafts(
    api: Api, db: Db, transport: TransportName, escaped: bool
) -> None:
    """The limit is the size of the draft, whether its characters are escaped or not."""
    number, ann = await incident(db), await create_user(db, "reporter")
    path = f"/api/incidents/{number}/draft"
    largest = {"x": "\u00e9" * ((MAX_DATA_BYTES - 8) // 2)}
    async with entered(api, transport, ann.token) as client:
        for data, code in ((largest, None), ({"x": largest["x"] + "y"}, "VALIDATION_ERROR")):
            put = await api.http.put(path, json={"data": data}, headers=ann.headers)
            assert put.json().get("code") == code
            if escaped:
                answer = await client.tell("auto-save", {"incidentId": number, "data": data})
            else:
                answer = await client.say("auto-save", incidentId=number, data=data)
            assert answer.get("code") == code


async def template(api: Api, who: User) -> str:
    body = {"name": "Disk", "data": {"title": "Disk", "severity": "low", "priority": "P3", "affectedServices": []}}
    answer = await api.http.post("/api/templates", json=body, headers=who.headers)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["data"]["id"])


@both_transports
async def test_clients_in_a_template_room_get_the_number_of_clients(
    database: str, db: Db, transport: TransportName
) -> None:
    """The number includes the clients of other processes."""
    ann, bob = await create_user(db, "reporter"), await create_user(db, "viewer")
    async with running_api(database) as api, running_api(database) as other:
        number = await template(api, ann)

        def count(users: int) -> tuple[str, dict[str, Any]]:
            return "user-count-updated", {"templateId": number, "userCount": users}

        async with speaker(api, transport, ann.token) as one:
            answer = await one.say("join-template", templateId=number.upper())
            assert (answer["ok"], answer["templateId"]) == (True, number)
            assert await one.hear() == count(1)
            async with speaker(other, "ws", bob.token) as two:
                assert (await two.say("join-room", room=f"template-{number}"))["ok"]
                assert (await two.hear(), await one.hear()) == (count(2), count(2))
                said = {"title": "Disk full", "affected": [1, None]}
                answer = await one.say("template-update", templateId=number, data=said, userId="7", timestamp="x")
                assert answer["ok"]
                event, told = await two.hear()
                assert (event, told) == (
                    "template-updated",
                    {
                        "templateId": number,
                        "data": said,
                        "userId": str(ann.user_id),
                        "userName": ann.username,
                        "timestamp": answer["timestamp"],
                    },
                )
                async with speaker(other, "socketio", bob.token) as three:
                    assert (await three.say("join-template", templateId=number))["ok"]
                    assert [await client.hear() for client in (one, two, three)] == [count(3)] * 3
                assert [await client.hear() for client in (one, two)] == [count(2)] * 2
                assert (await two.say("leave-template", templateId=number))["ok"]
                assert await one.hear() == count(1), "who said it is not told of their own update"
                assert (await two.say("template-update", templateId=number, data={}))["code"] == "FORBIDDEN"
            for nothing in (str(uuid4()), "x", "template"):
                for event in ("join-template", "template-update"):
                    answer = await one.say(event, templateId=nothing, data={})
                    assert answer["code"] == "NOT_FOUND", (event, nothing)
            assert (await one.say("template-update", templateId=number, data="\0"))["code"] == "VALIDATION_ERROR"
    assert await (await db.execute("SELECT FROM presence_leases")).fetchall() == []


@both_transports
async def test_a_draft_is_stored_and_sent_to_other_clients_only(api: Api, db: Db, transport: TransportName) -> None:
    number, ann = await incident(db), await create_user(db, "reporter")
    async with speaker(api, transport, ann.token) as one, speaker(api, transport, ann.token) as two:
        for client in (one, two):
            assert (await client.say("join-room", room=f"incident-{number}"))["ok"]
        assert (await one.say("auto-save", incidentId=number, data={"title": "Half a sen"}))["ok"]
        assert (await two.say("incident-comment", incidentId=number, comment="seen"))["ok"]
        assert (await two.hear())[1]["data"] == {"title": "Half a sen"}
        assert (await two.hear())[0] == "incident-comment"
        assert (await one.hear())[0] == "incident-comment"
    kept = await (await db.execute("SELECT incident_id, user_id, data FROM incident_drafts")).fetchall()
    assert kept == [(number, ann.user_id, {"title": "Half a sen"})]


@both_transports
async def test_messages_without_permission_get_an_error(api: Api, db: Db, transport: TransportName) -> None:
    number = await incident(db)
    room = f"incident-{number}"
    said: list[tuple[str, dict[str, Any]]] = [
        ("join-room", {"room": room}),
        ("incident-editing", {"incidentId": number, "isEditing": True}),
        ("auto-save", {"incidentId": number, "data": {}}),
        ("incident-comment", {"incidentId": number, "comment": "x"}),
    ]
    async with (
        speaker(api, transport) as stranger,
        speaker(api, transport, (await create_user(db, "viewer")).token) as viewer,
    ):
        for event, data in said:
            assert (await stranger.say(event, **data))["code"] == "UNAUTHORIZED", event
            answer = await viewer.say(event, **data)
            assert answer.get("code") == (None if event == "join-room" else "FORBIDDEN"), event
        for public in ("system-status", "uptime"):
            assert (await stranger.say("join-room", room=public))["ok"]
    assert (await (await db.execute("SELECT count(*) FROM incident_comments")).fetchone()) == (0,)
    assert (await (await db.execute("SELECT count(*) FROM incident_drafts")).fetchone()) == (0,)


@both_transports
async def test_unknown_rooms_cannot_be_joined(api: Api, db: Db, transport: TransportName) -> None:
    admin = await create_user(db, "admin")
    async with speaker(api, transport, admin.token) as client:
        for room in ("staff", "anonymous", "", "incident-", "incident-*", "incident-INC-1", "INC-2026-0001", "a" * 99):
            for event in ("join-room", "leave-room"):
                assert (await client.say(event, room=room))["code"] == "VALIDATION_ERROR", room
    async with speaker(api, transport, admin.token) as client:  # with a token bucket of its own
        for value in (None, 5, ["uptime"], "a" * 101):
            assert (await client.say("join-room", room=value))["code"] == "VALIDATION_ERROR", value
        assert (await client.say("join-room", room="incident-INC-2026-9999"))["code"] == "NOT_FOUND"


@both_transports
async def test_data_that_cannot_be_stored_is_a_bad_request(api: Api, db: Db, transport: TransportName) -> None:
    number, ann = await incident(db), await create_user(db, "reporter")
    said: list[tuple[str, dict[str, Any], str]] = [
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
    async with speaker(api, transport, ann.token) as client:
        for event, data, code in said:
            answer = await client.say(event, **data)
            assert (answer["ok"], answer["code"]) == (False, code), (event, data, answer)


def nested(depth: int) -> dict[str, Any]:
    return {"in": nested(depth - 1)} if depth else {}


@both_transports
async def test_very_long_numbers_are_a_bad_request(api: Api, db: Db, transport: TransportName) -> None:
    number, ann = await incident(db), await create_user(db, "reporter")
    for digits in ("1" * 400, "1" * 5000, "-" + "9" * 20_000, "1e400", "1" * 300 + ".5"):
        text = f'["auto-save",{{"incidentId":"{number}","data":{{"n":{digits}}}}}]'
        async with speaker(api, transport, ann.token) as client:
            if transport == "ws":
                text = text.replace('["auto-save",', '{"event":"auto-save","data":')[:-1] + "}"
                await client.socket.send(text)
            else:
                await client.socket.send("421" + text)
            answer = await client.answer()
            assert answer["ok"] or answer["code"] == "VALIDATION_ERROR", (digits[:20], answer)


@both_transports
async def test_staff_and_anonymous_clients_get_their_events(api: Api, db: Db, transport: TransportName) -> None:
    ann = await create_user(db, "viewer")
    async with speaker(api, transport) as visitor, speaker(api, transport, ann.token) as staff:
        await db.execute(
            "SELECT append_event('for-staff', 'staff', '{}'), append_event('for-visitors', 'anonymous', '{}')"
        )
        await db.execute("SELECT append_event('for-all', NULL, '{}')")
        assert [(await staff.hear())[0] for _ in range(2)] == ["for-staff", "for-all"]
        assert [(await visitor.hear())[0] for _ in range(2)] == ["for-visitors", "for-all"]


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
    async with speaker(api, transport, ann.token) as gone, speaker(api, transport, bob.token) as stays:
        with anyio.fail_after(access.SWEEP_S / 2):
            await db.execute(statement.encode(), [ann.user_id])
            assert await gone.closed() == 4401
        assert (await stays.say("join-room", room="uptime"))["ok"]
    assert "sla_monitor_access_ended_total 1.0" in (await api.http.get("/metrics")).text


async def test_a_change_during_authentication_repeats_the_lookup() -> None:
    class Slow:
        asked = 0

        async def principal(self, _token: str, _address: str) -> Principal:
            self.asked += 1
            if self.asked == 1:
                ours.recheck()
                return Principal(user_id=uuid4(), name="ann", role="admin")
            raise ApiError(401)

    slow = Slow()
    ours = Access(cast(Any, None), cast(Any, slow), cast(Any, None), sockets_per_user=5)
    participant = LiveConnection(cast(Any, None), "192.0.2.1")
    with pytest.raises(ApiError):
        await ours.authenticate(participant, "token")
    assert participant.principal is None


async def test_a_failed_restriction_is_retried_and_does_not_block_others(database: str, db: Db) -> None:
    people = [await create_user(db, "reporter") for _ in range(3)]
    principals = {
        ann.token: Principal(user_id=ann.user_id, name=ann.username, role="reporter", session_id=ann.session_id)
        for ann in people
    }
    done: list[UUID] = []
    failed: list[UUID] = []

    class Known:
        async def principal(self, token: str, _address: str) -> Principal:
            return principals[token]

    async def restrict(participant: LiveConnection) -> None:
        assert participant.principal is not None
        if not failed:
            failed.append(participant.principal.user_id)
            raise psycopg.errors.ReadOnlySqlTransaction
        done.append(participant.principal.user_id)

    async with sql.open_pool(database, application="test") as pool, anyio.create_task_group() as tasks:
        ours = Access(pool, cast(Any, Known()), Metrics(), sockets_per_user=5)
        for token in principals:
            await ours.authenticate(LiveConnection(cast(Any, None), "192.0.2.1"), token)
        await db.execute("UPDATE users SET role = 'viewer'")
        ours.recheck()
        tasks.start_soon(ours.run, restrict)

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
    monkeypatch.setattr(access, "UPDATES", 2)
    number, ann = await incident(db), await create_user(db, "reporter")
    async with speaker(api, transport, ann.token) as client:
        answers = [await client.say("auto-save", incidentId=number, data={"n": n}) for n in range(3)]
        assert [answer.get("code") for answer in answers] == [None, None, "RATE_LIMITED"]
        seconds.append(1 / access.UPDATES_PER_SECOND)
        assert (await client.say("auto-save", incidentId=number, data={}))["ok"]
        assert (await client.say("auto-save", incidentId=number, data={}))["code"] == "RATE_LIMITED"


@both_transports
async def test_a_changed_role_applies_to_open_sockets(api: Api, db: Db, transport: TransportName) -> None:
    number, ann, bob = await incident(db), await create_user(db, "reporter"), await create_user(db, "viewer")
    async with speaker(api, transport, ann.token) as client, speaker(api, transport, bob.token) as other:
        assert (await other.say("join-room", room=f"incident-{number}"))["ok"]
        assert (await client.say("incident-editing", incidentId=number, isEditing=True))["ok"]
        assert (await other.hear())[1]["isEditing"] is True
        await db.execute("UPDATE users SET role = 'viewer' WHERE id = %s", [ann.user_id])
        assert (await other.hear())[1]["isEditing"] is False
        answer = await client.say("incident-comment", incidentId=number, comment="x")
        assert answer["code"] == "FORBIDDEN"
        await db.execute("UPDATE users SET role = 'admin' WHERE id = %s", [ann.user_id])
        assert (await client.say("incident-comment", incidentId=number, comment="x"))["ok"]


@both_transports
async def test_a_socket_is_closed_when_its_token_expires(api: Api, db: Db, transport: TransportName) -> None:
    ann = await create_user(db, "viewer")
    token = await signer().issue("access", ann.user_id, ann.session_id, SOON)
    async with speaker(api, transport, token) as client:
        assert await client.closed() == 4401


async def test_a_newer_token_keeps_a_socket_open(api: Api, db: Db) -> None:
    ann, bob = await create_user(db, "viewer"), await create_user(db, "viewer")
    token = await signer().issue("access", ann.user_id, ann.session_id, SOON)
    async with speaker(api, "ws", token) as client, speaker(api, "ws", token) as other:
        assert (await client.say("auth", token=ann.token))["ok"]
        assert await other.closed() == 4401
        assert (await client.say("join-room", room="uptime"))["ok"]
        assert (await client.say("auth", token=bob.token))["code"] == "FORBIDDEN"


@both_transports
async def test_the_sockets_of_a_user_are_limited(database: str, db: Db, transport: TransportName) -> None:
    ann, bob = await create_user(db, "viewer"), await create_user(db, "viewer")
    async with running_api(database, sockets_per_user=1) as api:
        async with speaker(api, "ws", ann.token):
            with pytest.raises(AssertionError):
                async with speaker(api, transport, ann.token):
                    pass
            async with speaker(api, transport, bob.token):
                pass

        async def again() -> bool:
            try:
                async with speaker(api, transport, ann.token):
                    return True
            except AssertionError:
                return False

        await until(again)


@both_transports
async def test_the_sockets_of_an_address_are_limited(database: str, transport: TransportName) -> None:
    async with running_api(database, sockets_per_address=1) as api, speaker(api, "ws"):
        assert await refused(api, transport) == 429
    async with running_api(database, rate_limit_sockets=Limit(2, timedelta(minutes=1))) as api:
        for _ in range(2):
            async with speaker(api, transport):
                pass
        assert await refused(api, transport) == 429


async def refused(api: Api, transport: TransportName) -> int:
    with pytest.raises(InvalidStatus) as answer:
        async with speaker(api, transport):
            pass
    assert answer.value.response.headers["retry-after"]
    return int(answer.value.response.status_code)


@both_transports
async def test_too_many_messages_close_the_socket(api: Api, transport: TransportName) -> None:
    async with speaker(api, transport) as client:
        await flood(client)
        assert await client.closed() == 1008


async def flood(client: Speaker) -> None:
    text = '{"event":"join-room","room":"uptime"}' if client.transport == "ws" else '42["join-room",{"room":"uptime"}]'
    for _ in range(60):
        await client.socket.send(text)


@both_transports
async def test_a_64_kb_draft_is_accepted_and_a_larger_message_closes_the_socket(
    api: Api, db: Db, transport: TransportName
) -> None:
    number, ann = await incident(db), await create_user(db, "reporter")
    async with speaker(api, transport, ann.token) as client:
        for text in ("x" * 60_000, "\x07" * 10_000):
            assert (await client.say("auto-save", incidentId=number, data={"text": text}))["ok"]
        await client.socket.send("x" * (api.settings.socket_max_message + 1))
        assert await client.closed() == 1009


async def test_the_rooms_of_a_client_are_limited(api: Api, db: Db, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.live.rooms.MAX_ROOMS", 3)
    numbers, ann = [await incident(db) for _ in range(2)], await create_user(db, "viewer")
    async with speaker(api, "ws", ann.token) as client:
        answers = [await client.say("join-room", room=f"incident-{number}") for number in numbers]
        assert [answer.get("code") for answer in answers] == [None, "RATE_LIMITED"]
        assert (await client.say("leave-room", room=f"incident-{numbers[0]}"))["ok"]
        assert (await client.say("join-room", room=f"incident-{numbers[1]}"))["ok"]
