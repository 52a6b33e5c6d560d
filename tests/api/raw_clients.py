"""Clients of both transports that send any JSON, bytes, tokens and headers, as attackers do."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Protocol
from urllib.parse import urlsplit

import anyio
from websockets.asyncio.client import connect

from tests.api.people import Db
from tests.api.transports import PATIENCE_S, TRANSPORTS, SocketClient, TransportName

__all__ = [
    "END",
    "TRANSPORTS",
    "RawClient",
    "ReceivedEvent",
    "RefusedError",
    "TransportName",
    "code",
    "raw_client",
    "received_events",
]
ReceivedEvent = tuple[str, Any]
END = "end-of-test"
"""The name of an event that is appended after those of a test."""


class Served(Protocol):
    """A running API, in this process or another one."""

    @property
    def ws_url(self) -> str: ...


class RefusedError(Exception):
    """A token is refused; the text is the reason."""


class RawClient(SocketClient):
    """A client that can send any frame."""

    _last_number = 0

    async def send_frame(self, raw: str | bytes) -> None:
        """Sends a frame unchanged."""
        await self.socket.send(raw)

    async def send_json(self, event: str, data: object) -> dict[str, Any]:
        """Sends an event and returns the reply. `data` can be any JSON value."""
        self._last_number += 1
        if self.transport == "ws":
            await self.send_frame(json.dumps({"event": event, "data": data}))
            return await self.receive_reply()
        await self.send_frame(f"42{self._last_number}{json.dumps([event, data])}")
        return await self.receive_reply(self._last_number)

    async def receive(self, patience_s: float = PATIENCE_S) -> ReceivedEvent:
        """Returns name and data of the next event that is not a reply. No event is skipped."""
        with anyio.fail_after(patience_s):
            while not self._received:
                frame = await self._frame()
                if frame[0] == "event":
                    self._received.append(frame[1:])
        return self._received.popleft()

    async def receive_event(self, event: str) -> Any:
        """Returns the data of the next event with this name. Other events are skipped."""
        while True:
            received, data = await self.receive()
            if received == event:
                return data

    async def received_events(self, db: Db) -> list[ReceivedEvent]:
        """Returns the events that this client has received so far."""
        return (await received_events(db, self))[0]

    async def receive_until(self, event: str) -> list[ReceivedEvent]:
        """Returns the events before the next event with this name."""
        found = []
        while (received := await self.receive())[0] != event:
            found.append(received)
        return found


async def received_events(db: Db, *clients: RawClient) -> list[list[ReceivedEvent]]:
    """Returns the events that each client has received so far. Appends the event END for all clients and reads until
    it arrives."""
    await db.execute("SELECT append_event(%s, NULL, '{}')", [END])
    return [await client.receive_until(END) for client in clients]


@asynccontextmanager
async def raw_client(
    api: Served,
    transport: TransportName,
    token: str | None = None,
    *,
    query: str = "",
    headers: Mapping[str, str] | None = None,
) -> AsyncIterator[RawClient]:
    """A connected client, authenticated if `token` is given. Raises RefusedError if the token is refused."""
    path = "/ws" if transport == "ws" else "/socket.io/?EIO=4&transport=websocket"
    address = f"ws://{urlsplit(api.ws_url).netloc}{path}{'&' if '?' in path else '?'}{query}"
    async with connect(address, proxy=None, additional_headers=headers) as socket:
        client = RawClient(socket, transport)
        with anyio.fail_after(PATIENCE_S):
            await (_authenticate_ws if transport == "ws" else _connect_socketio)(client, token)
        yield client


async def _authenticate_ws(client: RawClient, token: str | None) -> None:
    event, _ = await client.receive()
    assert event == "hello"
    if token is not None and (refusal := code(await client.send_json("auth", {"token": token}))) is not None:
        raise RefusedError(refusal)


async def _connect_socketio(client: RawClient, token: str | None) -> None:
    assert str(await client.socket.recv()).startswith("0{")
    await client.send_frame("40" if token is None else "40" + json.dumps({"token": token}))
    reply = str(await client.socket.recv())
    if not reply.startswith("40{"):
        raise RefusedError(reply)


def code(reply: Mapping[str, Any]) -> str | None:
    """Returns the error code of a reply, None if it is not an error."""
    return reply.get("code")
