"""`/ws`: the live feed as a plain WebSocket, with frames of `{"event", "data", "seq"}`.

A client sends `{"event": "join-room", "data": {"room": "system-status"}}` (or `"room"` next to `"event"`). The reply is
`joined`; the reply to `leave-room` is `left`, to `incident-editing` `editing`, to `auto-save` `saved`, to
`incident-comment` `commented`, and to `template-update` `updated` (handler.py). If a message fails, the reply is
`error`. The connection is closed with 1008 after too many messages or for an invalid `since`, with 1009 for a message
that is too large.

`{"event": "auth", "data": {"token": …}}` authenticates the client; the reply is `authenticated`. An invalid token
closes the connection with 4401. With `/ws?auth` this must be the first message, and no events are sent before it.

A client that reconnects with `/ws?since=SEQ&rooms=system-status,uptime` first gets the missed events of those rooms in
order, then `joined` for each, then new events. `SEQ` is the `seq` of the last frame that it received, of any kind. A
room that is joined later by message is replayed from the same SEQ. No event is lost or sent twice. With `&socket=ID`,
the `id` of its last `hello`, events that the client caused itself are not sent. If missed events have been deleted, or
exceed `MAX_REPLAY` or `MAX_REPLAY_BYTES`, the client gets `resync` and must load everything from REST. A client that
authenticates after the replay gets internal events from then on.
"""

from typing import Annotated, Any
from urllib.parse import parse_qs

import anyio
import msgspec

from api.edge.asgi import Receive, Scope, Send
from api.edge.security_headers import SECURITY_HEADERS
from api.edge.token_bucket import TokenBucket
from api.edge.websocket import POLICY_VIOLATION, SOCKET_EXTENSION, TRY_AGAIN_LATER
from api.live.access import UNAUTHORIZED, LiveConnection
from api.live.events import MAX_SEQ, Transport, frames
from api.live.handler import MESSAGE_BURST, MESSAGES_PER_SECOND, MessageHandler
from api.live.room_names import PUBLIC_ROOMS
from api.live.rooms import MAX_ROOMS
from api.rest.errors import ApiError

AUTH_DEADLINE_S = 10.0
"""The time in which a client must send `auth` after `?auth`."""


class ClientMessage(msgspec.Struct):
    """A message of a client. The room is in `data`, as in Socket.IO, or next to `event`."""

    event: Annotated[str, msgspec.Meta(max_length=100)]
    data: msgspec.Raw = msgspec.Raw(b"null")
    room: Annotated[str, msgspec.Meta(max_length=100)] | None = None


class _Credentials(msgspec.Struct):
    token: str


_decode = msgspec.json.Decoder(ClientMessage).decode


class WebSocketTransport:
    """The ASGI application of `/ws`."""

    def __init__(self, handler: MessageHandler) -> None:
        self._handler = handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send, address: str) -> None:
        client = self._handler.hub.connect(scope["extensions"][SOCKET_EXTENSION], Transport.WS)
        connection = LiveConnection(client, address)
        try:
            await send({"type": "websocket.accept", "subprotocol": None, "headers": SECURITY_HEADERS})
            await _Session(connection, self._handler, receive).run(scope["query_string"])
        finally:
            self._handler.leave(connection)


