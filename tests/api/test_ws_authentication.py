"""The WebSocket `/ws`: authentication in the URL and later, and events of staff."""

from typing import Any

import psycopg
import pytest
from websockets.asyncio.client import connect

from api.live import ws
from tests.api.conftest import Api, create_user
from tests.api.feed_clients import close_code, frame, last_seq, send
from tests.api.transports import incident, socket_client

pytestmark = pytest.mark.one_engine

Db = psycopg.AsyncConnection[Any]


async def test_with_auth_in_the_url_no_event_is_sent_before_authentication(
    api: Api, db: Db, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann, number = await create_user(db, "viewer"), await incident(db)
    seen = await last_seq(db)
    await db.execute("SELECT append_event('internal', 'staff', '{}'), append_event('public', 'anonymous', '{}')")
    await db.execute("SELECT append_event('in-room', 'incident-' || %s, '{}')", [number])
    await db.execute("SELECT append_event('for-all', NULL, '{}')")
    rooms = f"uptime,incident-{number},incident-INC-2026-9999"
    async with connect(f"{api.ws_url}?auth&since={seen}&rooms={rooms}") as socket:
        assert (await frame(socket))["event"] == "hello"
        reply = await send(socket, event="auth", data={"token": ann.token})
        user = {"id": str(ann.user_id), "username": ann.username, "role": "viewer"}
        assert (reply["event"], reply["data"]) == ("authenticated", {"user": user})
        assert reply["seq"] == seen, "the missed events have not been replayed yet"
        assert [(await frame(socket))["event"] for _ in range(3)] == ["internal", "in-room", "for-all"]
        assert [(await frame(socket))["event"] for _ in range(3)] == ["joined", "joined", "error"]
    monkeypatch.setattr(ws, "AUTH_DEADLINE_S", 0.2)
    async with connect(f"{api.ws_url}?auth") as socket:
        assert await close_code(socket) == 4401
    for first in ('{"event": "join-room", "room": "uptime"}', "x", '{"event": "auth"}', '{"event": "auth", "data": 5}'):
        async with connect(f"{api.ws_url}?auth&since={seen}") as socket:
            assert (await frame(socket))["event"] == "hello"
            await socket.send(first)
            assert await close_code(socket) == 4401


async def test_a_client_that_authenticates_later_gets_staff_events_from_then_on(api: Api, db: Db) -> None:
    ann = await create_user(db, "viewer")
    async with connect(api.ws_url) as socket:
        await frame(socket)
        assert (await send(socket, event="auth", data={"token": "Bearer " + ann.token}))["event"] == "authenticated"
        await db.execute("SELECT append_event('public', 'anonymous', '{}'), append_event('internal', 'staff', '{}')")
        assert (await frame(socket))["event"] == "internal"
        assert (await send(socket, event="auth", data={"token": "x"}))["data"]["code"] == "UNAUTHORIZED"
        assert await close_code(socket) == 4401


async def test_authentication_after_a_replay_repeats_no_event(api: Api, db: Db) -> None:
    ann, seen = await create_user(db, "viewer"), await last_seq(db)
    await db.execute("SELECT append_event('made', 'staff', '{}'), append_event('made', 'anonymous', '{}')")
    async with connect(f"{api.ws_url}?since={seen}") as socket:
        assert [(await frame(socket))["event"] for _ in range(2)] == ["hello", "made"]
        assert (await send(socket, event="auth", data={"token": ann.token}))["event"] == "authenticated"
        await db.execute("SELECT append_event('next', 'staff', '{}')")
        assert (await frame(socket))["event"] == "next"


async def test_a_token_in_the_url_is_ignored(api: Api, db: Db) -> None:
    ann, number = await create_user(db, "admin"), await incident(db)
    async with socket_client(api, "ws", query=f"token={ann.token}&access_token={ann.token}") as client:
        assert (await client.send("join-room", room=f"incident-{number}"))["code"] == "UNAUTHORIZED"
