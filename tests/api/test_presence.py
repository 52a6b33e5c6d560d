"""Presence: the users in a room and the users who edit there, in all processes. A user is present until their last
socket leaves."""

from datetime import timedelta
from typing import Any

import psycopg
import pytest

import sql
from tests.api.conftest import Api, create_user, running_api, until
from tests.api.incident_rooms import edit, join
from tests.api.transports import TRANSPORTS, TransportName, incident, socket_client

pytestmark = pytest.mark.one_engine

Db = psycopg.AsyncConnection[Any]
both_transports = pytest.mark.parametrize("transport", TRANSPORTS)


@both_transports
async def test_editors_are_known_in_every_process(database: str, db: Db, transport: TransportName) -> None:
    number, ann, bob = await incident(db), await create_user(db, "reporter"), await create_user(db, "viewer")
    about_ann = {"incidentId": number, "userId": str(ann.user_id), "userName": ann.username}
    async with (
        running_api(database) as first,
        running_api(database) as second,
        socket_client(second, transport, bob.token) as observer,
    ):
        await join(observer, number)
        async with socket_client(first, transport, ann.token) as editor:
            await edit(editor, number, field="title", userId=str(bob.user_id), userName="Mallory")
            editing = ("incident-editing", {**about_ann, "isEditing": True, "field": "title"})
            assert await observer.receive() == editing
            async with socket_client(second, transport, bob.token) as late:
                await join(late, number)
                assert await late.receive() == editing
            await edit(editor, number, field="description")
            assert (await observer.receive())[1]["field"] == "description"
            await edit(editor, number, False)
            ended = ("incident-editing", {**about_ann, "isEditing": False, "field": None})
            assert await observer.receive() == ended
            await edit(editor, number)
            assert (await observer.receive())[1]["isEditing"] is True
        assert await observer.receive() == ended
        left = {"room": f"incident-{number}", "userId": str(ann.user_id)}
        assert await observer.receive() == ("user-left", left)


@both_transports
async def test_a_user_is_present_until_their_last_socket_leaves(api: Api, db: Db, transport: TransportName) -> None:
    number, ann, bob = await incident(db), await create_user(db, "reporter"), await create_user(db, "viewer")
    async with (
        socket_client(api, transport, bob.token) as observer,
        socket_client(api, "ws", ann.token) as one,
        socket_client(api, "socketio", ann.token) as two,
    ):
        for client in (observer, one, two):
            await join(client, number)
        await edit(one, number, field="title")
        await edit(two, number, field="postmortem")
        assert [(await observer.receive())[1]["field"] for _ in range(2)] == ["title", "postmortem"]
        await edit(one, number, False)
        assert (await one.send("leave-room", room=f"incident-{number}"))["ok"]
        await edit(two, number, field="title")
        assert (await observer.receive())[1]["field"] == "title"
        assert (await two.send("leave-room", room=f"incident-{number}"))["ok"]
        assert (await observer.receive())[1]["isEditing"] is False
        assert (await observer.receive())[0] == "user-left"


async def test_the_editors_own_socket_gets_no_event(api: Api, db: Db) -> None:
    number, ann = await incident(db), await create_user(db, "reporter")
    async with socket_client(api, "ws", ann.token) as one, socket_client(api, "socketio", ann.token) as two:
        for client in (one, two):
            await join(client, number)
        await edit(one, number)
        assert (await two.receive())[1]["isEditing"] is True
        assert (await two.send("incident-comment", incidentId=number, comment="x"))["ok"]
        assert (await one.receive())[0] == "incident-comment"


async def test_a_process_that_stops_deletes_its_leases(database: str, db: Db) -> None:
    number, ann = await incident(db), await create_user(db, "reporter")
    async with running_api(database) as api, socket_client(api, "ws", ann.token) as client:
        await join(client, number)
        assert (await (await db.execute("SELECT count(*) FROM presence_leases")).fetchone()) == (1,)

    async def no_lease() -> bool:
        return (await (await db.execute("SELECT count(*) FROM presence_leases")).fetchone()) == (0,)

    await until(no_lease)


async def test_events_of_editing_are_deleted_after_an_hour(db: Db) -> None:
    for event in ("incident-editing", "auto-save", "user-left", "incident-comment", "incident-updated"):
        await db.execute("SELECT append_event(%s, 'room', '{}')", [event])
    await db.execute("UPDATE events SET occurred_at = now() - interval '61 min' WHERE room = 'room'")
    await db.execute("SELECT append_event('auto-save', 'room', '{}')")
    await db.execute(sql.query("housekeeping/prune_events"), {"event_retention": timedelta(days=7)})
    remaining = await (await db.execute("SELECT event FROM events WHERE room = 'room' ORDER BY seq")).fetchall()
    assert remaining == [("incident-comment",), ("incident-updated",), ("auto-save",)]