class _Session:
    """The messages of one connection."""

    __slots__ = ("_bucket", "_caught_up", "_client", "_connection", "_handler", "_receive")

    def __init__(self, connection: LiveConnection, handler: MessageHandler, receive: Receive) -> None:
        self._connection = connection
        self._client = connection.client
        self._handler = handler
        self._receive = receive
        self._bucket = TokenBucket(MESSAGE_BURST, MESSAGES_PER_SECOND)
        self._caught_up = False

    async def run(self, query: bytes) -> None:
        """Serves the connection until it is closed. `query`: the query string of its URL."""
        if await self._begin(query):
            while (text := await self._next_message()) is not None:
                await self._handle(text)

    async def _begin(self, query: bytes) -> bool:
        """Sends `hello`, waits for `auth` if the URL demands it, and joins the rooms of the URL. Returns
        False if the connection has been closed."""
        parameters = parse_qs(query.decode("latin-1"), keep_blank_values=True)
        try:
            rooms = self._start(parameters)
        except ValueError as error:  # its text is for the client
            self._client.dismiss(POLICY_VIOLATION, str(error))
            return False
        if "auth" in parameters and not await self._wait_for_auth():
            return False
        await self._enter(rooms)
        return True

    def _start(self, parameters: dict[str, list[str]]) -> list[str]:
        """Reads `?since=`, `?socket=` and `?rooms=`, and sends `hello`. Returns the rooms. Raises ValueError for
        invalid values."""
        since = parameters.get("since", [None])[-1]
        rooms = [room for text in parameters.get("rooms", []) for room in text.split(",") if room]
        if since is not None:
            if not (since.isascii() and since.isdigit() and len(since) <= 19 and int(since) <= MAX_SEQ):
                raise ValueError("since must be the seq of a frame")
            self._connection.since = int(since)
            self._connection.former_id = parameters.get("socket", [None])[-1]
        if unknown := [
            room for room in rooms if room not in PUBLIC_ROOMS and not room.startswith(("incident-", "template-"))
        ]:
            raise ValueError(f"unknown room {unknown[0][:50]!r}")
        if len(rooms) > MAX_ROOMS:
            raise ValueError(f"at most {MAX_ROOMS} rooms")
        self._send("hello", {"rooms": sorted(PUBLIC_ROOMS), "id": self._client.id})
        return rooms

    async def _wait_for_auth(self) -> bool:
        """Waits for the `auth` message after `?auth`. Returns False if the connection has been closed."""
        with anyio.move_on_after(AUTH_DEADLINE_S) as deadline:
            text = await self._next_message()
        if deadline.cancelled_caught:
            self._client.dismiss(UNAUTHORIZED, "no auth message in time")
        elif text is not None:
            message = self._parse(text)
            if message is None or message.event != "auth":
                self._client.dismiss(UNAUTHORIZED, "auth must be the first message")
            else:
                await self._authenticate(message.data)
        return self._connection.principal is not None and not self._client.dismissed

    async def _enter(self, rooms: list[str]) -> None:
        outcome = await self._handler.enter(self._connection, rooms)
        self._caught_up = True
        for room, error in outcome:
            if error is None:
                self._send("joined", {"room": room})
            else:
                self._send("error", error.body)

    async def _next_message(self) -> str | bytes | None:
        """The next message; None if the connection is closed."""
        if self._client.dismissed:
            return None
        message: Any = await self._receive()
        if message["type"] != "websocket.receive" or self._client.dismissed:
            return None
        if not self._bucket.take():
            self._client.dismiss(POLICY_VIOLATION, "too many messages")
            return None
        text: str | bytes = message.get("text") or message.get("bytes") or b""
        return text

    async def _handle(self, text: str | bytes) -> None:
        if (message := self._parse(text)) is None:
            return
        if message.event == "auth":
            await self._authenticate(message.data)
            await self._enter([])
            return
        data = message.data
        if message.room is not None:
            data = msgspec.Raw(msgspec.json.encode({"room": message.room}))
        try:
            reply = await self._handler.handle(self._connection, message.event, data)
        except ApiError as error:
            self._send("error", error.body)
        else:
            self._send(reply.event, reply.data)

    def _parse(self, text: str | bytes) -> ClientMessage | None:
        try:
            return _decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self._send("error", ApiError(400, "message_form").body)
            return None

    async def _authenticate(self, data: msgspec.Raw) -> None:
        """Authenticates the client and sends `authenticated`, or sends `error` and closes the connection."""
        try:
            token = msgspec.json.decode(data, type=_Credentials).token
            principal = await self._handler.authenticate(self._connection, token.removeprefix("Bearer "))
        except (msgspec.DecodeError, RecursionError):
            self._refuse(ApiError(401, "send_token"))
        except ApiError as error:
            self._refuse(error)
        else:
            user = {"id": principal.user_id, "username": principal.name, "role": principal.role}
            self._send("authenticated", {"user": user})

    def _refuse(self, error: ApiError) -> None:
        self._send("error", error.body)
        self._client.dismiss(UNAUTHORIZED if error.status == 401 else TRY_AGAIN_LATER, str(error))

    def _send(self, event: str, data: object) -> None:
        """Sends a frame that is not an event. Its `seq` is a number that the client can reconnect with: `since` until
        the missed events have been replayed, then the last one; for anonymous clients the last public one."""
        hub, since = self._handler.hub, self._connection.since
        seq = hub.seq if self._connection.is_staff else hub.public_seq
        if since is not None and not self._caught_up:
            seq = since
        self._client.send(frames(event, data, seq).ws)
