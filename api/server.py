"""uvicorn, with the bounds it lacks: a deadline for requests to arrive, and sockets that can be written to at once.

uvicorn has no header timeout, and a WebSocket of ASGI can only be awaited: one slow client at a time. The two protocol
classes here add what is missing and nothing else. They rest on attributes of uvicorn 0.54's protocols
(`transport`, `scope`, `cycle`, `writable`, `conn`, `close_sent`, `close_timer`, `read_paused`, `queue`); tests/api
fails if those change.
"""

import asyncio
import contextlib
import errno
import os
import signal
import socket
from collections.abc import Callable, Generator
from contextlib import AbstractAsyncContextManager
from typing import Any

import anyio
from anyio.abc import TaskStatus
from uvicorn import Config, Server
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State

from api.edge import error_messages
from api.errors import ApiError
from sla_monitor.settings import StartError

ARRIVAL_DEADLINE_S = 15.0
"""A connection that has not sent its whole request by then is closed."""
KEEP_ALIVE_S = 30
SHUTDOWN_S = 6
GOODBYE_S = 2.0
"""A client that is dismissed may take this long to read why."""
MAX_HEAD_BYTES = 64 * 1024
"""Request line and headers; llhttp keeps whatever comes."""
MAX_REQUEST_BYTES = 4 * 1024 * 1024
"""Body, trailers and framing; a body that is too large is answered long before."""
MAX_FRAGMENTS = 64
"""Frames of one message: empty ones never reach the limit of bytes."""
SOCKET_EXTENSION = "sla_monitor.socket"
BACKLOG = 2048
HEADROOM = 1000
"""HTTP connections beside the sockets."""


class HttpProtocol(HttpToolsProtocol):
    """Closes a connection that is too slow to say what it wants, header by header or byte by byte of a body."""

    _complete: Any = None  # the scope of the last request that is here as a whole
    _part: tuple[Any, bool] = (None, True)  # whose head or body was arriving, and whether it was the head
    _received = 0  # of that part
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvloop and asyncio give one
        super().connection_made(transport)
        self._deadline = self.loop.call_later(ARRIVAL_DEADLINE_S, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        self._arrived()
        super().connection_lost(exc)

    def on_message_complete(self) -> None:
        self._complete = self.scope
        HttpToolsProtocol.on_message_complete(self)  # super() takes its time, and this is done for each request

    def data_received(self, data: bytes) -> None:
        HttpToolsProtocol.data_received(self, data)
        if self._complete is not self.scope or self.scope is None:
            self._arriving(len(data))
        elif self.cycle is not None and self.cycle.response_complete:
            self._expect()  # an empty line between two requests: uvicorn takes it for the next one, and waits for ever
        elif self._deadline is not None:  # most requests come in one piece, and no timer is ever set for them
            self._arrived()

    def _arriving(self, received: int) -> None:
        """A part of a request has come; what lies in the piece before that part began is not counted."""
        in_head = self.scope is None or "method" not in self.scope
        goes_on = self._part[0] is self.scope and self._part[1] is in_head
        self._part = (self.scope, in_head)
        self._received = self._received + received if goes_on else 0
        if self._received > (MAX_HEAD_BYTES if in_head else MAX_REQUEST_BYTES) and not self._closing():
            self.send_400_response("too large")
        self._expect()

    def _expect(self) -> None:
        if self._deadline is None and not self._closing():
            self._deadline = self.loop.call_later(ARRIVAL_DEADLINE_S, self.transport.abort)

    def _closing(self) -> bool:
        return bool(self.transport.is_closing())

    def _arrived(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def handle_websocket_upgrade(self) -> None:
        self._complete = self.scope
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

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.transport.is_closing():
            self._refuse_handshake()  # uvicorn would leave it open and unanswered for ever

    def _refuse_handshake(self) -> None:
        start, body = error_messages(ApiError(400, "This is not a WebSocket handshake"), [(b"connection", b"close")])
        lines = [b"HTTP/1.1 400 Bad Request", *(name + b": " + value for name, value in start["headers"]), b"", b""]
        self.transport.write(b"\r\n".join(lines) + body["body"])
        self.transport.close()

    def handle_ping(self) -> None:
        """A pong is owed to those who read only: others would fill our memory with theirs."""
        if self.writable.is_set():
            super().handle_ping()
        else:
            self.conn.data_to_send()

    def handle_cont(self, event: Frame) -> None:
        if len(self.frames) >= MAX_FRAGMENTS:
            self.close_sent = True  # what came along with it is discarded
            self.transport.abort()
        elif not self.transport.is_closing():
            super().handle_cont(event)

    def handle_close(self, event: Frame) -> None:
        super().handle_close(event)
        self.loop.call_later(GOODBYE_S, self.transport.abort)  # as below

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self.loop.call_later(GOODBYE_S, self.transport.abort)  # close() waits for who does not read

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
        """Closes with a code that the client gets if it reads again soon; afterwards the connection is cut.

        Until then what it still says is read and discarded: a connection that is closed with something unread is reset,
        and the code is lost on its way. uvicorn waits for the client while there is a `close_timer`.
        """
        last = self.loop.call_later(GOODBYE_S, self.transport.abort)
        if self.conn.state is State.OPEN:
            self.conn.send_close(code, reason)
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.close_sent, self.close_timer = True, last
            if self.read_paused:
                self.read_paused = False
                self.transport.resume_reading()
            self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})


