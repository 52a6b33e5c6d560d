"""WebSockets to which frames can be written without waiting, and that need little memory.

ASGI's `send` waits for the client, so one slow client would delay all others. The hub therefore writes to the transport
directly (`Socket.write`) and is notified when the client reads too slowly, and before the connection closes.

`Socket` uses attributes of uvicorn 0.54's protocol (`transport`, `writable`, `conn`, `close_sent`, `close_timer`,
`read_paused`, `queue`, `frames`, `curr_msg_data_type`, `handshake_complete`, `request`, `response`, `scope`); tests/api
fails if those change.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Protocol, cast

from uvicorn import Config
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State

from api.edge.messages import error_messages
from api.rest.errors import ApiError
from sla_monitor.serving.connections import BoundedConfig, Fault

INVALID_DATA, POLICY_VIOLATION, TRY_AGAIN_LATER = 1007, 1008, 1013
CLOSE_WITHIN_S = 2.0
"""The time for a client to read the close frame, before its connection is aborted."""
MAX_FRAGMENTS = 64
"""The limit of frames of one message. Empty frames never reach the limit of bytes."""
SOCKET_EXTENSION = "sla_monitor.socket"
_WRITABLE = asyncio.Event()
"""The attribute `writable` of all sockets whose clients read fast enough. One event for each would take 0.8 KiB."""
_WRITABLE.set()


class Subscriber(Protocol):
    """Is notified of changes of a socket (api/live/client.py `Client`)."""

    def writing_paused(self) -> None:
        """The client does not read fast enough."""

    def writing_resumed(self) -> None:
        """The client has read."""

    def writing_ended(self) -> None:
        """The connection is closing, or closed. No other frame may be written."""


class Messages:
    """The ASGI messages that the application of a socket has not received yet. One task receives them.

    Their number is bounded: reading from the client is paused while one of its messages is waiting here.
    `asyncio.Queue` would take 2.4 KiB for each socket.
    """

    __slots__ = ("_messages", "_receiver")

    def __init__(self) -> None:
        self._messages: list[Any] = []
        self._receiver: asyncio.Future[None] | None = None

    def put_nowait(self, message: Any) -> None:
        self._messages.append(message)
        if self._receiver is not None and not self._receiver.done():
            self._receiver.set_result(None)

    def empty(self) -> bool:
        return not self._messages

    async def get(self) -> Any:
        """Waits for the next message."""
        while not self._messages:
            self._receiver = asyncio.get_running_loop().create_future()
            await self._receiver
        self._receiver = None
        return self._messages.pop(0)


class Socket(WebSocketsSansIOProtocol):
    """A WebSocket. Encoded frames can be written to it without a task switch."""

    __slots__ = (  # uvicorn's attributes and `subscriber`: without slots, a dictionary of 1.6 KiB for each socket
        "app",
        "app_state",
        "asgi_version",
        "client",
        "close_sent",
        "close_timeout",
        "close_timer",
        "config",
        "conn",
        "connections",
        "curr_msg_data_type",
        "default_headers",
        "disconnected",
        "frames",
        "handshake_complete",
        "handshake_initiated",
        "initial_response",
        "last_ping_rtt",
        "logger",
        "loop",
        "pending_ping_payload",
        "ping_interval",
        "ping_sent_at",
        "ping_timeout",
        "ping_timer",
        "pong_timer",
        "queue",
        "read_paused",
        "request",
        "response",
        "root_path",
        "scheme",
        "scope",
        "server",
        "subscriber",
        "tasks",
        "transport",
        "writable",
    )

    def __init__(self, config: Config, *args: Any, **options: Any) -> None:
        super().__init__(config, *args, **options)
        assert isinstance(config, BoundedConfig)
        self.config: BoundedConfig = config
        self.queue = cast("asyncio.Queue[Any]", Messages())
        self.writable = _WRITABLE
        self.subscriber: Subscriber | None = None

    @property
    def write(self) -> Callable[[bytes], object]:
        """The function that writes an encoded frame. It does not wait. It may be called while `writable` is set, until
        `writing_ended` is called."""
        return self.transport.write

    def pause_writing(self) -> None:
        self.writable = asyncio.Event()
        if self.subscriber is not None:
            self.subscriber.writing_paused()

    def resume_writing(self) -> None:
        self.writable.set()
        self.writable = _WRITABLE
        if self.subscriber is not None:
            self.subscriber.writing_resumed()

    def _end_writing(self) -> None:
        if self.subscriber is not None:
            self.subscriber.writing_ended()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_writing()
        self.subscriber = None
        super().connection_lost(exc)

    def shutdown(self) -> None:
        self._end_writing()
        super().shutdown()

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if (scope := getattr(self, "scope", None)) is not None:
            scope["extensions"][SOCKET_EXTENSION] = self
        else:
            self._report("bad_handshake")

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.transport.is_closing():
            self._refuse_handshake()  # uvicorn would leave the connection open without a response

    def _report(self, fault: Fault) -> None:
        self.config.connections.report(fault, self.client)

    async def send(self, message: Any) -> None:
        kind = message["type"]
        if kind == "websocket.close":
            self._end_writing()
        await super().send(message)
        if kind == "websocket.accept":
            self._drop_headers()
        elif kind == "websocket.http.response.body" and not message.get("more_body", False):
            self.handshake_complete = True  # the handshake is refused; otherwise uvicorn would log it as incomplete

    def _drop_headers(self) -> None:
        """Removes the headers of the handshake, also from the scope. They would take 5 KiB or more for each socket."""
        self.request.headers.clear()
        self.response.headers.clear()
        cast(list[Any], self.scope["headers"]).clear()

    def send_receive_event_to_app(self) -> None:
        if self.curr_msg_data_type == "text" and not self.close_sent and not _is_utf8(self.frames):
            self.frames = []
            self._report("bad_utf8")
            self.dismiss(INVALID_DATA, "text must be UTF-8")
        else:
            super().send_receive_event_to_app()

    def handle_parser_exception(self) -> None:
        self._end_writing()
        self._report("bad_frame")
        if self.conn.close_sent is not None:
            super().handle_parser_exception()
        else:  # before the handshake is complete, where uvicorn would assume that a close frame has been sent
            self.close_sent = True
            self.transport.abort()

    def _refuse_handshake(self) -> None:
        self._report("bad_handshake")
        start, body = error_messages(ApiError(400, "not_a_handshake"), [(b"connection", b"close")])
        lines = [b"HTTP/1.1 400 Bad Request", *(name + b": " + value for name, value in start["headers"]), b"", b""]
        self.transport.write(b"\r\n".join(lines) + body["body"])
        self.transport.close()

    def handle_ping(self) -> None:
        """No pong is sent to a client that does not read: pongs would accumulate in memory."""
        if self.writable.is_set():
            super().handle_ping()
        else:
            self.conn.data_to_send()

    def handle_cont(self, event: Frame) -> None:
        if len(self.frames) >= MAX_FRAGMENTS:
            self._report("bad_frame")
            self.close_sent = True  # further frames of the same read are discarded
            self.transport.abort()
        elif not self.transport.is_closing():
            super().handle_cont(event)

    def handle_close(self, event: Frame) -> None:
        self._end_writing()
        super().handle_close(event)
        self._abort_later()

    def keepalive_timeout(self) -> None:
        self._end_writing()
        super().keepalive_timeout()
        self._abort_later()

    def _abort_later(self) -> asyncio.TimerHandle:
        """Aborts the connection after CLOSE_WITHIN_S. `close` alone would wait for a client that does not read."""
        return self.loop.call_later(CLOSE_WITHIN_S, self.transport.abort)

    def dismiss(self, code: int, reason: str) -> None:
        """Closes the connection with a code and a reason. The client has `CLOSE_WITHIN_S` to read them.

        Until then, data from the client is read and discarded: TCP resets a connection that is closed with unread
        data, and the close frame would be lost. uvicorn waits for the client while there is a `close_timer`.
        """
        self._end_writing()
        abort = self._abort_later()
        if self.conn.state is State.OPEN:
            self.conn.send_close(code, reason)
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.close_sent, self.close_timer = True, abort
            if self.read_paused:
                self.read_paused = False
                self.transport.resume_reading()
            self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})


def _is_utf8(frames: Sequence[bytes]) -> bool:
    try:
        b"".join(frames).decode()
    except UnicodeDecodeError:
        return False
    return True


def text_frame(payload: bytes) -> bytes:
    """An encoded WebSocket text frame, not masked, so that it is the same for every client."""
    return Frame(Opcode.TEXT, payload).serialize(mask=False)
