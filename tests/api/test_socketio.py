"""Socket.IO over WebSocket: packets that socket.io-client 4 sends, and malicious packets."""

import asyncio
import logging
from datetime import timedelta
from typing import Any

import anyio
import msgspec
import psycopg
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from api.live import socketio
from tests.api.conftest import Api, add_service, create_user, running_api, signer, until
from tests.api.test_feed import set_state
from tests.api.transports import SocketClient, engine, socket_client, socketio_url

pytestmark = pytest.mark.one_engine

Db = psycopg.AsyncConnection[Any]


async def packet_from(socket: ClientConnection) -> str:
    """Returns the next packet."""
    with anyio.fail_after(120):
        text = await socket.recv()
    assert isinstance(text, str)
    return text


async def close_code(socket: ClientConnection) -> int | None:
    """Waits until the server closes the connection. Returns the close code, None if there was no close frame."""
    with anyio.fail_after(120):
        try:
            while True:
                await socket.recv()
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd is not None else None


async def test_the_handshake_follows_the_protocol(api: Api) -> None:
    async with connect(socketio_url(api)) as socket:
        opened = msgspec.json.decode((await packet_from(socket)).removeprefix("0"))
        assert set(opened) == {"sid", "upgrades", "pingTimeout", "pingInterval", "maxPayload"}
        assert (opened["upgrades"], opened["maxPayload"]) == ([], api.settings.socket_max_message)
        await socket.send("40")
        assert set(msgspec.json.decode((await packet_from(socket)).removeprefix("40"))) == {"sid"}


async def test_events_and_acknowledgements(api: Api, db: Db) -> None:
    await add_service(db, "shop")
    async with socket_client(api, "socketio") as client:
        assert await client.send("join-room", room="system-status") == {"ok": True, "room": "system-status"}
        await set_state(db, "shop", "outage")
        event, data = await client.receive()
        assert (event, data["serviceId"], data["status"]) == ("status-update", "shop", "outage")
        assert await client.send("leave-room", room="system-status") == {"ok": True, "room": "system-status"}
        await set_state(db, "shop", "degraded")
        assert await client.send("no-such-event") == {
            "ok": False,
            "error": "unknown event; use one of join-room, leave-room, incident-editing, auto-save, incident-comment, "
            "join-template, leave-template, template-update",
            "code": "VALIDATION_ERROR",
            "reason": "unknown_event",
            "parameters": {
                "choices": [
                    "join-room",
                    "leave-room",
                    "incident-editing",
                    "auto-save",
                    "incident-comment",
                    "join-template",
                    "leave-template",
                    "template-update",
                ]
            },
        }


async def test_errors_are_sent_as_events_too(api: Api) -> None:
    async with engine(api) as socket:
        await socket.send("40")
        await packet_from(socket)
        await socket.send('42["join-room",{"room":"staff"}]')
        event, data = msgspec.json.decode((await packet_from(socket)).removeprefix("42"))
        assert (event, data["code"]) == ("error", "VALIDATION_ERROR")


async def test_the_token_is_read_from_the_auth_payload_only(api: Api, db: Db) -> None:
    ann = await create_user(db, "viewer")
    for auth in ("", "{}", '{"token":null}', '{"token":""}', '{"other":1}'):
        async with engine(api) as socket:
            await socket.send("40" + auth)
            assert (await packet_from(socket)).startswith('40{"sid"')
    for token in (ann.token, "Bearer " + ann.token):
        async with socket_client(api, "socketio", token):
            pass
    async with connect(
        socketio_url(api, f"EIO=4&transport=websocket&token={ann.token}&auth[token]={ann.token}")
    ) as socket:
        await packet_from(socket)
        await socket.send("40")
        await packet_from(socket)
        reply = await SocketClient(socket, "socketio").send("join-room", room="incident-INC-2026-0001")
        assert reply["code"] == "UNAUTHORIZED"


async def test_a_bad_token_refuses_the_connection(api: Api, db: Db) -> None:
    ann = await create_user(db, "viewer")
    refresh = await signer().issue("refresh", ann.user_id, ann.session_id, timedelta(hours=1))
    for token in ("x", "slam_x", ann.token[:-4] + "AAAA", refresh):
        async with engine(api) as socket:
            await socket.send("40" + msgspec.json.encode({"token": token}).decode())
            refusal = msgspec.json.decode((await packet_from(socket)).removeprefix("44"))
            assert refusal["message"] == "unauthorized"
            assert refusal["data"]["code"] == "UNAUTHORIZED"
            await socket.send('421["join-room",{"room":"uptime"}]')
            await socket.send("40")
            assert (await packet_from(socket)).startswith('40{"sid"')  # the event before it got no reply
    for auth in ('{"token":5}', '{"token":["x"]}', "{", '{"token":"\\ud800"}'):
        async with engine(api) as socket:
            await socket.send("40" + auth)
            assert '"UNAUTHORIZED"' in await packet_from(socket)


async def test_only_the_websocket_transport_is_available(api: Api) -> None:
    for method in ("GET", "POST", "OPTIONS"):
        response = await api.http.request(method, "/socket.io/?EIO=4&transport=polling")
        assert (response.status_code, response.json()["code"]) == (400, "VALIDATION_ERROR")
    front = {"Origin": "http://front.example"}
    response = await api.http.get("/socket.io/?EIO=4&transport=polling", headers=front)
    assert response.headers["access-control-allow-origin"] == "http://front.example"
    for query in ("", "EIO=3&transport=websocket", "EIO=4&transport=polling", "EIO=4&transport=websocket&sid=x"):
        with pytest.raises(InvalidStatus) as refused:
            await connect(socketio_url(api, query))
        assert refused.value.response.status_code == 400
    with pytest.raises(InvalidStatus) as refused:
        await connect(socketio_url(api), origin="http://evil.example")  # type: ignore[arg-type]
    assert refused.value.response.status_code == 403
    async with engine(api, origin="http://front.example"):
        pass


