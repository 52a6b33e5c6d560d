"""The process of the API: its port, signals, and connections with incomplete or endless requests."""

import contextlib
import os
import signal
import subprocess
import sys
from time import monotonic

import anyio
import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from api.app import serve
from sla_monitor.serving import connections
from sla_monitor.serving.ports import PortError
from sla_monitor.settings import Settings
from tests.api.conftest import Api, running_api, until
from tests.api.raw import receive_all
from tests.ports import free_port

pytestmark = pytest.mark.one_engine


async def test_a_port_in_use_is_an_error_of_one_line(api: Api) -> None:
    with pytest.raises(PortError) as refused:
        await serve(api.settings, "postgresql://nowhere.invalid/x")
    text = str(refused.value)
    assert f"PORT={api.settings.api_port}" in text
    assert "\n" not in text


async def test_the_connection_of_an_incomplete_request_is_closed(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "ARRIVAL_DEADLINE_S", 1.0)
    for incomplete in (
        b"",
        b"GET / HTTP/1.1\r\nX: ",
        b"POST /api/services HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{",
    ):
        async with await anyio.connect_tcp("127.0.0.1", api.settings.api_port) as stream:
            await stream.send(incomplete) if incomplete else None
            with anyio.fail_after(120), pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                while True:
                    await stream.receive()
    async with await anyio.connect_tcp("127.0.0.1", api.settings.api_port) as stream:
        await stream.send(b"\x16\x03\x01 not http\r\n\r\n")
        assert b'"code":"VALIDATION_ERROR"' in await stream.receive()


async def test_empty_lines_do_not_keep_a_connection_open(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "ARRIVAL_DEADLINE_S", 1.0)
    request = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
    async with await anyio.connect_tcp("127.0.0.1", api.settings.api_port) as stream:
        for _ in range(3):  # a connection can be reused
            await stream.send(request)
            assert b"200 OK" in await stream.receive()
        with anyio.fail_after(120):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_send_empty_lines, stream)
                assert await receive_all(stream) == b""
                tasks.cancel_scope.cancel()


async def _send_empty_lines(stream: anyio.abc.SocketStream) -> None:
    with contextlib.suppress(anyio.BrokenResourceError):
        while True:
            await stream.send(b"\r\n")
            await anyio.sleep(0.05)


@pytest.mark.parametrize(
    "endless",
    [
        (b"GET /health HTTP/1.1\r\nHost: x\r\nA: ", b"a" * 16384),
        (b"GET /health HTTP/1.1\r\nHost: x\r\n", b"A: b\r\n" * 2000),
        (
            b"POST /health HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
            b"A: b\r\n" * 2000,
        ),
    ],
)
async def test_the_connection_of_an_endless_request_is_closed(api: Api, endless: tuple[bytes, bytes]) -> None:
    begin, more = endless
    async with await anyio.connect_tcp("127.0.0.1", api.settings.api_port) as stream:
        with anyio.fail_after(120), pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
            await stream.send(begin)
            while True:
                await stream.send(more)
    assert (await api.http.get("/health")).status_code == 200


async def test_pipelined_requests_are_accepted(api: Api) -> None:
    async with await anyio.connect_tcp("127.0.0.1", api.settings.api_port) as stream:
        one = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
        responses = b""
        with anyio.fail_after(120):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(stream.send, one * 2500)
                while responses.count(b'{"status":"ok"}') < 2500:
                    responses += await stream.receive()
    assert b"400 Bad" not in responses


async def test_without_a_database_the_api_is_alive_and_not_ready() -> None:
    async with running_api(f"postgresql://127.0.0.1:{free_port()}/none", ready=False) as api:

        async def is_alive() -> bool:
            try:
                return (await api.http.get("/health")).status_code == 200
            except httpx.TransportError:
                return False

        await until(is_alive)
        assert (await api.http.get("/ready")).status_code == 503
        assert (await api.http.get("/api/system-status")).status_code == 503


