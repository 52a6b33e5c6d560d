"""The WebSocket `/ws`: a client that reconnects receives missed events once."""

from typing import Any

import anyio
import msgspec
import psycopg
import pytest
from websockets.asyncio.client import connect

from api.live import events, feed, replay
from api.live.events import PUBLIC_STEP
from tests.api.conftest import Api, add_service, create_user, running_api
from tests.api.feed_clients import STATES, append_padded, frame, joined, last_seq, send, set_state
from tests.api.transports import incident, socket_client

pytestmark = pytest.mark.one_engine

Db = psycopg.AsyncConnection[Any]


async def test_a_reconnecting_client_gets_missed_events_once(api: Api, db: Db) -> None:
    await add_service(db, "shop")
    async with joined(api) as socket:
        await set_state(db, "shop", STATES[0])
        seen = (await frame(socket))["seq"]
    for state in STATES[1:4]:
        await set_state(db, "shop", state)
    async with connect(f"{api.ws_url}?since={seen}&rooms=system-status") as socket:
        hello = await frame(socket)
        assert (hello["event"], hello["seq"]) == ("hello", seen)
        await set_state(db, "shop", STATES[4])
        received = [await frame(socket) for _ in range(5)]
        events = [event for event in received if event["event"] == "status-update"]
        assert [event["data"]["status"] for event in events] == list(STATES[1:])
        assert [event["seq"] for event in received] == sorted(event["seq"] for event in received)
        assert sum(event["event"] == "joined" for event in received) == 1


async def test_a_room_that_is_joined_later_is_replayed(api: Api, db: Db) -> None:
    await add_service(db, "shop")
    async with joined(api) as socket:
        await set_state(db, "shop", "degraded")
        seen = (await frame(socket))["seq"] - 1
    async with connect(f"{api.ws_url}?since={seen}") as socket:
        assert (await frame(socket))["event"] == "hello"
        assert (await send(socket, event="join-room", room="system-status"))["event"] == "status-update"
        assert (await frame(socket))["event"] == "joined"
        assert (await send(socket, event="join-room", room="system-status"))["event"] == "joined"


async def test_missed_events_are_read_from_the_database_after_a_restart(database: str, db: Db) -> None:
    await add_service(db, "shop")
    await db.execute(
        "INSERT INTO events (event, room, data) SELECT 'status-update', 'system-status', "
        "jsonb_build_object('n', n) FROM generate_series(1, 3000) AS n"
    )
    first = await (await db.execute("SELECT min(seq), max(seq) FROM events")).fetchone()
    assert first is not None
    async with running_api(database) as api, connect(f"{api.ws_url}?since={first[0]}&rooms=system-status") as socket:
        assert (await frame(socket))["event"] == "hello"
        assert [(await frame(socket))["data"]["n"] for _ in range(2999)] == list(range(2, 3001))
        assert (await frame(socket)) == {"event": "joined", "data": {"room": "system-status"}, "seq": first[1]}


async def test_events_of_other_rooms_do_not_count_against_the_replay_limit(database: str, db: Db) -> None:
    await append_padded(db, "system-status", 2, 10)
    seen = await last_seq(db) - 1
    await append_padded(db, "incident-INC-2026-0001", replay.MAX_REPLAY + 1, 10)
    await append_padded(db, "system-status", 1, 10)
    async with running_api(database) as api, connect(f"{api.ws_url}?since={seen}&rooms=system-status") as socket:
        received = [(await frame(socket))["event"] for _ in range(4)]
        assert received == ["hello", "status-update", "status-update", "joined"]


async def test_replays_and_recent_events_are_bounded_in_bytes(
    database: str, db: Db, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "BATCH_BYTES", 20_000)
    for module in (feed, events):
        monkeypatch.setattr(module, "RECENT_BYTES", 50_000)
    monkeypatch.setattr(replay, "MAX_REPLAY_BYTES", 100_000)
    seen = await last_seq(db)
    await append_padded(db, "system-status", 9, 10_000)
    few = await last_seq(db) - 8
    await append_padded(db, "uptime", 9, 10_000)
    await append_padded(db, "system-status", 9, 10_000)
    async with running_api(database) as api:
        for since, room, replayed in ((few, "system-status", False), (few, "uptime", True), (seen, "uptime", True)):
            received: list[str] = []
            async with connect(f"{api.ws_url}?since={since}&rooms={room}") as socket:
                while not received or received[-1] not in ("resync", "joined"):
                    received.append((await frame(socket))["event"])
            assert received[-1] == ("joined" if replayed else "resync"), (since, room)
            assert received.count("status-update") <= 11


async def test_a_reconnecting_client_does_not_get_its_own_events(api: Api, db: Db) -> None:
    ann, number = await create_user(db, "reporter"), await incident(db)
    async with socket_client(api, "ws", ann.token) as client, socket_client(api, "ws", ann.token) as other:
        seen = client.seq
        for socket in (client, other):
            assert (await socket.send("auto-save", incidentId=number, data={"by": socket.id}))["ok"]
        # The client was not in the room when it sent its draft. The event is its own nevertheless.
        query = f"since={seen}&socket={client.id}&rooms=incident-{number}"
        async with socket_client(api, "ws", ann.token, query) as again:
            assert (await again.receive())[1]["data"] == {"by": other.id}
            assert await again.receive_reply() == {"ok": True, "room": f"incident-{number}"}


async def test_a_client_that_missed_deleted_events_gets_resync(database: str, api: Api, db: Db) -> None:
    await add_service(db, "shop")
    async with joined(api) as socket:
        for state in STATES[:4]:
            await set_state(db, "shop", state)
        last = [await frame(socket) for _ in range(4)][-1]["seq"]
    await db.execute("DELETE FROM events WHERE seq < %s", [last])
    async with running_api(database) as later:
        for since, event in (
            (last - 1, "status-update"),
            (last - PUBLIC_STEP, "status-update"),
            (last - PUBLIC_STEP - 1, "resync"),
            (last, "joined"),
            (last + 10**6, "resync"),
        ):
            async with connect(f"{later.ws_url}?since={since}&rooms=system-status") as socket:
                await frame(socket)
                assert (await frame(socket))["event"] == event, since


async def test_withdrawn_events_are_not_replayed(api: Api, db: Db) -> None:
    admin = await create_user(db)
    await add_service(db, "shop")
    texts = {"hidden": "Secret of the hidden", "deleted": "Secret of the deleted"}
    ids = {}
    for name, title in texts.items():
        body = {"title": title, "severity": "low", "priority": "P3", "affectedServices": ["shop"]}
        ids[name] = (await api.http.post("/api/incidents", json=body, headers=admin.headers)).json()["incident"]["id"]
    await db.execute("UPDATE service_states SET state = 'outage', since = now()")
    await api.http.put(f"/api/incidents/{ids['hidden']}", json={"public": False}, headers=admin.headers)
    await api.http.delete(f"/api/incidents/{ids['deleted']}", headers=admin.headers)
    await api.http.patch("/api/services/shop", json={"public": False}, headers=admin.headers)
    [last] = await (await db.execute("SELECT max(seq) FROM events")).fetchone() or [0]

    async with connect(f"{api.ws_url}?since=0&rooms=system-status,uptime") as socket:
        received: list[Any] = []
        with anyio.fail_after(120):
            while not received or received[-1]["event"] != "joined":
                received.append(msgspec.json.decode(await socket.recv()))
    assert received[-1]["seq"] == last
    assert sorted(event["event"] for event in received) == ["hello", "incident-deleted", "incident-deleted", "joined"]
    assert "Secret" not in str(received) and "shop" not in str(received)
