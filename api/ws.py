"""`/ws`: the live feed as a plain WebSocket, frames of `{"event", "data", "seq"}`.

A client says `{"event": "join-room", "data": {"room": "system-status"}}` (or `"room"` beside `"event"`) and is
answered `joined`; `leave-room` is answered `left`. What cannot be understood is answered `error`, the connection stays;
more than a burst of `BURST` messages, one that is too large, or a bad `since` ends it (1008, 1009, 1008).

A client that comes back with `/ws?since=SEQ&rooms=system-status,uptime` first gets, in order, what it missed in those
rooms, then `joined` for each, then what happens; the `seq` of its last frame is always safe to come back with. A room
joined later by message is replayed from the same SEQ when it is joined. Nothing is lost or told twice. Where the missed
events are gone, or are more than `MAX_REPLAY`, a `resync` frame says so: ask the REST API again.
"""

from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Annotated, Any
from urllib.parse import parse_qs

import anyio
import anyio.lowlevel
import msgspec

from api.edge import SECURITY, Origins, Receive, Scope, Send, error_messages, header
from api.errors import ApiError
from api.hub import EVERYONE, ROOMS, Client, Event, Hub
from api.metrics import Metrics
from api.server import SOCKET_EXTENSION, text_frame
from sql import OperationalError

PATH = "/ws"
BURST = 20
PER_SECOND = 10
MAX_REPLAY = 5000
PATIENCE_S = 5.0
POLICY_VIOLATION = 1008
MAX_SEQ = 2**63 - 1

ReadEvents = Callable[[int, int], Awaitable[list[Event] | None]]
"""`(after, upto)` -> the events between from the database, or None where some are gone or they are too many."""


class RoomName(msgspec.Struct):
    room: Annotated[str, msgspec.Meta(max_length=100)]


class ClientMessage(msgspec.Struct):
    """What a client may say; the room inside `data`, as Socket.IO clients are used to, or beside `event`."""

    event: Annotated[str, msgspec.Meta(max_length=100)]
    data: RoomName | None = None
    room: Annotated[str, msgspec.Meta(max_length=100)] | None = None


_decode = msgspec.json.Decoder(ClientMessage).decode


def frame(event: str, data: object, seq: int) -> bytes:
    """One encoded frame."""
    return text_frame(msgspec.json.encode({"event": event, "data": data, "seq": seq}))


class Sockets:
    """The ASGI application of all WebSockets."""

    def __init__(self, hub: Hub, read: ReadEvents, origins: Origins, metrics: Metrics, limit: int) -> None:
        self._hub = hub
        self._read = read
        self._origins = origins
        self._metrics = metrics
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        if (refusal := self._refusal(scope)) is not None:
            self._metrics.sockets_refused.labels(str(refusal.status)).inc()
            start, body = error_messages(refusal, SECURITY)
            await send(start | {"type": "websocket.http.response.start"})
            await send(body | {"type": "websocket.http.response.body"})
            return
        client = self._hub.connect(scope["extensions"][SOCKET_EXTENSION])
        try:
            await send({"type": "websocket.accept", "subprotocol": None, "headers": SECURITY})
            await _Conversation(client, self._hub, self._read, scope["query_string"]).run(receive)
        finally:
            self._hub.disconnect(client)

    def _refusal(self, scope: Scope) -> ApiError | None:
        if scope["path"].rstrip("/") != PATH:
            return ApiError(404)
        if not self._origins.trusts(header(scope, b"origin"), header(scope, b"host")):
            return ApiError(403, "This page's origin is not among CLIENT_URLS")
        if len(self._hub) >= self._limit:
            return ApiError(503, "There are too many sockets at the moment", headers={"Retry-After": "10"})
        return None


