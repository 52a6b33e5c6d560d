"""uvicorn, with the bounds it lacks: a deadline for requests to arrive, and sockets that can be written to at once.

uvicorn has no header timeout, and a WebSocket of ASGI can only be awaited: one slow client at a time. The two protocol
classes here add what is missing and nothing else; they rest on uvicorn 0.54's `HttpToolsProtocol` and
`WebSocketsSansIOProtocol` (attributes `transport`, `writable`, `conn`), and tests/api/test_server.py fails if those change.
"""

import asyncio
from typing import Any

from uvicorn import Config, Server
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State

from api.edge import error_messages
from api.errors import ApiError

ARRIVAL_DEADLINE_S = 15.0
"""A connection that has not sent its whole request by then is closed."""
KEEP_ALIVE_S = 30
SHUTDOWN_S = 6
GOODBYE_S = 2.0
"""A client that is dismissed may take this long to read why."""
MAX_MESSAGE_BYTES = 4096
SOCKET_EXTENSION = "sla_monitor.socket"
HEADROOM = 1000
"""HTTP connections beside the sockets."""


class HttpProtocol(HttpToolsProtocol):
    """Closes a connection that is too slow to say what it wants, header by header or byte by byte of a body."""

    _arriving = True
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._deadline = self.loop.call_later(ARRIVAL_DEADLINE_S, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        self._arrived()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        self._arriving = True
        super().on_message_begin()

    def on_message_complete(self) -> None:
        self._arriving = False
        super().on_message_complete()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._arriving:  # the whole request came in one piece: no timer is ever set for most
            self._arrived()
        elif self._deadline is None and not self.transport.is_closing():
            self._deadline = self.loop.call_later(ARRIVAL_DEADLINE_S, self.transport.abort)

    def _arrived(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def handle_websocket_upgrade(self) -> None:
        self._arriving = False
        super().handle_websocket_upgrade()

    def send_400_response(self, msg: str) -> None:
        start, body = error_messages(ApiError(400, "This is not HTTP"), [(b"connection", b"close")])
        lines = [b"HTTP/1.1 400 Bad Request", *(name + b": " + value for name, value in start["headers"]), b"", b""]
        self.transport.write(b"\r\n".join(lines) + body["body"])
        self.transport.close()


class Socket(WebSocketsSansIOProtocol):
    """A WebSocket that the hub can write an encoded frame to, without a task switch, if it takes it now."""

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if (scope := getattr(self, "scope", None)) is not None:
            scope["extensions"][SOCKET_EXTENSION] = self

    def write_frame(self, frame: bytes) -> bool:
        """False when the client does not read fast enough just now; then `writable` tells when to try again.

        To a socket that is closing nothing is written, and that counts as done.
        """
        if not self.writable.is_set():
            return False
        if self.conn.state is State.OPEN and not self.transport.is_closing():
            self.transport.write(frame)
        return True

    def dismiss(self, code: int, reason: str) -> None:
        """Closes with a code that the client gets if it reads again soon; afterwards the connection is cut."""
        if self.conn.state is State.OPEN:
            self.conn.send_close(code, reason)
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.close_sent = True
            self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.loop.call_later(GOODBYE_S, self.transport.abort)


def text_frame(payload: bytes) -> bytes:
    """One unmasked WebSocket text frame, the same for every client."""
    return Frame(Opcode.TEXT, payload).serialize(mask=False)


def configure(app: Any, *, host: str, port: int, socket_limit: int) -> Config:
    """No proxy headers are trusted, nothing of a request's line is logged, everything is bounded."""
    return Config(
        app,
        host=host,
        port=port,
        loop="uvloop",
        http=HttpProtocol,
        ws=Socket,
        ws_max_size=MAX_MESSAGE_BYTES,
        ws_ping_interval=20.0,
        ws_ping_timeout=20.0,
        ws_per_message_deflate=False,
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=socket_limit + HEADROOM,
        backlog=2048,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=SHUTDOWN_S,
    )


class QuietServer(Server):
    """A server whose signals are somebody else's business: whoever cancels the task that serves ends it."""

    def install_signal_handlers(self) -> None:
        """Signals belong to the command line, which holds the process's one task group."""
