"""Thousands of WebSocket clients in one process: they shake hands, then count the frames that hold a marker."""

import asyncio
import re
import resource
import socket
import time
from typing import Any, cast

import uvloop

from bench.peers.talk import answer, arguments, questions

MARKER = b'"status-update"'
PING = re.compile(rb"\x89([\x00-\x7d])")
"""The head of the server's pings: no byte of a text frame in ASCII looks like it."""
AT_ONCE = 100
PATIENCE_S = 60


class _Client(asyncio.Protocol):
    """Keeps the last bytes of what it has read, so that a marker that comes in two pieces is counted."""

    def __init__(self, room: "Room") -> None:
        self._room = room
        self._tail = b""
        self.open = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        text = self._tail + data
        self._tail = text[1 - len(self._room.marker) :]
        if not self.open.done():
            if b"\r\n\r\n" in text:
                self.open.set_result(b" 101 " in text)
            return
        for _ in range(text.count(self._room.marker)):
            self._room.heard()
        for ping in PING.finditer(data):
            self._pong(data[ping.end() : ping.end() + ping[1][0]])

    def _pong(self, payload: bytes) -> None:
        """Masked with zeros, as it is. Without it the server ends the connection after 40 s."""
        self._transport.write(bytes([0x8A, 0x80 | len(payload), 0, 0, 0, 0]) + payload)

    def connection_lost(self, exc: Exception | None) -> None:
        self._room.lost += 1
        if not self.open.done():
            self.open.set_result(False)


class Room:
    """Everyone who reads. `at` is when the frames that were expected had reached the last of them, `times` when each
    frame came, if one alone is asked about."""

    def __init__(self) -> None:
        self.clients: list[_Client] = []
        self.transports: list[asyncio.BaseTransport] = []
        self.stalled: list[socket.socket] = []
        self.lost = 0
        self.marker = MARKER
        self.times: list[float] = []
        self._heard = 0
        self._awaited = 0
        self._all = asyncio.Event()
        self.at = 0.0

    def heard(self) -> None:
        self._heard += 1
        if len(self.clients) <= 1:
            self.times.append(time.monotonic())
        if self._heard == self._awaited:
            self.at = time.monotonic()
            self._all.set()

    def expect(self, frames: int) -> None:
        """The next frame, or several, to every client."""
        self._heard = 0
        self._awaited = frames * len(self.clients)
        self._all = asyncio.Event()

    async def arrived(self) -> float:
        async with asyncio.timeout(PATIENCE_S):
            await self._all.wait()
        return self.at

    async def connect(self, port: int, path: str, count: int, marker: str | None = None) -> None:
        """`marker` is what their frames are known by, once for all clients."""
        self.marker = marker.encode() if marker else MARKER
        begun = 0
        while begun < count:
            some = min(AT_ONCE, count - begun)
            await asyncio.gather(*(self._connect(port, path) for _ in range(some)))
            begun += some

    async def _connect(self, port: int, path: str) -> None:
        client = _Client(self)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_connection(lambda: client, "127.0.0.1", port)
        transport.write(_handshake(port, path))
        if not await client.open:
            raise ConnectionError(f"{path}: the WebSocket was refused")
        self.clients.append(client)
        self.transports.append(transport)

    def stall(self, port: int, path: str) -> None:
        """One more client, which never reads."""
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", port))
        sock.sendall(_handshake(port, path))
        self.stalled.append(sock)


def _handshake(port: int, path: str) -> bytes:
    return (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()


async def main() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    room = Room()
    answer({"most": hard})
    async for question in questions():
        answer(await _do(room, **question))


async def _do(room: Room, what: str, **given: Any) -> dict[str, Any]:
    if what == "connect":
        await room.connect(**given)
    elif what == "stall":
        room.stall(**given)
    elif what == "expect":
        room.expect(**given)
    elif what == "arrived":
        return {"at": await room.arrived(), "lost": room.lost}
    elif what == "times":
        times, room.times = room.times, []
        return {"times": times, "lost": room.lost}
    return {"clients": len(room.clients), "lost": room.lost}


if __name__ == "__main__":
    arguments()
    uvloop.run(main())