def run_api(database_url: str, port: int) -> subprocess.Popen[bytes]:
    """Starts an API in a process of its own."""
    code = (
        "import asyncio, uvloop; from api.app import serve; from sla_monitor.settings import load\n"
        "s = load(); asyncio.Runner(loop_factory=uvloop.new_event_loop).run(serve(s, s.database_url))"
    )
    environment = os.environ | {"DATABASE_URL": database_url, "PORT": str(port)}
    return subprocess.Popen([sys.executable, "-c", code], env=environment)


async def test_a_signal_stops_the_api_within_ten_seconds(database: str) -> None:
    port = free_port()
    process = run_api(database, port)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=120) as http:
            api = Api(Settings(), http)
            await api.ready()
            async with connect(f"ws://127.0.0.1:{port}/ws") as socket:
                await socket.recv()
                started = monotonic()
                process.send_signal(signal.SIGTERM)
                with pytest.raises(ConnectionClosed) as closed:
                    await socket.recv()
                assert closed.value.rcvd is not None
                assert closed.value.rcvd.code == 1012
        assert await anyio.to_thread.run_sync(process.wait) == 0
        assert monotonic() - started < 10
    finally:
        process.kill()


async def test_a_second_signal_stops_the_api_at_once(database: str) -> None:
    port = free_port()
    process = run_api(database, port)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=120) as http:
            await Api(Settings(), http).ready()
            async with await anyio.connect_tcp("127.0.0.1", port) as slow:
                await slow.send(b"POST /api/services HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
                await http.get("/health")
                process.send_signal(signal.SIGTERM)
                with anyio.fail_after(120):
                    while process.poll() is None:
                        process.send_signal(signal.SIGTERM)
                        await anyio.sleep(0.05)
        assert process.returncode == -signal.SIGTERM
    finally:
        process.kill()


@pytest.mark.parametrize(
    "path", [b"/health", b"/api/system-status", b"/", b"/feed.atom", b"/api/services", b"/nowhere"]
)
async def test_a_request_with_several_hosts_is_refused(api: Api, path: bytes) -> None:
    """A proxy in front of the API may have checked another Host header than the API would use."""
    request = b"GET %s HTTP/1.1\r\nHost: localhost\r\n%sConnection: close\r\n\r\n"
    for more in (b"Host: localhost\r\n", b"host: evil.example\r\n", b"HOST: localhost:1\r\nHost: x\r\n"):
        for _ in range(2):  # cached or not
            async with await anyio.connect_tcp("127.0.0.1", api.settings.api_port) as stream:
                await stream.send(request % (path, b""))
                assert (await receive_all(stream)).split(b" ")[1] in (b"200", b"404")
            async with await anyio.connect_tcp("127.0.0.1", api.settings.api_port) as stream:
                await stream.send(request % (path, more))
                response = await receive_all(stream)
                assert response.startswith(b"HTTP/1.1 400 ") and b"Send one Host header" in response


async def test_a_handshake_with_several_hosts_is_refused(api: Api) -> None:
    handshake = (
        b"GET /ws HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    async with await anyio.connect_tcp("127.0.0.1", api.settings.api_port) as stream:
        await stream.send(handshake)
        assert (await receive_all(stream)).startswith(b"HTTP/1.1 400 ")


async def test_readiness_is_cached(api: Api) -> None:
    async def connections_requested() -> float:
        """Returns how often a connection of the pool was requested."""
        text = (await api.http.get("/metrics")).text
        [line] = [line for line in text.splitlines() if line.startswith(REQUESTS)]
        return float(line.rpartition(" ")[2])

    before = await connections_requested()
    for _ in range(10):
        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(_is_ready, api)
    assert await connections_requested() - before < 100, "200 requests must not execute one query each"


REQUESTS = 'sla_monitor_database_pool{figure="requests_num"}'


async def _is_ready(api: Api) -> None:
    assert (await api.http.get("/ready")).status_code == 200