def text_frame(payload: bytes) -> bytes:
    """One unmasked WebSocket text frame, the same for every client."""
    return Frame(Opcode.TEXT, payload).serialize(mask=False)


def configure(app: Any, *, host: str, port: int, socket_limit: int, socket_max_message: int) -> Config:
    """No proxy headers are trusted, nothing of a request's line is logged, everything is bounded."""
    return Config(
        app,
        host=host,
        port=port,
        loop="uvloop",
        http=HttpProtocol,
        ws=Socket,
        ws_max_size=socket_max_message,
        ws_ping_interval=20.0,
        ws_ping_timeout=20.0,
        ws_per_message_deflate=False,
        lifespan="off",
        interface="asgi3",
        log_config=None,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=socket_limit + HEADROOM,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=SHUTDOWN_S,
    )


class PortError(StartError):
    """The port cannot be had; one line that names the setting."""


def listen(host: str, port: int) -> socket.socket:
    """A listening socket, or PortError. Bound before anything else is started."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
    except OSError as error:
        raise PortError(f"HOST={host} cannot be listened on: {error.strerror}") from None
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            raise PortError(f"PORT={port} on {host} is taken by another program; set PORT to a free one") from None
        raise PortError(f"PORT={port} on HOST={host} cannot be listened on: {error.strerror}") from None
    listening.setblocking(False)
    return listening


class _Server(Server):
    """uvicorn's server without its signals: those would be raised once more at the end, and the exit code not be 0."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


async def run(
    app: Any,
    running: Callable[[], AbstractAsyncContextManager[None]],
    *,
    host: str,
    port: int,
    socket_limit: int,
    socket_max_message: int,
) -> None:
    """Serves `app`, with `running` around it, until a signal or a cancellation; then connections have `SHUTDOWN_S`."""
    listening = listen(host, port)
    limits = {"socket_limit": socket_limit, "socket_max_message": socket_max_message}
    server = _Server(configure(app, host=host, port=port, **limits))
    with contextlib.closing(listening):
        async with running(), anyio.create_task_group() as tasks:
            await tasks.start(_stop_on_signal, server)
            tasks.start_soon(_stop_on_cancellation, server)
            with anyio.CancelScope(shield=True):
                await server.serve(sockets=[listening])
            tasks.cancel_scope.cancel()


async def _stop_on_signal(server: Server, *, task_status: TaskStatus[None]) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        task_status.started()
        async for number in signals:
            if server.should_exit:
                signal.signal(number, signal.SIG_DFL)
                os.kill(os.getpid(), number)
            server.should_exit = True


async def _stop_on_cancellation(server: Server) -> None:
    try:
        await anyio.sleep_forever()
    finally:
        server.should_exit = True
