"""`/ws`: the live feed as a plain WebSocket, frames of `{"event", "data", "seq"}`.

A client says `{"event": "join-room", "data": {"room": "system-status"}}` (or `"room"` beside `"event"`) and is
answered `joined`; `leave-room` is answered `left`, `incident-editing` `editing`, `auto-save` `saved`,
`incident-comment` `commented`, and `template-update` `updated` (conversation.py). What cannot be done is answered
`error` and the connection stays; more than a burst of messages, one that is too large, or a bad `since` ends it (1008,
1009, 1008).

`{"event": "auth", "data": {"token": …}}` says who it is and is answered `authenticated`; a bad token ends the
connection (4401). With `/ws?auth` that is the first message, and nothing is told before it.

A client that comes back with `/ws?since=SEQ&rooms=system-status,uptime` first gets, in order, what it missed in those
rooms, then `joined` for each, then what happens; the `seq` of its last frame is always safe to come back with. A room
joined later by message is replayed from the same SEQ when it is joined. Nothing is lost or told twice; `&socket=ID`,
the `id` of its last `hello`, spares it what it did itself. Where the missed events are gone, or are more than
`MAX_REPLAY` or `MAX_REPLAY_BYTES`, a `resync` frame says so: ask the REST API again. Who logs in by message after that
hears what is for those inside from then on.
"""

from typing import Annotated, Any
from urllib.parse import parse_qs

import anyio
import msgspec

from api.edge.messages import Receive, Scope, Send
from api.edge.security_headers import SECURITY_HEADERS
from api.edge.server import SOCKET_EXTENSION
from api.edge.token_bucket import TokenBucket
from api.live.access import UNAUTHORIZED, LiveConnection
from api.live.conversation import BURST, MAX_ROOMS, PER_SECOND, Live
from api.live.hub import MAX_SEQ, POLICY_VIOLATION, PUBLIC_ROOMS, TRY_AGAIN_LATER, Transport, frames
from api.rest.errors import ApiError

AUTH_DEADLINE_S = 10.0


class ClientMessage(msgspec.Struct):
    """What a client may say; the room inside `data`, as Socket.IO clients are used to, or beside `event`."""

    event: Annotated[str, msgspec.Meta(max_length=100)]
    data: msgspec.Raw = msgspec.Raw(b"null")
    room: Annotated[str, msgspec.Meta(max_length=100)] | None = None


class _Credentials(msgspec.Struct):
    token: str


_decode = msgspec.json.Decoder(ClientMessage).decode


class WebSocketTransport:
    """The ASGI application of `/ws`."""

    def __init__(self, live: Live) -> None:
        self._live = live

    async def __call__(self, scope: Scope, receive: Receive, send: Send, address: str) -> None:
        client = self._live.hub.connect(scope["extensions"][SOCKET_EXTENSION], Transport.WS)
        participant = LiveConnection(client, address)
        try:
            await send({"type": "websocket.accept", "subprotocol": None, "headers": SECURITY_HEADERS})
            await _Conversation(participant, self._live, receive).run(scope["query_string"])
        finally:
            self._live.leave(participant)


