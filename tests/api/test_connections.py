"""HTTP connections: open connections and protocol errors of one client have no effect on others. Protocol errors are
not logged as errors of the server."""

import ipaddress
import logging
import os
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import LiteralString

import anyio
import anyio.to_thread
import httpx
import psycopg
import pytest
from websockets.frames import Frame, Opcode

from api.edge import connections as client_limits
from sla_monitor.serving import connections
from sla_monitor.settings import Settings
from tests.api import raw
from tests.api.conftest import Api, free_port, running_api, until

pytestmark = pytest.mark.one_engine

LARGE = "/docs/swagger-ui-bundle.js"
HEALTH = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
INCIDENTS = b"GET /api/incidents HTTP/1.1\r\nHost: x\r\n\r\n"
HANDSHAKE = (
    b"GET /ws%s HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


async def metric(api: Api, series: str) -> float:
    """Returns the value of a series of /metrics, 0 if it is missing."""
    text = (await api.http.get("/metrics")).text
    return float(next((line.rpartition(" ")[2] for line in text.splitlines() if line.startswith(series + " ")), "0"))


async def until_counted(api: Api, fault: str, least: int = 1) -> None:
    """Returns when at least `least` faults of this kind have been counted."""

    async def enough() -> bool:
        return await metric(api, f'sla_monitor_client_faults_total{{fault="{fault}"}}') >= least

    await until(enough)


class OpenConnections:
    """Opens connections from `address` whose client does not read. They are closed at the end of the block."""

    def __init__(self, port: int, address: str = "127.0.0.1") -> None:
        self._port = port
        self._address = address
        self._stack = ExitStack()

    def __enter__(self) -> "OpenConnections":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def open(self, data: bytes) -> socket.socket:
        """Opens a connection and sends `data`."""
        one = self._stack.enter_context(socket.socket())
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.settimeout(raw.PATIENCE_S)
        one.bind((self._address, 0))
        one.connect(("127.0.0.1", self._port))
        one.sendall(data)
        return one


def reset(one: socket.socket) -> None:
    """Closes the connection with a TCP reset."""
    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    one.close()


async def next_response(one: socket.socket) -> raw.RawResponse:
    """Returns the next response on this connection, with its body."""

    def read() -> raw.RawResponse:
        received = b""
        while b"\r\n\r\n" not in received:
            received += _receive(one)
        response = raw.parse(received)
        while len(response.body) < int(response.headers.get("content-length", "0")):
            response = response._replace(body=response.body + _receive(one))
        return response

    return await anyio.to_thread.run_sync(read)


def _receive(one: socket.socket) -> bytes:
    received = one.recv(65536)
    assert received, "the connection was closed"
    return received


async def status(one: socket.socket) -> int:
    """Returns the status of the next response on this connection."""
    return (await next_response(one)).status


@asynccontextmanager
async def locked(database: str, table: LiteralString = "incidents") -> AsyncIterator[None]:
    """Locks a table: requests that read it wait until the end of the block."""
    async with await psycopg.AsyncConnection.connect(database) as connection:
        await connection.execute("LOCK TABLE " + table + " IN ACCESS EXCLUSIVE MODE")
        yield
        await connection.rollback()


async def until_requests_arrived(api: Api) -> None:
    """Returns when the API has read all requests that were sent before this call. It reads its connections in turn."""
    for _ in range(3):
        assert (await api.http.get("/health")).status_code == 200


async def test_a_client_that_does_not_read_is_disconnected(any_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "STALL_DEADLINE_S", 0.5)
    request = f"GET {LARGE} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    async with running_api(any_database) as api:
        with OpenConnections(api.settings.api_port) as held:
            for requests in (request * 8, request * 8 + HEALTH[:20]):
                held.open(requests)
            await until_counted(api, "not_read", 2)
        assert await metric(api, 'sla_monitor_client_faults_total{fault="left"}') == 0


async def test_a_client_that_reads_slowly_is_disconnected(any_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "DRAIN_DEADLINE_S", 1.0)
    request = f"GET {LARGE} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    async with running_api(any_database) as api:
        with OpenConnections(api.settings.api_port) as held:
            one = held.open(request * 8)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_read_slowly, one)
                await until_counted(api, "not_read")
                tasks.cancel_scope.cancel()


async def _read_slowly(one: socket.socket) -> None:
    with suppress(OSError):
        while await anyio.to_thread.run_sync(one.recv, 4096):  # noqa: ASYNC110  # the pause is intended
            await anyio.sleep(0.02)


