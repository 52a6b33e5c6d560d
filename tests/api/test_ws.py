"""The WebSocket `/ws`: rooms, reconnecting, limits, and errors of clients."""

import contextlib
import ipaddress
import resource
import socket as sockets
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import msgspec
import psycopg
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from api.edge import websocket
from api.live import events, feed, replay, ws
from api.live.events import PUBLIC_STEP
from sla_monitor.settings.values import Limit
from tests.api.conftest import Api, add_service, create_user, running_api, until
from tests.api.relay import relay_before
from tests.api.test_feed import STATES, frame, joined, set_state
from tests.api.transports import incident, socket_client

pytestmark = pytest.mark.one_engine

Db = psycopg.AsyncConnection[Any]


async def send(socket: ClientConnection, **message: Any) -> Any:
    """Sends a message and returns the next frame."""
    await socket.send(msgspec.json.encode(message).decode())
    return await frame(socket)


async def close_code(socket: ClientConnection) -> int | None:
    """Waits until the server closes the connection. Returns the close code, None if there was no close frame."""
    with anyio.fail_after(120):
        try:
            while True:
                await socket.recv()
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd is not None else None


async def test_rooms_are_joined_and_left(api: Api, db: Db) -> None:
    await add_service(db, "shop")
    async with connect(api.ws_url) as socket:
        hello = await frame(socket)
        assert set(hello) == {"event", "data", "seq"}
        assert hello["data"] == {"rooms": ["system-status", "uptime"], "id": hello["data"]["id"]}
        reply = await send(socket, event="join-room", data={"room": "system-status"})
        assert (reply["event"], reply["data"]) == ("joined", {"room": "system-status"})
        await set_state(db, "shop", "outage")
        assert (await frame(socket))["event"] == "status-update"
        reply = await send(socket, event="leave-room", room="system-status")
        assert (reply["event"], reply["data"]) == ("left", {"room": "system-status"})
        await set_state(db, "shop", "degraded")
        await set_state(db, "shop", "operational")
        assert (await send(socket, event="join-room", room="uptime"))["event"] == "joined"


async def test_invalid_messages_get_an_error_and_the_connection_stays_open(api: Api) -> None:
    invalid: list[str | bytes] = [
        "",
        "{",
        "null",
        "[]",
        '{"event": 5}',
        '{"event": "join-room"}',
        '{"event": "join-room", "room": "incident-5"}',
        '{"event": "join-room", "room": "staff"}',
        '{"event": "leave-room", "room": "anonymous"}',
        '{"event": "join-room", "data": {"room": "constructor"}}',
        '{"event": "publish", "room": "uptime"}',
        b"\xff\xfe\x00",
        "[" * 4000,
        '{"event": "join-room", "room": "\\u0000"}',
    ]
    async with connect(api.ws_url) as socket:
        await frame(socket)
        for message in invalid:
            await socket.send(message)
            reply = await frame(socket)
            assert (reply["event"], reply["data"]["code"]) == ("error", "VALIDATION_ERROR"), message
        assert (await send(socket, event="join-room", room="uptime"))["event"] == "joined"


async def test_too_many_or_too_large_messages_close_the_connection(api: Api) -> None:
    async with connect(api.ws_url) as socket:
        await socket.send("x" * (api.settings.socket_max_message + 1))
        assert await close_code(socket) == 1009
    async with connect(api.ws_url) as socket:
        for _ in range(40):
            await socket.send('{"event": "join-room", "room": "uptime"}')
        assert await close_code(socket) == 1008
    for query in (
        "?since=x",
        "?since=-1",
        "?since=",
        "?since=1e3",
        "?since=" + "9" * 400,
        "?rooms=nope",
        "?rooms=" + "uptime," * 51,
    ):
        async with connect(api.ws_url + query) as socket:
            assert await close_code(socket) == 1008, query


