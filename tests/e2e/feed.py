"""A client of the live feed over a plain WebSocket."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
from websockets.asyncio.client import ClientConnection, connect

from tests.e2e.program import PATIENCE_S

Frame = dict[str, Any]


class Feed:
    """One connection and all frames that it has received, in order. The first one is `hello`."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self.frames: list[Frame] = []

    async def next(self) -> Frame:
        """Waits for the next frame and returns it."""
        with anyio.fail_after(PATIENCE_S):
            frame: Frame = json.loads(await self._connection.recv())
        self.frames.append(frame)
        return frame

    async def join(self, *rooms: str) -> None:
        """Joins the rooms, one after the other, and waits for the `joined` of each."""
        for room in rooms:
            await self._connection.send(json.dumps({"event": "join-room", "data": {"room": room}}))
            while (frame := await self.next())["event"] != "joined" or frame["data"] != {"room": room}:
                pass

    async def wait_for(self, event: str, service_id: str, status: str) -> Frame:
        """Returns the next frame with this event, service and status. Other frames are skipped."""
        while True:
            frame = await self.next()
            data = frame["data"]
            if frame["event"] == event and (data["serviceId"], data["status"]) == (service_id, status):
                return frame

    def received(self, event: str, service_id: str) -> list[Frame]:
        """Returns the received frames with this event and service. Asserts that the sequence numbers ascend."""
        changes = [frame for frame in self.frames if frame["event"] in ("status-update", "uptime-updated")]
        numbers = [frame["seq"] for frame in changes]
        assert numbers == sorted(set(numbers))
        return [frame for frame in changes if (frame["event"], frame["data"]["serviceId"]) == (event, service_id)]


@asynccontextmanager
async def listening(ws_url: str, **query: object) -> AsyncIterator[Feed]:
    """Yields a connection that has received `hello`. The query parameters are `since` and `rooms`."""
    parameters = "&".join(f"{name}={value}" for name, value in query.items())
    async with connect(f"{ws_url}?{parameters}", proxy=None) as connection:
        feed = Feed(connection)
        assert (await feed.next())["event"] == "hello"
        yield feed