async def test_incomplete_requests_do_not_block_others(any_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_limits, "HTTP_CONNECTIONS", 25)
    monkeypatch.setattr(client_limits, "CONNECTIONS_PER_CLIENT", 15)
    async with running_api(any_database, socket_limit=5) as api:
        port = api.settings.api_port
        with OpenConnections(port) as held, OpenConnections(port, "127.0.0.2") as others:
            for count in range(1, 41):
                held.open(HEALTH[:20])
                others.open(HEALTH[:20] if count % 2 else HEALTH)
                assert (await api.http.get("/health")).status_code == 200
            await until_counted(api, "crowded_out", 2 * 40 - 30)


async def test_the_connections_of_an_address_are_limited(any_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_limits, "CONNECTIONS_PER_CLIENT", 4)
    async with running_api(any_database, sockets_per_address=1) as api:
        with OpenConnections(api.settings.api_port, "127.0.0.2") as held:
            async with locked(any_database):
                working = [held.open(INCIDENTS) for _ in range(5)]
                await until_requests_arrived(api)
                refused = await next_response(held.open(b""))
                assert refused.status == 429
                assert b'"code":"RATE_LIMITED"' in refused.body
                assert int(refused.headers["retry-after"]) > 0
                assert (await api.http.get("/health")).status_code == 200
                await until_counted(api, "too_many_connections")
            assert [await status(one) for one in working] == [200] * 5
            another = held.open(HEALTH)  # replaces a connection that waits for its next request
            assert await status(another) == 200


async def test_a_trusted_proxy_is_not_one_client(any_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_limits, "CONNECTIONS_PER_CLIENT", 1)
    proxies = (ipaddress.ip_network("127.0.0.0/8"),)

    def forwarded(request: bytes, client: int) -> bytes:
        return request.replace(b"Host: x\r\n", b"Host: x\r\nX-Forwarded-For: 198.51.100.%d\r\n" % client)

    async with running_api(any_database, trusted_proxies=proxies, socket_limit=1) as api:
        with OpenConnections(api.settings.api_port) as held:
            async with locked(any_database):
                working = [held.open(forwarded(INCIDENTS, client)) for client in (1, 2, 3, 4, 5, 1)]
                await until_requests_arrived(api)
                assert await status(held.open(forwarded(HEALTH, 6))) == 200
                assert await status(held.open(forwarded(HEALTH, 1))) == 429
                await until_counted(api, "too_many_connections")
            assert [await status(one) for one in working] == [200] * 6
            for client in (1, 1, 1):  # these connections now count for the client of their next request
                one = working[client]
                one.sendall(forwarded(HEALTH, client))
                assert await status(one) == 200


async def test_a_client_that_disconnects_during_its_body_is_logged_at_level_debug(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "sla_monitor.serving.connections")
    incomplete = (
        b"POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 90\r\n\r\n{"
    )
    with OpenConnections(api.settings.api_port) as held:
        one = held.open(incomplete)
        await until_requests_arrived(api)
        reset(one)
        await until_counted(api, "left")
    login = '{method="POST",route="/api/auth/login",status="%s"}'

    async def has_status_499() -> bool:
        return await metric(api, "sla_monitor_requests_total" + login % 499) == 1

    await until(has_status_499)
    assert await metric(api, "sla_monitor_requests_total" + login % 500) == 0
    [line] = [record for record in caplog.records if record.name == "sla_monitor.serving.connections"]
    assert (line.levelno, line.getMessage()) == (logging.DEBUG, "client 127.0.0.1: left")
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_a_handshake_after_an_unread_response_is_refused(api: Api) -> None:
    """Otherwise the earlier responses would never be sent, and frames would be written without a limit."""
    request = f"GET {LARGE} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    with OpenConnections(api.settings.api_port) as held:
        held.open(request * 8 + HANDSHAKE % b"")
        await until_counted(api, "bad_handshake")
    with OpenConnections(api.settings.api_port) as held:
        one = held.open(HEALTH)
        assert await status(one) == 200
        one.sendall(HANDSHAKE % b"")
        assert await status(one) == 101


def serve(database_url: str, port: int, log: Path) -> subprocess.Popen[bytes]:
    """Starts an API in a process of its own, with uvloop as in production."""
    code = (
        "import asyncio, logging, sys, uvloop; from api.app import serve; from sla_monitor.settings import load\n"
        "logging.basicConfig(level='INFO', stream=sys.stderr)\n"
        "s = load(); asyncio.Runner(loop_factory=uvloop.new_event_loop).run(serve(s, s.database_url))"
    )
    environment = os.environ | {"DATABASE_URL": database_url, "PORT": str(port), "RATE_LIMIT_PAGES": "off"}
    with log.open("wb") as file:
        return subprocess.Popen([sys.executable, "-c", code], env=environment, stderr=file)


