"""Protocol errors of one client have no effect on others and are not logged as errors of the server."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import anyio
import anyio.to_thread
import httpx
import pytest
from websockets.frames import Frame, Opcode

from sla_monitor.settings import Settings
from tests.api.conftest import Api
from tests.api.open_connections import (
    HEALTH,
    INCIDENTS,
    LARGE,
    OpenConnections,
    locked,
    metric,
    reset,
    status,
    until_counted,
    until_requests_arrived,
)
from tests.ports import free_port

pytestmark = pytest.mark.one_engine

HANDSHAKE = (
    b"GET /ws%s HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


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