async def test_invalid_handshakes_are_refused(api: Api) -> None:
    handshake = b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    for more in (b"Content-Length: 5\r\n", b"A: b\r\n" * 500, b"A: " + b"a" * 20000 + b"\r\n"):
        async with await anyio.connect_tcp("127.0.0.1", api.settings.api_port) as stream:
            await stream.send(handshake + more + b"\r\n")
            with anyio.fail_after(120):
                assert b'"code":"VALIDATION_ERROR"' in await stream.receive()
                with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                    await stream.receive()


async def test_fragments_and_pings_are_bounded(api: Api) -> None:
    with stalled_socket(api.settings.api_port) as fragments, stalled_socket(api.settings.api_port) as pings:

        async def both_are_open() -> bool:
            return 'sla_monitor_sockets{transport="ws"} 2.0' in (await api.http.get("/metrics")).text

        await until(both_are_open)
        fragments.sendall(b"\x01\x81\0\0\0\0{" + b"\0\x80\0\0\0\0" * 1000)
        await anyio.to_thread.run_sync(read_to_the_end, fragments)
        million = (b"\x89\xfd\0\0\0\0" + b"a" * 125) * 8000
        before = resident_bytes()
        pings.settimeout(120)
        for _ in range(40):
            await anyio.to_thread.run_sync(pings.sendall, million)
        await api.get("/health")
        assert resident_bytes() - before < 16 * 2**20


def read_to_the_end(raw: sockets.socket) -> None:
    raw.settimeout(5)
    with contextlib.suppress(ConnectionError):
        while raw.recv(4096):
            pass


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


async def test_only_allowed_origins_may_open_a_socket(api: Api) -> None:
    own = f"http://127.0.0.1:{api.settings.api_port}"
    for origin in (None, own, "http://front.example"):
        async with connect(api.ws_url, origin=origin) as socket:  # type: ignore[arg-type]
            assert (await frame(socket))["event"] == "hello"
    for origin, path in (("http://evil.example", ""), ("null", ""), (None, "/other")):
        with pytest.raises(InvalidStatus) as refused:
            await connect(api.ws_url + path, origin=origin)  # type: ignore[arg-type]
        assert refused.value.response.status_code == (404 if path else 403)
        assert set(msgspec.json.decode(refused.value.response.body)) == {"error", "code", "reason"}


async def test_the_number_of_sockets_is_limited(database: str) -> None:
    async with running_api(database, socket_limit=2) as api:
        async with connect(api.ws_url), connect(api.ws_url):
            with pytest.raises(InvalidStatus) as refused:
                await connect(api.ws_url)
            assert refused.value.response.status_code == 503
            assert refused.value.response.headers["retry-after"] == "10"

        async def can_connect() -> bool:
            try:
                async with connect(api.ws_url):
                    return True
            except InvalidStatus:
                return False

        await until(can_connect)


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


async def last_seq(db: Db) -> int:
    row = await (await db.execute("SELECT coalesce(max(seq), 0) FROM events")).fetchone()
    assert row is not None
    return int(row[0])


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


async def append_padded(db: Db, room: str, count: int, size: int) -> None:
    await db.execute(
        "INSERT INTO events (event, room, data) "
        "SELECT 'status-update', %s, jsonb_build_object('pad', repeat('x', %s)) FROM generate_series(1, %s)",
        [room, size, count],
    )


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


async def test_a_token_in_the_url_is_ignored(api: Api, db: Db) -> None:
    ann, number = await create_user(db, "admin"), await incident(db)
    async with socket_client(api, "ws", query=f"token={ann.token}&access_token={ann.token}") as client:
        assert (await client.send("join-room", room=f"incident-{number}"))["code"] == "UNAUTHORIZED"


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


async def test_sockets_behind_a_trusted_proxy_count_for_the_client(database: str) -> None:
    loopback = (ipaddress.ip_network("127.0.0.0/8"),)
    for trusted, admitted in ((loopback, True), ((), False)):
        async with (
            running_api(database, sockets_per_address=1, trusted_proxies=trusted) as api,
            connect(api.ws_url, additional_headers={"X-Forwarded-For": "198.51.100.1"}),
        ):
            try:
                async with connect(api.ws_url, additional_headers={"X-Forwarded-For": "198.51.100.2"}):
                    assert admitted
            except InvalidStatus as refused:
                assert not admitted
                assert refused.response.status_code == 429