def masked(opcode: Opcode, data: bytes, *, fin: bool = True) -> bytes:
    """Returns a WebSocket frame, masked as frames of clients are."""
    return Frame(opcode, data, fin).serialize(mask=True)


INVALID_REQUESTS: Sequence[tuple[str, bytes]] = (
    ("not_http", b"\x16\x03\x01 not http\r\n\r\n"),
    ("not_http", b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("not_http", HANDSHAKE % b"?\xff"),
    ("bad_handshake", HANDSHAKE.replace(b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", b"") % b""),
    ("bad_handshake", HANDSHAKE.replace(b"GET", b"POST") % b""),
)
INVALID_FRAMES: Sequence[tuple[str, bytes]] = (
    ("bad_utf8", masked(Opcode.TEXT, b"\xff")),
    ("bad_utf8", masked(Opcode.TEXT, b"a", fin=False) + masked(Opcode.CONT, b"\xff")),
    ("bad_frame", masked(Opcode.CLOSE, b"\x03\xe8\xff")),
    ("bad_frame", b"\x81\x01a"),
    ("bad_frame", masked(Opcode.CONT, b"a")),
)


async def test_protocol_errors_of_clients_are_not_logged_as_errors(any_database: str, tmp_path: Path) -> None:
    port, log = free_port(), tmp_path / "api.log"
    process = serve(any_database, port, log)
    base_url = f"http://127.0.0.1:{port}"
    try:
        async with httpx.AsyncClient(base_url=base_url, trust_env=False, timeout=120, verify=False) as http:
            api = Api(Settings(), http)
            await api.ready()
            with OpenConnections(port) as held:
                expected: dict[str, int] = {}

                async def until_counted_again(fault: str) -> None:
                    expected[fault] = expected.get(fault, 0) + 1
                    await until_counted(api, fault, expected[fault])

                for fault, request in INVALID_REQUESTS:
                    held.open(request)
                    await until_counted_again(fault)
                await _send_frame_before_handshake(api, any_database, held)
                await until_counted_again("bad_frame")
                for fault, frame in INVALID_FRAMES:
                    one = held.open(HANDSHAKE % b"")
                    assert await status(one) == 101
                    one.sendall(frame)
                    await until_counted_again(fault)
                await _reset_while_pipelining(api, any_database, held)
                for path, code in ((b"x", 404), (b"?rooms=nowhere", 101)):
                    one = held.open(HANDSHAKE % path)
                    assert await status(one) == code
                    reset(one)
                declined = HEALTH.replace(b"Host: x", b"Host: x\r\nConnection: Upgrade\r\nUpgrade: h2c")
                assert await status(held.open(declined)) == 200
                for handshake in (
                    HANDSHAKE % b"",
                    HANDSHAKE.replace(b"/ws", b"/socket.io/") % b"?EIO=4&transport=websocket",
                ):
                    reset(held.open(handshake))
                    one = held.open(handshake)
                    assert await status(one) == 101
                    reset(one)
                assert await metric(api, 'sla_monitor_sockets_refused_total{reason="404"}') == 1
                assert 'status="500"' not in (await http.get("/metrics")).text
                assert (await http.get("/health")).status_code == 200
        process.send_signal(signal.SIGTERM)
        assert await anyio.to_thread.run_sync(process.wait) == 0
    finally:
        process.kill()
    text = log.read_text()
    assert "Traceback" not in text and "ERROR" not in text and "WARNING" not in text, text


async def _reset_while_pipelining(api: Api, database: str, held: OpenConnections) -> None:
    """The API writes a response to a lost connection, while another request of that connection waits."""
    async with locked(database):
        one, unnoticed = held.open(HEALTH + INCIDENTS + HEALTH), held.open(INCIDENTS + HEALTH)
        await until_requests_arrived(api)
        reset(one)
        reset(unnoticed)  # the API reads nothing while a request waits
        await until_counted(api, "left")


async def _send_frame_before_handshake(api: Api, database: str, held: OpenConnections) -> None:
    """Sends bytes that are not a frame before the response to the handshake."""
    async with locked(database, "rate_limits"):
        one = held.open(HANDSHAKE % b"")
        await until_requests_arrived(api)
        one.sendall(b"\x81\x01a")
        await until_counted(api, "bad_frame")
