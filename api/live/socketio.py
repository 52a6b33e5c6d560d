"""Socket.IO 4 at `/socket.io`, over WebSocket only: the same rooms and events as `/ws`, for existing front ends.

python-socketio speaks the protocol: handshake, connect with `auth: {token}`, acknowledgements, pings, disconnect. What
happens is written by the hub straight into the same WebSocket, encoded once for all clients, instead of once through
a queue and a task for each.

A frame passes `_Gate` before the library sees it. There everything is bounded that it leaves open: how much a client
may say, how long it may take to connect, and that it is a text packet of a kind that a client sends. The names of
events that the library would take for its own (`connect`, `disconnect`, `*`) never get through.
"""

import logging
import re
from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import parse_qs

import anyio
import engineio
import msgspec
import socketio
import socketio.exceptions
import socketio.packet
from anyio.abc import TaskGroup

from api.edge.messages import Receive, Scope, Send
from api.edge.security_headers import SECURITY_HEADERS
from api.edge.server import SOCKET_EXTENSION
from api.edge.token_bucket import TokenBucket
from api.live.access import LiveConnection
from api.live.admission import websocket_only
from api.live.conversation import BURST, PER_SECOND, Live
from api.live.hub import POLICY_VIOLATION, Transport, frames
from api.rest.errors import ApiError

log = logging.getLogger(__name__)
_library_log = logging.getLogger("sla_monitor.socketio")
_library_log.setLevel(logging.ERROR)  # below that it writes down what clients send, tokens too

CONNECT_WITHIN_S = 10.0
PING_INTERVAL_S = 25
PING_TIMEOUT_S = 20
UNSUPPORTED = 1003
_GATE = "sla_monitor.gate"
_CLIENT_PACKET = re.compile(r"3|40(/[^,\s]*,?)?(\{.*)?|42[0-9]{0,15}\[.*", re.DOTALL)
_EVENT = re.compile(r"2([0-9]*)(.*)", re.DOTALL)
_CONNECT = re.compile(r"0(/[^,\s]*)?,?(.*)", re.DOTALL)
_CLOSING = frozenset({"1", "41"})
_RESERVED = frozenset({"connect", "disconnect", "*"})
_GONE = {"type": "websocket.disconnect", "code": 1006}


class _Json:
    """What is said is kept as it came until it is known what it should be."""

    @staticmethod
    def dumps(data: object, **_: object) -> str:
        return msgspec.json.encode(data).decode()


class _Packet(socketio.packet.Packet):  # type: ignore[misc]  # the library has no types
    """A Socket.IO packet as `_Gate` lets it through. An event is [its name, msgspec.Raw]; one that cannot be read has
    no name, and is answered as unknown."""

    uses_binary_events = False
    json = _Json

    def decode(self, encoded_packet: str) -> int:
        self.packet_type = int(encoded_packet[0])
        self.namespace: str | None = None
        self.data: Any = None
        if (said := _EVENT.fullmatch(encoded_packet)) is not None:
            self.id = int(said[1]) if said[1] else None
            self.data = _event(said[2])
        elif (connect := _CONNECT.fullmatch(encoded_packet)) is not None:
            self.namespace = connect[1]
            self.data = connect[2] or None
        return 0


def _event(text: str) -> list[Any]:
    try:
        name, *arguments = msgspec.json.decode(text, type=list[msgspec.Raw])
        event = msgspec.json.decode(name, type=str)
    except (ValueError, RecursionError):  # msgspec.DecodeError is a ValueError
        return ["", msgspec.Raw(b"null")]
    return ["" if event in _RESERVED else event, *arguments[:1]]


class _Engine(engineio.AsyncServer):  # type: ignore[misc]  # the library has no types
    """Its pings run in the application's task group, so that they end with it."""

    tasks: TaskGroup

    def start_background_task(self, target: Callable[..., Coroutine[Any, Any, Any]], *args: Any) -> None:
        self.tasks.start_soon(_held, target, *args)


async def _held(target: Callable[..., Coroutine[Any, Any, Any]], *args: Any) -> None:
    try:
        await target(*args)
    except Exception as error:  # of one client; it is closed when the next ping does not come
        log.warning("Socket.IO: %s", type(error).__name__)


class _Server(socketio.AsyncServer):  # type: ignore[misc]  # the library has no types
    def _engineio_server_class(self) -> type[_Engine]:
        return _Engine


class _Credentials(msgspec.Struct):
    token: str | None = None


