"""Thousands of WebSocket clients in one process. They count the frames that contain a marker."""

import asyncio
import re
import resource
import socket
import time
from typing import Any, cast

import uvloop

from bench.programs.messages import arguments, requests, respond

MARKER = b'"status-update"'
PING = re.compile(rb"\x89([\x00-\x7d])")
"""The first two bytes of a ping without mask. The text frames are ASCII and cannot contain them."""
CONNECT_AT_ONCE = 100
TIMEOUT_S = 60


class _Client(asyncio.Protocol):
    """One client. It keeps the last bytes that it has read, so that a marker that is split over two reads is
    counted."""

    def __init__(self, clients: "Clients") -> None:
        self._clients = clients
        self._tail = b""
        self.open = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        text = self._tail + data
        self._tail = text[1 - len(self._clients.marker) :]
        if not self.open.done():
            if b"\r\n\r\n" in text:
                self.open.set_result(b" 101 " in text)
            return
        for _ in range(text.count(self._clients.marker)):
            self._clients.received()
        for ping in PING.finditer(data):
            self._pong(data[ping.end() : ping.end() + ping[1][0]])

    def _pong(self, payload: bytes) -> None:
        """Sends a pong. The mask is zero, which leaves the payload unchanged. Without a pong the server disconnects
        after 40 s."""
        self._transport.write(bytes([0x8A, 0x80 | len(payload), 0, 0, 0, 0]) + payload)

    def connection_lost(self, exc: Exception | None) -> None:
        self._clients.lost += 1
        if not self.open.done():
            self.open.set_result(False)


class Clients:
    """All clients, and the frames that they have received. Times are those of time.monotonic()."""

    def __init__(self) -> None:
        self.lost = 0
        self.marker = MARKER
        self.times: list[float] = []
        """The time at which each frame arrived, if there is only one client."""
        self._open: list[_Client] = []
        self._transports: list[asyncio.BaseTransport] = []
        self._stalled: list[socket.socket] = []
        self._received = 0
        self._expected = 0
        self._all_received = asyncio.Event()
        self._last_at = 0.0

    def __len__(self) -> int:
        return len(self._open)

    def received(self) -> None:
        self._received += 1
        if len(self._open) <= 1:
            self.times.append(time.monotonic())
        if self._received == self._expected:
            self._last_at = time.monotonic()
            self._all_received.set()

    def expect(self, frames: int) -> None:
        """Starts to count. Each client is to receive `frames` frames."""
        self._received = 0
        self._expected = frames * len(self._open)
        self._all_received = asyncio.Event()

    async def arrived(self) -> float:
        """Waits for the expected frames. Returns the time at which the last one arrived."""
        async with asyncio.timeout(TIMEOUT_S):
            await self._all_received.wait()
        return self._last_at

    async def connect(self, port: int, path: str, count: int, marker: str | None = None) -> None:
        """Adds clients. `marker` replaces the marker of all clients."""
        self.marker = marker.encode() if marker else MARKER
        for begun in range(0, count, CONNECT_AT_ONCE):
            some = min(CONNECT_AT_ONCE, count - begun)
            await asyncio.gather(*(self._connect(port, path) for _ in range(some)))

    async def _connect(self, port: int, path: str) -> None:
        client = _Client(self)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_connection(lambda: client, "127.0.0.1", port)
        transport.write(_handshake(port, path))
        if not await client.open:
            raise ConnectionError(f"{path}: the WebSocket was refused")
        self._open.append(client)
        self._transports.append(transport)

    def stall(self, port: int, path: str) -> None:
        """Adds a client that never reads."""
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", port))
        sock.sendall(_handshake(port, path))
        self._stalled.append(sock)


def _handshake(port: int, path: str) -> bytes:
    return (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()


async def main() -> None:
    """A request is an `action` with its arguments. The first response has the highest number of open files."""
    _, hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard_limit, hard_limit))
    clients = Clients()
    respond({"max_files": hard_limit})
    async for request in requests():
        respond(await _perform(clients, **request))


async def _perform(clients: Clients, action: str, **values: Any) -> dict[str, Any]:
    if action == "connect":
        await clients.connect(**values)
    elif action == "stall":
        clients.stall(**values)
    elif action == "expect":
        clients.expect(**values)
    elif action == "arrived":
        return {"at": await clients.arrived(), "lost": clients.lost}
    elif action == "take_times":
        times, clients.times = clients.times, []
        return {"times": times, "lost": clients.lost}
    else:
        raise ValueError(f"there is no action {action}")
    return {"clients": len(clients), "lost": clients.lost}


if __name__ == "__main__":
    arguments()
    uvloop.run(main())