class _Conversation:
    """One client, from its first frame to its last."""

    def __init__(self, client: Client, hub: Hub, read: ReadEvents, query: bytes) -> None:
        self._client = client
        self._hub = hub
        self._read = read
        self._query = query
        self._since: int | None = None
        self._replayed: set[str | None] = set()
        self._tokens = float(BURST)
        self._counted_at = monotonic()

    async def run(self, receive: Receive) -> None:
        try:
            rooms = self._greet()
        except ValueError as error:
            self._client.dismiss(POLICY_VIOLATION, str(error))
            return
        await self._join(rooms)
        while not self._client.dismissed:
            message: Any = await receive()
            if message["type"] != "websocket.receive":
                return
            if not self._allowed():
                self._client.dismiss(POLICY_VIOLATION, "too many messages")
                return
            await self._hear(message.get("text") or message.get("bytes") or b"")

    def _greet(self) -> list[str]:
        """Reads `?since=` and `?rooms=`; says hello. A value that cannot be meant raises ValueError."""
        asked = parse_qs(self._query.decode("latin-1"), keep_blank_values=True)
        since = asked.get("since", [None])[-1]
        rooms = [room for text in asked.get("rooms", []) for room in text.split(",") if room]
        if since is not None:
            if not (since.isascii() and since.isdigit() and len(since) <= 19 and int(since) <= MAX_SEQ):
                raise ValueError("since must be the seq of a frame")
            self._since = int(since)
        if unknown := [room for room in rooms if room not in ROOMS]:
            raise ValueError(f"unknown room {unknown[0][:50]!r}")
        seq = self._hub.seq if self._since is None else self._since
        self._client.offer(frame("hello", {"rooms": sorted(ROOMS)}, seq))
        return list(dict.fromkeys(rooms))

    async def _hear(self, text: str | bytes) -> None:
        try:
            message = _decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self._error("send {event, data: {room}} as JSON")
            return
        room = message.data.room if message.data is not None else message.room
        if message.event not in ("join-room", "leave-room"):
            self._error("unknown event; there are join-room and leave-room")
        elif room is None or room not in ROOMS:
            self._error("unknown room; there are " + ", ".join(sorted(ROOMS)))
        elif message.event == "join-room":
            await self._join([room])
        else:
            self._hub.leave(self._client, room)
            self._client.offer(frame("left", {"room": room}, self._hub.seq))

    async def _join(self, rooms: list[str]) -> None:
        """Replays what `rooms` missed, then joins them; no await lies between the last look and the joining."""
        missed = {EVERYONE, *rooms} - self._replayed
        self._replayed |= missed
        if self._since is not None and missed:
            await self._replay(self._since, missed)
        self._hub.join(self._client, EVERYONE)
        for room in rooms:
            self._hub.join(self._client, room)
            self._client.offer(frame("joined", {"room": room}, self._hub.seq))

    async def _replay(self, since: int, rooms: set[str | None]) -> None:
        with anyio.move_on_after(PATIENCE_S):
            await self._hub.reach(since)  # another process may have told the client what is still on its way to us
        cursor = since
        if self._hub.seq < since:
            self._resync()
            return
        while cursor < self._hub.seq and not self._client.dismissed:
            events = self._hub.remembered_after(cursor)
            if events is None:
                try:
                    events = await self._read(cursor, self._hub.seq)
                except OperationalError:
                    events = None
                if events is None:
                    self._resync()
                    return
            cursor = events[-1].seq if events else self._hub.seq
            for event in events:
                if event.room in rooms:
                    await self._deliver(event.frame)

    async def _deliver(self, encoded: bytes) -> None:
        """Waits for the client, so that a long replay never fills its queue."""
        while self._client.waiting and not self._client.dismissed:
            await self._client.socket.writable.wait()
            await anyio.lowlevel.checkpoint()
        self._client.offer(encoded)

    def _resync(self) -> None:
        self._client.offer(frame("resync", {"reason": "what happened since is no longer kept"}, self._hub.seq))

    def _error(self, text: str) -> None:
        body = ApiError(400, text).body
        self._client.offer(frame("error", body, self._hub.seq))

    def _allowed(self) -> bool:
        now = monotonic()
        self._tokens = min(BURST, self._tokens + (now - self._counted_at) * PER_SECOND) - 1
        self._counted_at = now
        return self._tokens >= 0