PACKETS: list[str | bytes] = [
    "",
    "4",
    "4{}",
    "5",
    "6",
    "2probe",
    "0{}",
    "99999",
    "b4AAAA",
    "42",
    "42{}",
    "42/admin,[]",
    "43[1]",
    '44{"message":"x"}',
    '451-["join-room",{"_placeholder":true,"num":0}]',
    "461-0[]",
    "49[]",
    "40" + "[" * 20_000,
    "42" + "1" * 200 + "[]",
    "42١[]",
    b"\x04bytes",
    b"",
]
EVENTS = [
    "[]",
    "[5]",
    "[null]",
    '["connect",{"asgi.scope":{}},{"token":"x"}]',
    '["disconnect","x"]',
    '["*","join-room",{"room":"uptime"}]',
    '["join-room",' + "[" * 20_000,
    '["join-room",{"room":NaN}]',
    '["join-room",',
    '["join-room"]',
    '["join-room",{"room":"uptime"}] and more',
    '["join-room",{"room":1e999}]',
    '["join-room",{"room":"\\ud800"}]',
    '["constructor",{}]',
]


async def test_packets_that_clients_never_send_close_the_connection(api: Api) -> None:
    for packet in PACKETS:
        async with socket_client(api, "socketio") as client:
            await client.socket.send(packet)
            assert await client.close_code() == 1003, packet[:50]


async def test_invalid_events_get_an_error(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    for event in EVENTS:
        async with socket_client(api, "socketio") as client:
            await client.socket.send("427" + event)
            reply = await client.receive_reply(7)
            assert (reply["ok"], reply["code"]) == (False, "VALIDATION_ERROR"), event[:50]
            assert (await client.send("join-room", room="uptime"))["ok"]
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_other_namespaces_do_not_exist(api: Api) -> None:
    async with engine(api) as socket:
        for text in ("40/admin,", '40/admin,{"token":"x"}'):
            await socket.send(text)
            assert await packet_from(socket) == '44/admin,"Unable to connect"'
    async with socket_client(api, "socketio") as client:
        await client.socket.send("40")
        assert (await client.send("join-room", room="uptime"))["ok"]


async def test_a_client_that_never_sends_connect_is_disconnected(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socketio, "CONNECT_WITHIN_S", 1.5)
    async with engine(api) as socket:
        assert await close_code(socket) == 1008
    async with engine(api) as socket:
        await socket.send("40/admin,")
        assert await close_code(socket) == 1008
    monkeypatch.setattr(socketio, "CONNECT_WITHIN_S", 3.0)
    async with socket_client(api, "socketio") as client, engine(api) as later:
        assert await close_code(later) == 1008  # the deadline of `client` has passed too, but it has connected
        assert (await client.send("join-room", room="uptime"))["ok"]


async def test_too_many_packets_close_the_connection(api: Api) -> None:
    for packet in ("3", "40", "40/admin,"):
        async with engine(api) as socket:
            for _ in range(60):
                await socket.send(packet)
            assert await close_code(socket) == 1008, packet


async def test_a_client_that_disconnects_is_removed(api: Api) -> None:
    async def no_client() -> bool:
        return 'sla_monitor_sockets{transport="socketio"} 0.0' in (await api.http.get("/metrics")).text

    for packet in ("1", "41"):
        async with socket_client(api, "socketio") as client:
            assert not await no_client()
            await client.socket.send(packet)
            await until(no_client)


async def test_a_client_that_sends_no_pong_is_disconnected(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socketio, "PING_INTERVAL_S", 0.2)
    monkeypatch.setattr(socketio, "PING_TIMEOUT_S", 3.0)
    async with running_api(database) as api, socket_client(api, "socketio") as client:
        for _ in range(3):
            assert await packet_from(client.socket) == "2"
            await client.socket.send("3")
        started = anyio.current_time()
        await close_code(client.socket)
        assert anyio.current_time() - started < 20  # with the default settings it would be 45 s


async def test_pings_end_with_the_server(database: str) -> None:
    async with running_api(database) as api, socket_client(api, "socketio"):
        pass
    names = [repr(task.get_coro()) for task in asyncio.all_tasks()]
    assert not [name for name in names if "_send_ping" in name or "writer" in name]


async def test_a_client_that_stops_reading_is_disconnected(database: str, db: Db) -> None:
    limits: dict[str, Any] = {"socket_queue": 5, "socket_send_timeout": timedelta(seconds=1)}
    async with running_api(database, **limits) as api, socket_client(api, "socketio") as client:
        client.socket.transport.pause_reading()
        for _ in range(80):
            await db.execute("SELECT append_event('big', NULL, jsonb_build_object('pad', repeat('x', 100000)))")

        async def is_disconnected() -> bool:
            text = (await api.http.get("/metrics")).text
            return 'reason="slow"} 1.0' in text and 'sockets{transport="socketio"} 0.0' in text

        await until(is_disconnected)
        client.socket.transport.abort()


async def test_tokens_of_clients_are_not_logged(api: Api, db: Db, caplog: pytest.LogCaptureFixture) -> None:
    ann = await create_user(db, "viewer")
    with caplog.at_level(logging.DEBUG):
        async with socket_client(api, "socketio", ann.token) as client:
            await client.send("join-room", room="uptime")
    ours = [record for record in caplog.records if not record.name.startswith("websockets.client")]
    assert not [record for record in ours if ann.token in record.getMessage()]
