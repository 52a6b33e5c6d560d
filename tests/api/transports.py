"""A client of each transport with the same methods, so that a test runs on both."""

import itertools
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal
from urllib.parse import urlsplit

import anyio
import msgspec
import psycopg
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.api.conftest import Api

TransportName = Literal["ws", "socketio"]
TRANSPORTS: tuple[TransportName, ...] = ("ws", "socketio")
PATIENCE_S = 120.0
_REPLIES = frozenset({"joined", "left", "editing", "saved", "commented", "updated", "authenticated", "error"})


class SocketClient:
    """A client of the live feed with one open socket."""

    def __init__(self, socket: ClientConnection, transport: TransportName) -> None:
        self.socket = socket
        self.transport = transport
        self.seq = 0
        self.id = ""
        self._numbers = itertools.count(1)
        self._received: deque[tuple[str, Any]] = deque()

    async def send(self, event: str, **data: Any) -> dict[str, Any]:
        """Sends an event and returns the reply: `ok` and the data, or the error."""
        number = next(self._numbers)
        if self.transport == "ws":
            await self.socket.send(msgspec.json.encode({"event": event, "data": data}).decode())
        else:
            await self.socket.send(f"42{number}" + msgspec.json.encode([event, data]).decode())
        return await self.receive_reply(0 if self.transport == "ws" else number)

    async def receive_reply(self, number: int = 0) -> dict[str, Any]:
        """Returns the next reply: on Socket.IO the acknowledgement with this number, or any if it is 0."""
        with anyio.fail_after(PATIENCE_S):
            while True:
                frame = await self._frame()
                if frame[0] == "ack" and (not number or frame[1] == number):
                    reply: dict[str, Any] = frame[2]
                    return reply
                if frame[0] == "event":
                    self._received.append(frame[1:])

    async def receive(self, patience_s: float = PATIENCE_S) -> tuple[str, Any]:
        """Returns name and data of the next event that is not a reply. Skips `incident-created`, which all clients
        receive."""
        with anyio.fail_after(patience_s):
            while not self._received or self._received[0][0] == "incident-created":
                if self._received:
                    self._received.popleft()
                    continue
                frame = await self._frame()
                if frame[0] == "event":
                    self._received.append(frame[1:])
        return self._received.popleft()

    async def close_code(self) -> int | None:
        """Waits until the server closes the connection. Returns the close code, None if there was no close frame."""
        with anyio.fail_after(PATIENCE_S):
            try:
                while True:
                    await self._frame()
            except ConnectionClosed as closed:
                return closed.rcvd.code if closed.rcvd is not None else None

    async def _frame(self) -> Any:
        text = await self.socket.recv(decode=True)
        assert isinstance(text, str)
        return self._of_ws(text) if self.transport == "ws" else await self._of_socketio(text)

    def _of_ws(self, text: str) -> Any:
        frame = msgspec.json.decode(text)
        self.seq = max(self.seq, frame["seq"])
        if frame["event"] == "hello":
            self.id = frame["data"]["id"]
        if frame["event"] in _REPLIES:
            return "ack", 0, {"ok": frame["event"] != "error", **frame["data"]}
        return "event", frame["event"], frame["data"]

    async def _of_socketio(self, text: str) -> Any:
        if text == "2":
            await self.socket.send("3")
            return ("ping",)
        if text.startswith("43"):
            number, _, data = text[2:].partition("[")
            return "ack", int(number), msgspec.json.decode("[" + data)[0]
        if text.startswith("42"):
            event, data = msgspec.json.decode(text[2:])
            return ("error", data) if event == "error" else ("event", event, data)
        return ("other", text)


def socketio_url(api: Api, query: str = "EIO=4&transport=websocket") -> str:
    return f"ws://{urlsplit(api.ws_url).netloc}/socket.io/?{query}"


@asynccontextmanager
async def engine(api: Api, **options: Any) -> AsyncIterator[ClientConnection]:
    """A Socket.IO connection that has received the open packet of Engine.IO, before CONNECT."""
    async with connect(socketio_url(api), **options) as socket:
        text = await socket.recv()
        assert isinstance(text, str) and text.startswith("0{")
        yield socket


@asynccontextmanager
async def socket_client(
    api: Api, transport: TransportName, token: str | None = None, query: str = "", **options: Any
) -> AsyncIterator[SocketClient]:
    """A connected client, authenticated if `token` is given."""
    if transport == "ws":
        async with connect(api.ws_url + (f"?auth&{query}" if token else f"?{query}"), **options) as socket:
            client = SocketClient(socket, transport)
            assert (await client.receive())[0] == "hello"
            if token:
                assert (await client.send("auth", token=token))["ok"]
            yield client
    else:
        async with engine(api, **options) as socket:
            await socket.send("40" + (msgspec.json.encode({"token": token}).decode() if token else ""))
            text = await socket.recv()
            assert isinstance(text, str) and text.startswith("40{"), text
            yield SocketClient(socket, transport)


async def incident(db: psycopg.AsyncConnection[Any], public: bool = True) -> str:
    """Creates an incident and returns its id."""
    cursor = await db.execute(
        "INSERT INTO incidents (title, severity, priority, public) VALUES ('Down', 'high', 'P1', %s) RETURNING id",
        [public],
    )
    row = await cursor.fetchone()
    assert row is not None
    return str(row[0])


both_transports = pytest.mark.parametrize("transport", TRANSPORTS)
