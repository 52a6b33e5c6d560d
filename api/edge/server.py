"""uvicorn, with the bounds it lacks, and WebSockets that can be written to without waiting.

ASGI's `send` waits for the client, so one slow client would delay all others. `Socket` therefore adds `write_frame`. It
uses attributes of uvicorn 0.54's protocol (`transport`, `writable`, `conn`, `close_sent`, `close_timer`, `read_paused`,
`queue`, `frames`, `curr_msg_data_type`, `handshake_complete`); tests/api fails if those change.
"""

import contextlib
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any

import anyio
from uvicorn import Config, Server
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State

from api.edge.connections import Clients, ProxiedHttpProtocol
from api.edge.messages import error_messages
from api.rest.errors import ApiError
from sla_monitor.serving.connections import BoundedConfig, BoundedServer, Fault, HttpProtocol
from sla_monitor.serving.ports import bind
from sla_monitor.serving.signals import stop_on_signal
from sla_monitor.settings import Settings

KEEP_ALIVE_S = 30
SHUTDOWN_S = 6
INVALID_DATA = 1007
CLOSE_WITHIN_S = 2.0
"""A client whose connection is closed has this long to read the close frame."""
MAX_FRAGMENTS = 64
"""Frames of one message: empty frames never reach the limit of bytes."""
SOCKET_EXTENSION = "sla_monitor.socket"
BACKLOG = 2048


class Socket(WebSocketsSansIOProtocol):
    """A WebSocket. The hub writes encoded frames to it without a task switch."""

    def __init__(self, config: Config, *args: Any, **options: Any) -> None:
        super().__init__(config, *args, **options)
        assert isinstance(config, BoundedConfig)
        self.config: BoundedConfig = config

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
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            self.handshake_complete = True  # it is refused; uvicorn would log an incomplete handshake

    def send_receive_event_to_app(self) -> None:
        if self.curr_msg_data_type == "text" and not self.close_sent and not _is_utf8(self.frames):
            self.frames = []
            self._report("bad_utf8")
            self.dismiss(INVALID_DATA, "text must be UTF-8")
        else:
            super().send_receive_event_to_app()

    def handle_parser_exception(self) -> None:
        self._report("bad_frame")
        if self.conn.close_sent is not None:
            super().handle_parser_exception()
        else:  # before the handshake is complete: uvicorn assumes that a close has been sent
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
        super().handle_close(event)
        self.loop.call_later(CLOSE_WITHIN_S, self.transport.abort)  # as below

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self.loop.call_later(CLOSE_WITHIN_S, self.transport.abort)  # close() waits until the client has read

    def write_frame(self, frame: bytes) -> bool:
        """Writes one encoded frame; False if the client does not read fast enough. Then `writable` is set when the
        frame can be tried again.

        Nothing is written to a socket that is closing, and True is returned.
        """
        if not self.writable.is_set():
            return False
        if self.conn.state is State.OPEN and not self.transport.is_closing():
            self.transport.write(frame)
        return True

    def dismiss(self, code: int, reason: str) -> None:
        """Closes with a code and a reason. After `CLOSE_WITHIN_S`, in which the client can read them, it is aborted.

        Until then, what the client sends is read and discarded: TCP resets a connection that is closed with unread
        data, and the close frame would be lost. uvicorn waits for the client while there is a `close_timer`.
        """
        abort = self.loop.call_later(CLOSE_WITHIN_S, self.transport.abort)
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


def configure(app: Any, settings: Settings, count: Callable[[Fault], object]) -> BoundedConfig:
    """uvicorn's configuration: it trusts no proxy headers, logs no requests, and everything is bounded."""
    return BoundedConfig(
        app,
        Clients(settings, count),
        host=settings.api_host,
        port=settings.api_port,
        loop="uvloop",
        http=ProxiedHttpProtocol if settings.trusted_proxies else HttpProtocol,
        ws=Socket,
        ws_max_size=settings.socket_max_message,
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
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=SHUTDOWN_S,
    )


async def run(
    app: Any,
    running: Callable[[], AbstractAsyncContextManager[None]],
    settings: Settings,
    count: Callable[[Fault], object],
) -> None:
    """Serves `app` inside the context `running` until a signal or a cancellation; then connections have `SHUTDOWN_S`.

    `count` is called for each protocol error of a client.
    """
    listening = bind(settings, "api", BACKLOG)
    server = BoundedServer(configure(app, settings, count))
    with contextlib.closing(listening):
        async with running(), anyio.create_task_group() as tasks:
            await tasks.start(stop_on_signal, partial(_stop, server))
            tasks.start_soon(_stop_on_cancellation, server)
            with anyio.CancelScope(shield=True):
                await server.serve(sockets=[listening])
            tasks.cancel_scope.cancel()


def _stop(server: Server) -> None:
    server.should_exit = True


async def _stop_on_cancellation(server: Server) -> None:
    try:
        await anyio.sleep_forever()
    finally:
        server.should_exit = True
