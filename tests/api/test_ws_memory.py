"""The memory of an idle WebSocket."""

import gc
import socket
import tracemalloc
from collections.abc import Iterator

import anyio.to_thread
import pytest

from tests.api.conftest import Api

pytestmark = pytest.mark.one_engine

CLIENTS = 100
HANDSHAKE = (
    b"GET /ws?rooms=system-status HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nCookie: %b\r\n\r\n"
) % (b"x" * 3000)


@pytest.fixture
def traced() -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
    finally:
        tracemalloc.stop()


def _connect(port: int, count: int) -> list[socket.socket]:
    """Connects `count` clients and returns them when each has joined its room."""
    clients = []
    for _ in range(count):
        client = socket.create_connection(("127.0.0.1", port), timeout=60)
        client.sendall(HANDSHAKE)
        received = b""
        while b'"joined"' not in received:
            received += client.recv(4096)
        clients.append(client)
    return clients


@pytest.mark.usefixtures("traced")
async def test_an_idle_connection_takes_at_most_14_kib(api: Api) -> None:
    """Counts Python objects. The handshake has a cookie of 3 KB, which must not be kept. With the headers, the
    attributes of uvicorn's protocol in a dictionary, and asyncio's queue and events, a connection would take 29 KiB."""
    clients = await anyio.to_thread.run_sync(_connect, api.settings.api_port, 10)
    gc.collect()
    before, _ = tracemalloc.get_traced_memory()
    clients += await anyio.to_thread.run_sync(_connect, api.settings.api_port, CLIENTS)
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    for client in clients:
        client.close()
    assert (after - before) / CLIENTS < 14 * 1024
