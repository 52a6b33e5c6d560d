"""Malicious clients of both transports: they send any JSON, bytes, tokens and headers."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Protocol
from urllib.parse import urlsplit

import anyio
from websockets.asyncio.client import connect

from tests.api.people import Db
from tests.api.transports import PATIENCE_S, TRANSPORTS, Speaker, TransportName

__all__ = ["END", "TRANSPORTS", "Heard", "Intruder", "RefusedError", "TransportName", "code", "entered", "heard"]
Heard = tuple[str, Any]
END = "that-was-all"


class Served(Protocol):
    """A running API, in this process or another one."""

    @property
    def ws_url(self) -> str: ...


class RefusedError(Exception):
    """A token is refused; the text is the reason."""


class Intruder(Speaker):
    """A client that can send any frame."""

    _asked = 0

    async def send(self, raw: str | bytes) -> None:
        """Sends a frame unchanged."""
        await self.socket.send(raw)

    async def tell(self, event: str, data: object) -> dict[str, Any]:
        """Sends an event and returns its acknowledgement. `data` can be any JSON value."""
        self._asked += 1
        if self.transport == "ws":
            await self.send(json.dumps({"event": event, "data": data}))
            return await self.answer()
        await self.send(f"42{self._asked}{json.dumps([event, data])}")
        return await self.answer(self._asked)

    async def hear(self, patience_s: float = PATIENCE_S) -> Heard:
        """Returns the next event that is no acknowledgement."""
        with anyio.fail_after(patience_s):
            while not self._heard:
                frame = await self._frame()
                if frame[0] == "event":
                    self._heard.append(frame[1:])
        return self._heard.popleft()

    async def hears(self, event: str) -> Any:
        """Returns the data of the next event with this name. Other events are skipped."""
        while True:
            heard, data = await self.hear()
            if heard == event:
                return data

    async def heard(self, db: Db) -> list[Heard]:
        """Returns the events that this client has received so far."""
        return (await heard(db, self))[0]

    async def hears_until(self, event: str) -> list[Heard]:
        """Returns the events before the next event with this name."""
        found = []
        while (heard := await self.hear())[0] != event:
            found.append(heard)
        return found


async def heard(db: Db, *clients: Intruder) -> list[list[Heard]]:
    """Returns the events that each client has received so far. A last event to all clients marks the end."""
    await db.execute("SELECT append_event(%s, NULL, '{}')", [END])
    return [await client.hears_until(END) for client in clients]


@asynccontextmanager
async def entered(
    api: Served,
    transport: TransportName,
    token: str | None = None,
    *,
    query: str = "",
    headers: Mapping[str, str] | None = None,
) -> AsyncIterator[Intruder]:
    """A connected client. With a token it is logged in. Raises RefusedError if the token is refused."""
    path = "/ws" if transport == "ws" else "/socket.io/?EIO=4&transport=websocket"
    address = f"ws://{urlsplit(api.ws_url).netloc}{path}{'&' if '?' in path else '?'}{query}"
    async with connect(address, proxy=None, additional_headers=headers) as socket:
        intruder = Intruder(socket, transport)
        with anyio.fail_after(PATIENCE_S):
            await (_greeted if transport == "ws" else _opened)(intruder, token)
        yield intruder


async def _greeted(intruder: Intruder, token: str | None) -> None:
    event, _ = await intruder.hear()
    assert event == "hello"
    if token is not None and (refusal := code(await intruder.tell("auth", {"token": token}))) is not None:
        raise RefusedError(refusal)


async def _opened(intruder: Intruder, token: str | None) -> None:
    assert str(await intruder.socket.recv()).startswith("0{")
    await intruder.send("40" if token is None else "40" + json.dumps({"token": token}))
    answer = str(await intruder.socket.recv())
    if not answer.startswith("40{"):
        raise RefusedError(answer)


def code(answer: Mapping[str, Any]) -> str | None:
    """Returns the error code of an acknowledgement, None without an error."""
    return answer.get("code")
