"""Socket.IO over WebSocket: the packets that socket.io-client 4 sends, and packets of an attacker."""

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
from tests.api.transports import Speaker, engine, socketio_url, speaker

pytestmark = pytest.mark.one_engine

Db = psycopg.AsyncConnection[Any]


async def received(socket: ClientConnection) -> str:
    with anyio.fail_after(120):
        text = await socket.recv()
    assert isinstance(text, str)
    return text


async def close_code(socket: ClientConnection) -> int | None:
    with anyio.fail_after(120):
        try:
            while True:
                await socket.recv()
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd is not None else None


async def test_the_handshake_follows_the_protocol(api: Api) -> None:
    async with connect(socketio_url(api)) as socket:
        opened = msgspec.json.decode((await received(socket)).removeprefix("0"))
        assert set(opened) == {"sid", "upgrades", "pingTimeout", "pingInterval", "maxPayload"}
        assert (opened["upgrades"], opened["maxPayload"]) == ([], api.settings.socket_max_message)
        await socket.send("40")
        assert set(msgspec.json.decode((await received(socket)).removeprefix("40"))) == {"sid"}


async def test_events_and_acknowledgements(api: Api, db: Db) -> None:
    await add_service(db, "shop")
    async with speaker(api, "socketio") as client:
        assert await client.say("join-room", room="system-status") == {"ok": True, "room": "system-status"}
        await set_state(db, "shop", "outage")
        event, data = await client.hear()
        assert (event, data["serviceId"], data["status"]) == ("status-update", "shop", "outage")
        assert await client.say("leave-room", room="system-status") == {"ok": True, "room": "system-status"}
        await set_state(db, "shop", "degraded")
        assert await client.say("no-such-event") == {
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
        await received(socket)
        await socket.send('42["join-room",{"room":"staff"}]')
        event, data = msgspec.json.decode((await received(socket)).removeprefix("42"))
        assert (event, data["code"]) == ("error", "VALIDATION_ERROR")


async def test_the_token_is_read_from_the_auth_payload_only(api: Api, db: Db) -> None:
    ann = await create_user(db, "viewer")
    for auth in ("", "{}", '{"token":null}', '{"token":""}', '{"other":1}'):
        async with engine(api) as socket:
            await socket.send("40" + auth)
            assert (await received(socket)).startswith('40{"sid"')
    for token in (ann.token, "Bearer " + ann.token):
        async with speaker(api, "socketio", token):
            pass
    async with connect(
        socketio_url(api, f"EIO=4&transport=websocket&token={ann.token}&auth[token]={ann.token}")
    ) as url:
        await received(url)
        await url.send("40")
        await received(url)
        answer = await Speaker(url, "socketio").say("join-room", room="incident-INC-2026-0001")
        assert answer["code"] == "UNAUTHORIZED"


async def test_a_bad_token_refuses_the_connection(api: Api, db: Db) -> None:
    ann = await create_user(db, "viewer")
    refresh = await signer().issue("refresh", ann.user_id, ann.session_id, timedelta(hours=1))
    for token in ("x", "slam_x", ann.token[:-4] + "AAAA", refresh):
        async with engine(api) as socket:
            await socket.send("40" + msgspec.json.encode({"token": token}).decode())
            refusal = msgspec.json.decode((await received(socket)).removeprefix("44"))
            assert refusal["message"] == "unauthorized"
            assert refusal["data"]["code"] == "UNAUTHORIZED"
            await socket.send('421["join-room",{"room":"uptime"}]')
            await socket.send("40")
            assert (await received(socket)).startswith('40{"sid"')  # nothing was answered before that
    for auth in ('{"token":5}', '{"token":["x"]}', "{", '{"token":"\\ud800"}'):
        async with engine(api) as socket:
            await socket.send("40" + auth)
            assert '"UNAUTHORIZED"' in await received(socket)


async def test_only_websocket_is_offered(api: Api) -> None:
    for method in ("GET", "POST", "OPTIONS"):
        answer = await api.http.request(method, "/socket.io/?EIO=4&transport=polling")
        assert (answer.status_code, answer.json()["code"]) == (400, "VALIDATION_ERROR")
    front = {"Origin": "http://front.example"}
    answer = await api.http.get("/socket.io/?EIO=4&transport=polling", headers=front)
    assert answer.headers["access-control-allow-origin"] == "http://front.example"
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
        async with speaker(api, "socketio") as client:
            await client.socket.send(packet)
            assert await client.closed() == 1003, packet[:50]


async def test_invalid_events_get_an_error(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    for event in EVENTS:
        async with speaker(api, "socketio") as client:
            await client.socket.send("427" + event)
            answer = await client.answer(7)
            assert (answer["ok"], answer["code"]) == (False, "VALIDATION_ERROR"), event[:50]
            assert (await client.say("join-room", room="uptime"))["ok"]
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_other_namespaces_do_not_exist(api: Api) -> None:
    async with engine(api) as socket:
        for text in ("40/admin,", '40/admin,{"token":"x"}'):
            await socket.send(text)
            assert await received(socket) == '44/admin,"Unable to connect"'
    async with speaker(api, "socketio") as client:
        await client.socket.send("40")
        assert (await client.say("join-room", room="uptime"))["ok"]


async def test_a_client_that_never_sends_connect_is_disconnected(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socketio, "CONNECT_WITHIN_S", 0.5)
    async with engine(api) as socket:
        assert await close_code(socket) == 1008
    async with engine(api) as socket:
        await socket.send("40/admin,")
        assert await close_code(socket) == 1008
    monkeypatch.setattr(socketio, "CONNECT_WITHIN_S", 3.0)
    async with speaker(api, "socketio") as client, engine(api) as later:
        assert await close_code(later) == 1008  # the deadline of `client` is over too
        assert (await client.say("join-room", room="uptime"))["ok"]


async def test_too_many_packets_close_the_connection(api: Api) -> None:
    for packet in ("3", "40", "40/admin,"):
        async with engine(api) as socket:
            for _ in range(60):
                await socket.send(packet)
            assert await close_code(socket) == 1008, packet


async def test_a_client_that_disconnects_is_removed(api: Api) -> None:
    async def nobody() -> bool:
        return 'sla_monitor_sockets{transport="socketio"} 0.0' in (await api.http.get("/metrics")).text

    for goodbye in ("1", "41"):
        async with speaker(api, "socketio") as client:
            assert not await nobody()
            await client.socket.send(goodbye)
            await until(nobody)


async def test_a_client_that_answers_no_ping_is_disconnected(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socketio, "PING_INTERVAL_S", 0.2)
    monkeypatch.setattr(socketio, "PING_TIMEOUT_S", 3.0)
    async with running_api(database) as api, speaker(api, "socketio") as client:
        for _ in range(3):
            assert await received(client.socket) == "2"
            await client.socket.send("3")
        started = anyio.current_time()
        await close_code(client.socket)
        assert anyio.current_time() - started < 20  # not the 45 s of real life


async def test_pings_end_with_the_server(database: str) -> None:
    async with running_api(database) as api, speaker(api, "socketio"):
        pass
    names = [repr(task.get_coro()) for task in asyncio.all_tasks()]
    assert not [name for name in names if "_send_ping" in name or "writer" in name]


async def test_a_client_that_stops_reading_is_disconnected(database: str, db: Db) -> None:
    limits: dict[str, Any] = {"socket_queue": 5, "socket_send_timeout": timedelta(seconds=1)}
    async with running_api(database, **limits) as api, speaker(api, "socketio") as client:
        client.socket.transport.pause_reading()
        for _ in range(80):
            await db.execute("SELECT append_event('big', NULL, jsonb_build_object('pad', repeat('x', 100000)))")

        async def dismissed() -> bool:
            text = (await api.http.get("/metrics")).text
            return 'reason="slow"} 1.0' in text and 'sockets{transport="socketio"} 0.0' in text

        await until(dismissed)
        client.socket.transport.abort()


async def test_what_clients_send_is_not_logged(api: Api, db: Db, caplog: pytest.LogCaptureFixture) -> None:
    ann = await create_user(db, "viewer")
    with caplog.at_level(logging.DEBUG):
        async with speaker(api, "socketio", ann.token) as client:
            await client.say("join-room", room="uptime")
    ours = [record for record in caplog.records if not record.name.startswith("websockets.client")]
    assert not [record for record in ours if ann.token in record.getMessage()]
