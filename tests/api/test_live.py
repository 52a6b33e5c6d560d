"""Messages of clients, on both transports: comments, drafts, templates, and the events of staff."""

from typing import Any
from uuid import uuid4

import psycopg
import pytest

from api.incidents.fields import MAX_DATA_BYTES
from tests.api.conftest import Api, User, create_user, running_api
from tests.api.raw_clients import raw_client
from tests.api.transports import TransportName, both_transports, incident, socket_client

pytestmark = pytest.mark.one_engine

Db = psycopg.AsyncConnection[Any]


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
async def test_staff_and_anonymous_clients_get_their_events(api: Api, db: Db, transport: TransportName) -> None:
    ann = await create_user(db, "viewer")
    async with socket_client(api, transport) as visitor, socket_client(api, transport, ann.token) as staff:
        await db.execute(
            "SELECT append_event('for-staff', 'staff', '{}'), append_event('for-visitors', 'anonymous', '{}')"
        )
        await db.execute("SELECT append_event('for-all', NULL, '{}')")
        assert [(await staff.receive())[0] for _ in range(2)] == ["for-staff", "for-all"]
        assert [(await visitor.receive())[0] for _ in range(2)] == ["for-visitors", "for-all"]
