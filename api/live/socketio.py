"""Socket.IO 4 at `/socket.io`, over WebSocket only: the same rooms and events as `/ws`, for existing front ends.

python-socketio implements the protocol: handshake, connect with `auth: {token}`, acknowledgements, pings, disconnect.
The hub writes events directly to the WebSocket, encoded once for all clients. The library would encode them for each
client, and would use a queue and a task for each.

Every frame of a client passes `_Gate` before the library gets it. `_Gate` sets the bounds that the library does not
have: the rate of messages, the time to connect, and the types of packets. Events with names that the library reserves
(`connect`, `disconnect`, `*`) are not passed on.
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

from api.edge.asgi import Receive, Scope, Send
from api.edge.security_headers import SECURITY_HEADERS
from api.edge.token_bucket import TokenBucket
from api.edge.websocket import POLICY_VIOLATION, SOCKET_EXTENSION
from api.live.access import LiveConnection
from api.live.admission import websocket_only
from api.live.events import Transport, frames
from api.live.handler import MESSAGE_BURST, MESSAGES_PER_SECOND, MessageHandler
from api.rest.errors import ApiError

log = logging.getLogger(__name__)
_library_log = logging.getLogger("sla_monitor.socketio")
_library_log.setLevel(logging.ERROR)  # below that level the library logs packets, including tokens

CONNECT_WITHIN_S = 10.0
"""The time in which a client must send CONNECT."""
PING_INTERVAL_S = 25
PING_TIMEOUT_S = 20
UNSUPPORTED = 1003
_GATE = "sla_monitor.gate"
_CLIENT_PACKET = re.compile(r"3|40(/[^,\s]*,?)?(\{.*)?|42[0-9]{0,15}\[.*", re.DOTALL)
_EVENT = re.compile(r"2([0-9]*)(.*)", re.DOTALL)
_CONNECT = re.compile(r"0(/[^,\s]*)?,?(.*)", re.DOTALL)
_CLOSING = frozenset({"1", "41"})
_RESERVED = frozenset({"connect", "disconnect", "*"})
_DISCONNECT = {"type": "websocket.disconnect", "code": 1006}
"""The ASGI message after which the library ends the connection."""


class _Json:
    """The JSON encoder of the library. Packets are decoded in `_Packet`."""

    @staticmethod
    def dumps(data: object, **_: object) -> str:
        return msgspec.json.encode(data).decode()


class _Packet(socketio.packet.Packet):  # type: ignore[misc]  # the library has no types
    """A Socket.IO packet that has passed `_Gate`. The data of an event is [name, msgspec.Raw]. The name of an event
    that cannot be decoded is empty, so that the reply is an error."""

    uses_binary_events = False
    json = _Json

    def decode(self, encoded_packet: str) -> int:
        self.packet_type = int(encoded_packet[0])
        self.namespace: str | None = None
        self.data: Any = None
        if (event := _EVENT.fullmatch(encoded_packet)) is not None:
            self.id = int(event[1]) if event[1] else None
            self.data = _event(event[2])
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
    """Engine.IO with background tasks in the application's task group."""

    tasks: TaskGroup

    def start_background_task(self, target: Callable[..., Coroutine[Any, Any, Any]], *args: Any) -> None:
        self.tasks.start_soon(_log_failure, target, *args)


async def _log_failure(target: Callable[..., Coroutine[Any, Any, Any]], *args: Any) -> None:
    try:
        await target(*args)
    except Exception as error:  # of one client, whose connection ends with the next ping
        log.warning("Socket.IO: %s", type(error).__name__)


class _Server(socketio.AsyncServer):  # type: ignore[misc]  # the library has no types
    def _engineio_server_class(self) -> type[_Engine]:
        return _Engine


class _Credentials(msgspec.Struct):
    token: str | None = None