async def test_while_the_database_is_away_sockets_are_admitted(database: str) -> None:
    limit = Limit(1, timedelta(minutes=1))
    async with relay_before(database) as relay, running_api(relay.url, rate_limit_sockets=limit) as api:
        relay.cut()
        async with connect(api.ws_url) as socket:
            await frame(socket)
            reply = await send(socket, event="auth", data={"token": "slam_x"})
            while reply["event"] == "database-away":
                reply = await frame(socket)
            assert (reply["event"], reply["data"]["code"]) == ("error", "SERVER_ERROR")
            assert await close_code(socket) == 1013


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


async def test_a_client_that_stops_reading_does_not_delay_others(database: str, db: Db) -> None:
    await add_service(db, "shop")
    async with running_api(database, socket_queue=50) as api, joined(api) as quick:
        raw = stalled_socket(api.settings.api_port)
        try:

            async def two_sockets() -> bool:
                return 'sla_monitor_sockets{transport="ws"} 2.0' in (await api.http.get("/metrics")).text

            await until(two_sockets)
            big = "x" * 100_000
            for number in range(300):
                await db.execute(
                    "INSERT INTO events (event, room, data) VALUES "
                    "('status-update', 'system-status', jsonb_build_object('n', %s::int, 'pad', %s::text))",
                    [number, big],
                )
                assert (await frame(quick, 5))["data"]["n"] == number
            text = (await api.http.get("/metrics")).text
            assert 'sla_monitor_sockets_refused_total{reason="slow"} 1.0' in text
            assert 'sla_monitor_sockets{transport="ws"} 1.0' in text
        finally:
            raw.close()


def stalled_socket(port: int) -> sockets.socket:
    """Returns the connection of a client that joins a room by its URL and never reads."""
    raw = sockets.socket()
    raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
    raw.connect(("127.0.0.1", port))
    raw.sendall(
        b"GET /ws?rooms=system-status HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    return raw


async def test_a_client_that_closes_and_does_not_read_is_disconnected(
    database: str, db: Db, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a deadline the connection would stay open: the client never reads the close frame."""
    monkeypatch.setattr(websocket, "CLOSE_WITHIN_S", 0.3)
    close_frame = bytes([0x88, 0x80, 0, 0, 0, 0])  # masked, as frames of clients are
    async with running_api(database, socket_queue=3) as api:
        for dismissed in (True, False):
            raw = stalled_socket(api.settings.api_port)
            try:
                await until(lambda: _open_sockets(api, 1))
                for _ in range(80 if dismissed else 3):
                    await append_padded(db, "system-status", 1, 100_000 if dismissed else 2_000_000)
                if dismissed:
                    await until(lambda: _open_sockets(api, 0))
                raw.sendall(close_frame)
                await until(partial(_is_cut, api.settings.api_port, raw.getsockname()[1]))
            finally:
                raw.close()


async def _open_sockets(api: Api, count: int) -> bool:
    return f'sla_monitor_sockets{{transport="ws"}} {count}.0' in (await api.http.get("/metrics")).text


async def _is_cut(port: int, peer: int) -> bool:
    """Returns whether the server has closed the connection. The kernel may still keep it in a closing state."""
    return all(inode == "0" for inode in _inodes(f":{port:04X}", f":{peer:04X}"))


def _inodes(local: str, remote: str) -> list[str]:
    """Returns the inodes of the connections between two ports, from /proc/net/tcp: 0 for one that no process has
    open."""
    rows = [line.split() for line in Path("/proc/self/net/tcp").read_text().splitlines()]
    return [row[9] for row in rows if row[1].endswith(local) and row[2].endswith(remote)]


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
