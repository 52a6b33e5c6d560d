"""Clients of the live feed over a plain WebSocket, and changes that send events."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import msgspec
import psycopg
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.api.conftest import Api

Db = psycopg.AsyncConnection[Any]
STATES = ("operational", "degraded", "outage", "unknown", "maintenance")


@asynccontextmanager
async def joined(api: Api, query: str = "?rooms=system-status,uptime") -> AsyncIterator[ClientConnection]:
    """A socket that has received `joined` for each room of its query."""
    async with connect(api.ws_url + query) as socket:
        assert (await frame(socket))["event"] == "hello"
        for _ in query.partition("rooms=")[2].split(","):
            assert (await frame(socket))["event"] == "joined"
        yield socket


async def frame(socket: ClientConnection, patience_s: float = 20.0) -> Any:
    """Returns the next frame, decoded."""
    with anyio.fail_after(patience_s):
        return msgspec.json.decode(await socket.recv())


async def set_state(db: Db, service: str, state: str) -> None:
    await db.execute("UPDATE service_states SET state = %s, since = now() WHERE service_id = %s", [state, service])


async def send(socket: ClientConnection, **message: Any) -> Any:
    """Sends a message and returns the next frame."""
    await socket.send(msgspec.json.encode(message).decode())
    return await frame(socket)


async def close_code(socket: ClientConnection) -> int | None:
    """Waits until the server closes the connection. Returns the close code, None if there was no close frame."""
    with anyio.fail_after(120):
        try:
            while True:
                await socket.recv()
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd is not None else None


async def last_seq(db: Db) -> int:
    row = await (await db.execute("SELECT coalesce(max(seq), 0) FROM events")).fetchone()
    assert row is not None
    return int(row[0])


async def append_padded(db: Db, room: str, count: int, size: int) -> None:
    await db.execute(
        "INSERT INTO events (event, room, data) "
        "SELECT 'status-update', %s, jsonb_build_object('pad', repeat('x', %s)) FROM generate_series(1, %s)",
        [room, size, count],
    )