class SocketIoTransport:
    """The ASGI application of `/socket.io`."""

    def __init__(self, handler: MessageHandler, tasks: TaskGroup, max_message: int) -> None:
        self._handler = handler
        self._gates: dict[str, _Gate] = {}
        self._server = _Server(
            async_mode="asgi",
            transports=["websocket"],
            allow_upgrades=False,
            async_handlers=False,  # the events of a client are handled one after the other
            cors_allowed_origins="*",  # Origin has been checked: api/live/admission.py
            serializer=_Packet,
            max_http_buffer_size=max_message,
            ping_interval=PING_INTERVAL_S,
            ping_timeout=PING_TIMEOUT_S,
            monitor_clients=False,  # the reader closes a connection without a pong
            logger=_library_log,
            engineio_logger=_library_log,
        )
        self._server.eio.tasks = tasks
        self._server.on("connect", self._connect)
        self._server.on("disconnect", self._disconnect)
        self._server.on("*", self._handle)

    async def __call__(self, scope: Scope, receive: Receive, send: Send, address: str) -> None:
        parameters = parse_qs(scope["query_string"].decode("latin-1"))
        is_websocket = parameters.get("transport") == ["websocket"] and parameters.get("EIO") == ["4"]
        if not is_websocket or {"sid", "j"} & parameters.keys():
            raise websocket_only()
        client = self._handler.hub.connect(scope["extensions"][SOCKET_EXTENSION], Transport.SOCKETIO)
        gate = _Gate(LiveConnection(client, address), self._handler, receive, send)
        try:
            await self._server.handle_request({**scope, _GATE: gate}, gate.receive, gate.send)
        finally:
            self._handler.leave(gate.connection)

    async def _connect(self, sid: str, environ: Any, auth: str | None = None) -> None:
        """Authenticates by the `auth` payload. Without a token the client is anonymous."""
        gate: _Gate = environ["asgi.scope"][_GATE]
        try:
            token = msgspec.json.decode(auth, type=_Credentials).token if auth else None
            if token:
                await self._handler.authenticate(gate.connection, token.removeprefix("Bearer "))
        except (msgspec.DecodeError, RecursionError):
            raise _refused(ApiError(401, "send_auth")) from None
        except ApiError as error:
            raise _refused(error) from None
        self._gates[sid] = gate

    async def _disconnect(self, sid: str, _reason: str) -> None:
        self._gates.pop(sid, None)

    async def _handle(self, event: str, sid: str, data: msgspec.Raw | None = None, *_: object) -> dict[str, Any]:
        """The acknowledgement of an event. An error is also sent as an `error` event, for clients that request no
        acknowledgements."""
        connection = self._gates[sid].connection
        try:
            reply = await self._handler.handle(connection, event, data if data is not None else b"null")
        except ApiError as error:
            body = msgspec.to_builtins(error.body)
            connection.client.send(frames("error", body, self._handler.hub.seq).socketio)
            return {"ok": False, **body}
        return {"ok": True, **reply.data}


def _refused(error: ApiError) -> Exception:
    """The exception that sends `connect_error` to the client. Its message is `unauthorized` for a 401, otherwise the
    text of the error; its `data` is the body of the error."""
    message = "unauthorized" if error.status == 401 else str(error)
    body = msgspec.to_builtins(error.body)
    refusal: Exception = socketio.exceptions.ConnectionRefusedError(message, body)
    return refusal


class _Gate:
    """One connection, between the WebSocket and python-socketio."""

    def __init__(self, connection: LiveConnection, handler: MessageHandler, receive: Receive, send: Send) -> None:
        self.connection = connection
        self._handler = handler
        self._receive = receive
        self._send = send
        self._bucket = TokenBucket(MESSAGE_BURST, MESSAGES_PER_SECOND)
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
                return self._dismiss(POLICY_VIOLATION, "no CONNECT packet in time")
        if message is None:
            message = await self._receive()
        if message["type"] != "websocket.receive" or self.connection.client.dismissed:
            return _DISCONNECT
        if not self._bucket.take():
            return self._dismiss(POLICY_VIOLATION, "too many messages")
        text = message.get("text")
        if text in _CLOSING:
            return _DISCONNECT
        if text is None or not _CLIENT_PACKET.fullmatch(text):
            return self._dismiss(UNSUPPORTED, "not a Socket.IO packet that a client may send")
        return message

    async def send(self, message: Any) -> None:
        """Sends a packet of the library. After the one that confirms the connection, the client joins its rooms."""
        if message["type"] == "websocket.accept":
            message = {**message, "headers": SECURITY_HEADERS}
        await self._send(message)
        if not self._connected and message["type"] == "websocket.send" and str(message["text"]).startswith("40{"):
            self._connected = True
            await self._handler.enter(self.connection)

    def _dismiss(self, code: int, reason: str) -> Any:
        self.connection.client.dismiss(code, reason)
        return _DISCONNECT