class SocketIoTransport:
    """The ASGI application of `/socket.io`."""

    def __init__(self, live: Live, tasks: TaskGroup, max_message: int) -> None:
        self._live = live
        self._gates: dict[str, _Gate] = {}
        self._server = _Server(
            async_mode="asgi",
            transports=["websocket"],
            allow_upgrades=False,
            async_handlers=False,  # one event of a client after the other, in its own task
            cors_allowed_origins="*",  # Origin has been looked at: api/live/admission.py
            serializer=_Packet,
            max_http_buffer_size=max_message,
            ping_interval=PING_INTERVAL_S,
            ping_timeout=PING_TIMEOUT_S,
            monitor_clients=False,  # who is silent for a ping and its timeout is closed by the reader
            logger=_library_log,
            engineio_logger=_library_log,
        )
        self._server.eio.tasks = tasks
        self._server.on("connect", self._connect)
        self._server.on("disconnect", self._disconnect)
        self._server.on("*", self._hear)

    async def __call__(self, scope: Scope, receive: Receive, send: Send, address: str) -> None:
        asked = parse_qs(scope["query_string"].decode("latin-1"))
        if asked.get("transport") != ["websocket"] or asked.get("EIO") != ["4"] or {"sid", "j"} & asked.keys():
            raise websocket_only()
        client = self._live.hub.connect(scope["extensions"][SOCKET_EXTENSION], Transport.SOCKETIO)
        gate = _Gate(LiveConnection(client, address), self._live, receive, send)
        try:
            await self._server.handle_request({**scope, _GATE: gate}, gate.receive, gate.send)
        finally:
            self._live.leave(gate.participant)

    async def _connect(self, sid: str, environ: Any, auth: str | None = None) -> None:
        """Who it is, by the `auth` payload; without a token it is nobody in particular."""
        gate: _Gate = environ["asgi.scope"][_GATE]
        try:
            token = msgspec.json.decode(auth, type=_Credentials).token if auth else None
            if token:
                await self._live.authenticate(gate.participant, token.removeprefix("Bearer "))
        except (msgspec.DecodeError, RecursionError):
            raise _refused(ApiError(401, "send_auth")) from None
        except ApiError as refusal:
            raise _refused(refusal) from None
        self._gates[sid] = gate

    async def _disconnect(self, sid: str, _reason: str) -> None:
        self._gates.pop(sid, None)

    async def _hear(self, event: str, sid: str, data: msgspec.Raw | None = None, *_: object) -> dict[str, Any]:
        """The acknowledgement of an event; a refusal is an `error` event too, for those who ask for none."""
        participant = self._gates[sid].participant
        try:
            answer = await self._live.hear(participant, event, data if data is not None else b"null")
        except ApiError as refusal:
            body = msgspec.to_builtins(refusal.body)
            participant.client.offer(frames("error", body, self._live.hub.seq).socketio)
            return {"ok": False, **body}
        return {"ok": True, **answer.data}


def _refused(refusal: ApiError) -> Exception:
    """What `connect_error` of the client says: message `unauthorized`, and our error in its `data`."""
    message = "unauthorized" if refusal.status == 401 else str(refusal)
    body = msgspec.to_builtins(refusal.body)
    error: Exception = socketio.exceptions.ConnectionRefusedError(message, body)
    return error


class _Gate:
    """One connection, between the WebSocket and python-socketio."""

    def __init__(self, participant: LiveConnection, live: Live, receive: Receive, send: Send) -> None:
        self.participant = participant
        self._live = live
        self._receive = receive
        self._send = send
        self._allowance = TokenBucket(BURST, PER_SECOND)
        self._opened = False
        self._connected = False
        self._deadline = anyio.current_time() + CONNECT_WITHIN_S

    async def receive(self) -> Any:
        if not self._opened:
            self._opened = True
            return {"type": "websocket.connect"}
        message = None
        if not self._connected:
            with anyio.move_on_after(self._deadline - anyio.current_time()):
                message = await self._receive()
            if message is None and not self._connected:
                return self._dismiss(POLICY_VIOLATION, "CONNECT did not come")
        if message is None:
            message = await self._receive()
        if message["type"] != "websocket.receive" or self.participant.client.dismissed:
            return _GONE
        if not self._allowance.take():
            return self._dismiss(POLICY_VIOLATION, "too many messages")
        text = message.get("text")
        if text in _CLOSING:
            return _GONE
        if text is None or not _CLIENT_PACKET.fullmatch(text):
            return self._dismiss(UNSUPPORTED, "not a Socket.IO packet that a client may send")
        return message

    async def send(self, message: Any) -> None:
        """Once the client has been told that it is connected, it hears what happens."""
        if message["type"] == "websocket.accept":
            message = {**message, "headers": SECURITY_HEADERS}
        await self._send(message)
        if not self._connected and message["type"] == "websocket.send" and str(message["text"]).startswith("40{"):
            self._connected = True
            await self._live.enter(self.participant)

    def _dismiss(self, code: int, reason: str) -> Any:
        self.participant.client.dismiss(code, reason)
        return _GONE
