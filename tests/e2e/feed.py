"""The live feed as a front end hears it: a plain WebSocket."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
from websockets.asyncio.client import ClientConnection, connect

from tests.e2e.program import PATIENCE_S

Frame = dict[str, Any]


class Feed:
    """One connection, and every frame it has had in order, the first one `hello`."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self.frames: list[Frame] = []

    async def next(self) -> Frame:
        with anyio.fail_after(PATIENCE_S):
            frame: Frame = json.loads(await self._connection.recv())
        self.frames.append(frame)
        return frame

    async def join(self, *rooms: str) -> None:
        for room in rooms:
            await self._connection.send(json.dumps({"event": "join-room", "data": {"room": room}}))
            while (frame := await self.next())["event"] != "joined" or frame["data"] != {"room": room}:
                pass

    async def hears(self, event: str, service_id: str, status: str) -> Frame:
        """The next frame of this kind that says this of the service; others are passed over."""
        while True:
            frame = await self.next()
            data = frame["data"]
            if frame["event"] == event and (data["serviceId"], data["status"]) == (service_id, status):
                return frame

    def told(self, event: str, service_id: str) -> list[Frame]:
        """The frames of this kind about the service so far. The numbers of all frames that tell of a change ascend."""
        changes = [frame for frame in self.frames if frame["event"] in ("status-update", "uptime-updated")]
        numbers = [frame["seq"] for frame in changes]
        assert numbers == sorted(set(numbers))
        return [frame for frame in changes if (frame["event"], frame["data"]["serviceId"]) == (event, service_id)]


@asynccontextmanager
async def listening(ws_url: str, **query: object) -> AsyncIterator[Feed]:
    """A connection that has been greeted; `query` is `since` and `rooms`."""
    asked = "&".join(f"{name}={value}" for name, value in query.items())
    async with connect(f"{ws_url}?{asked}", proxy=None) as connection:
        feed = Feed(connection)
        assert (await feed.next())["event"] == "hello"
        yield feed