class _Conversation:
    """One client, from its first frame to its last."""

    def __init__(self, participant: LiveConnection, live: Live, receive: Receive) -> None:
        self._participant = participant
        self._client = participant.client
        self._live = live
        self._receive = receive
        self._allowance = TokenBucket(BURST, PER_SECOND)
        self._caught_up = False

    async def run(self, query: bytes) -> None:
        asked = parse_qs(query.decode("latin-1"), keep_blank_values=True)
        try:
            rooms = self._greet(asked)
        except ValueError as error:
            self._client.dismiss(POLICY_VIOLATION, str(error))
            return
        if "auth" in asked and not await self._introduced():
            return
        await self._enter(rooms)
        while (text := await self._next()) is not None:
            await self._hear(text)

    def _greet(self, asked: dict[str, list[str]]) -> list[str]:
        """Reads `?since=`, `?socket=` and `?rooms=`; says hello. A value that cannot be meant raises ValueError."""
        since = asked.get("since", [None])[-1]
        rooms = [room for text in asked.get("rooms", []) for room in text.split(",") if room]
        if since is not None:
            if not (since.isascii() and since.isdigit() and len(since) <= 19 and int(since) <= MAX_SEQ):
                raise ValueError("since must be the seq of a frame")
            self._participant.since = int(since)
            self._participant.former = asked.get("socket", [None])[-1]
        if unknown := [
            room for room in rooms if room not in PUBLIC_ROOMS and not room.startswith(("incident-", "template-"))
        ]:
            raise ValueError(f"unknown room {unknown[0][:50]!r}")
        if len(rooms) > MAX_ROOMS:
            raise ValueError(f"at most {MAX_ROOMS} rooms")
        self._tell("hello", {"rooms": sorted(PUBLIC_ROOMS), "id": self._client.id})
        return rooms

    async def _introduced(self) -> bool:
        """Waits for the `auth` that `?auth` promised; False where the connection has ended instead."""
        with anyio.move_on_after(AUTH_DEADLINE_S) as deadline:
            text = await self._next()
        if deadline.cancelled_caught:
            self._client.dismiss(UNAUTHORIZED, "auth did not come")
        elif text is not None:
            message = self._understood(text)
            if message is None or message.event != "auth":
                self._client.dismiss(UNAUTHORIZED, "auth must come first")
            else:
                await self._authenticate(message.data)
        return self._participant.principal is not None and not self._client.dismissed

    async def _enter(self, rooms: list[str]) -> None:
        entered = await self._live.enter(self._participant, rooms)
        self._caught_up = True
        for room, refusal in entered:
            if refusal is None:
                self._tell("joined", {"room": room})
            else:
                self._tell("error", refusal.body)

    async def _next(self) -> str | bytes | None:
        """The next message, or None where there will be none."""
        if self._client.dismissed:
            return None
        message: Any = await self._receive()
        if message["type"] != "websocket.receive" or self._client.dismissed:
            return None
        if not self._allowance.take():
            self._client.dismiss(POLICY_VIOLATION, "too many messages")
            return None
        said: str | bytes = message.get("text") or message.get("bytes") or b""
        return said

    async def _hear(self, text: str | bytes) -> None:
        if (message := self._understood(text)) is None:
            return
        if message.event == "auth":
            await self._authenticate(message.data)
            await self._enter([])
            return
        data = message.data
        if message.room is not None:
            data = msgspec.Raw(msgspec.json.encode({"room": message.room}))
        try:
            answer = await self._live.hear(self._participant, message.event, data)
        except ApiError as refusal:
            self._tell("error", refusal.body)
        else:
            self._tell(answer.event, answer.data)

    def _understood(self, text: str | bytes) -> ClientMessage | None:
        try:
            return _decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self._tell("error", ApiError(400, "message_form").body)
            return None

    async def _authenticate(self, data: msgspec.Raw) -> None:
        """Says who it is, or ends the connection."""
        try:
            token = msgspec.json.decode(data, type=_Credentials).token
            principal = await self._live.authenticate(self._participant, token.removeprefix("Bearer "))
        except (msgspec.DecodeError, RecursionError):
            self._refuse(ApiError(401, "send_token"))
        except ApiError as refusal:
            self._refuse(refusal)
        else:
            user = {"id": principal.user_id, "username": principal.name, "role": principal.role}
            self._tell("authenticated", {"user": user})

    def _refuse(self, refusal: ApiError) -> None:
        self._tell("error", refusal.body)
        self._client.dismiss(UNAUTHORIZED if refusal.status == 401 else TRY_AGAIN_LATER, str(refusal))

    def _tell(self, event: str, data: object) -> None:
        """What is no event has the number that is safe to come back with, of those that this client may know."""
        hub, since = self._live.hub, self._participant.since
        seq = hub.seq if self._participant.inside else hub.public_seq
        if since is not None and not self._caught_up:
            seq = since
        self._client.offer(frames(event, data, seq).ws)
