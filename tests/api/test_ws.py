"""The WebSocket `/ws`: rooms, handshakes, invalid messages, and the limits of sockets."""

import ipaddress
from datetime import timedelta
from typing import Any

import anyio
import msgspec
import psycopg
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from sla_monitor.settings.values import Limit
from tests.api.conftest import Api, add_service, running_api, until
from tests.api.feed_clients import close_code, frame, send, set_state
from tests.api.relay import relay_before

pytestmark = pytest.mark.one_engine

Db = psycopg.AsyncConnection[Any]


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
