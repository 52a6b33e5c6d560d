"""Limits on HTTP connections that uvicorn does not have: their number, their duration, their bytes. All servers of this
program use them.

A client has deadlines for sending a request and for reading the response. If the number of connections reaches its
limit, those that have waited longest for their clients are closed. Faults of clients are counted by kind.

This module uses attributes of uvicorn 0.54's HttpToolsProtocol (`transport`, `parser`, `scope`, `cycle`, `client`,
`url`, `timeout_keep_alive_task`). The tests fail if they change.
"""

import asyncio
import heapq
import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from typing import Any, Literal

from httptools import HttpParserError, HttpParserUpgrade
from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

log = logging.getLogger(__name__)

ARRIVAL_DEADLINE_S = 15.0
"""A connection is closed if a complete request has not arrived within this time."""
STALL_DEADLINE_S = 15.0
"""A connection is closed if its client reads nothing of a response for this time."""
DRAIN_DEADLINE_S = 60.0
"""A connection is closed if its client has left a part of the responses unread for this time without a break."""
MAX_HEAD_BYTES = 64 * 1024
"""Limit of request line and headers, because llhttp has none."""
MAX_REQUEST_BYTES = 4 * 1024 * 1024
"""Limit of body, trailers and framing. The application refuses large bodies earlier."""
RETRY_AFTER_S = 5
SHARE_CLOSED = 50
"""At a limit, one in this number of connections is closed at once, because finding the oldest takes time."""

Fault = Literal[
    "not_http",
    "too_large",
    "slow_request",
    "not_read",
    "left",
    "too_many_connections",
    "crowded_out",
    "bad_handshake",
    "bad_frame",
    "bad_utf8",
]
"""Faults of clients, in this order: a request that is not HTTP; one that is too large; one that arrives too slowly; a
response that is not read; a connection closed by the client before its response; too many connections; a connection
that waits for its client, closed in favour of a new one; and violations of the WebSocket protocol."""


def _refusal(status: str, code: str, error: str, *headers: str) -> bytes:
    body = f'{{"error":"{error}","code":"{code}"}}'
    lines = [
        f"HTTP/1.1 {status}",
        "content-type: application/json",
        f"content-length: {len(body)}",
        "cache-control: no-store",
        "connection: close",
        *headers,
    ]
    return "\r\n".join([*lines, "", body]).encode()


NOT_HTTP = _refusal("400 Bad Request", "VALIDATION_ERROR", "This is not HTTP")
TOO_MANY = _refusal(
    "429 Too Many Requests",
    "RATE_LIMITED",
    "Too many connections from your address",
    f"retry-after: {RETRY_AFTER_S}",
)


class Connections:
    """The open HTTP connections of one server: at most `limit`, and at most `per_client` of one client."""

    def __init__(self, limit: int, per_client: int, count: Callable[[Fault], object]) -> None:
        self._limit = limit
        self._per_client = per_client
        self._count = count
        self._open: dict[HttpProtocol, str | None] = {}
        self._of: defaultdict[str, set[HttpProtocol]] = defaultdict(set)

    def client_of_peer(self, peer: str) -> str | None:
        """The key by which connections of this address are counted. None if it is a proxy of many clients."""
        return peer

    def client_of_request(self, scope: Mapping[str, Any]) -> str | None:
        """The key by which a request is counted if it comes through a proxy, otherwise None."""
        return None

    def report(self, fault: Fault, client: tuple[str, int] | None) -> None:
        """Counts a fault of a client. Logged at debug level, because the server has no part in it."""
        self._count(fault)
        log.debug("client %s: %s", client[0] if client else "unknown", fault)

    def admit(self, connection: "HttpProtocol", client: str | None) -> bool:
        """Counts a connection, from now on for `client`. At a limit, closes connections that have waited longest for
        their clients. Returns False if there are none: the connection is refused."""
        self.leave(connection)
        mine: Collection[HttpProtocol] = self._of.get(client, ()) if client is not None else ()
        if len(mine) >= self._per_client and not self._make_room(mine):
            return False
        if len(self._open) >= self._limit and not self._make_room(self._open):
            return False
        self._open[connection] = client
        if client is not None:
            self._of[client].add(connection)
        return True

    def leave(self, connection: "HttpProtocol") -> None:
        """Stops counting a connection. Does nothing if it is not counted."""
        client = self._open.pop(connection, None)
        if client is not None:
            mine = self._of[client]
            mine.discard(connection)
            if not mine:
                del self._of[client]

    def _make_room(self, connections: Collection["HttpProtocol"]) -> bool:
        """Closes some of the connections that wait for their clients. Returns False if there are none."""
        waiting = [(since, id(one), one) for one in connections if (since := one.waiting_since()) is not None]
        for _, _, one in heapq.nsmallest(max(1, len(connections) // SHARE_CLOSED), waiting):
            one.drop("crowded_out")
        return bool(waiting)

    def check_reading(self, now: float) -> None:
        """Closes connections whose clients do not read their responses. Called about once a second."""
        for connection in list(self._open):
            connection.check_reading(now)


class BoundedConfig(Config):
    """uvicorn's configuration, for use with `HttpProtocol`. `connections` is the only limit on their number."""

    def __init__(self, app: Any, connections: Connections, **options: Any) -> None:
        super().__init__(app, **options)
        self.connections = connections


class HttpProtocol(HttpToolsProtocol):
    """One connection. It is closed if its client sends or reads too slowly."""

    _complete: Any = None  # the scope of the last request that has arrived completely
    _part: tuple[Any, bool] = (None, True)  # the scope of the arriving request, and whether its head is arriving
    _received = 0  # bytes of that head or body
    _deadline: asyncio.TimerHandle | None = None
    _responding: Any = None  # the cycle of the current response; `cycle` is that of the last request received
    _unread = 0  # bytes that the client had not read at the last check
    _unread_since: float | None = None
    _read_at = 0.0  # the last check at which this number had changed
    _dropped = False

    def __init__(self, config: Config, *args: Any, **options: Any) -> None:
        super().__init__(config, *args, **options)
        assert isinstance(config, BoundedConfig)
        self.config: BoundedConfig = config

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvloop and asyncio give one
        super().connection_made(transport)
        self._expect()
        connections = self.config.connections
        if not connections.admit(self, connections.client_of_peer(self.client[0] if self.client else "unknown")):
            self._refuse("too_many_connections", TOO_MANY)

    def connection_lost(self, exc: Exception | None) -> None:
        self.config.connections.leave(self)
        self._arrived()
        responding = self._responding
        if responding is not None and not responding.response_complete:
            responding.disconnected = True  # uvicorn marks only the last request received
            responding.message_event.set()
            if not self._dropped:
                self.config.connections.report("left", self.client)
        super().connection_lost(exc)

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        self._responding = cycle
        HttpToolsProtocol._start_asgi_task(self, cycle, app)

    def on_message_complete(self) -> None:
        self._complete = self.scope
        HttpToolsProtocol.on_message_complete(self)  # super() is slow, and this runs for each request

    def data_received(self, data: bytes) -> None:
        idle = self.timeout_keep_alive_task
        if idle is not None:
            idle.cancel()
            self.timeout_keep_alive_task = None
        try:
            self.parser.feed_data(data)
        except HttpParserUpgrade:
            if self._should_upgrade():
                self.handle_websocket_upgrade()
                return
            # Other protocols are not supported: the request is handled as HTTP.
        except HttpParserError:
            self.send_400_response("not HTTP")
            return
        if self._complete is not self.scope or self.scope is None:
            self._arriving(len(data))
        elif self.cycle is not None and self.cycle.response_complete:
            self._expect()  # after an empty line between requests uvicorn would wait without a timeout
        elif self._deadline is not None:  # not set if the request has arrived in one piece
            self._arrived()

    def _arriving(self, received: int) -> None:
        """Counts the bytes of an incomplete head or body. The chunk in which it begins is not counted."""
        in_head = self.scope is None or "method" not in self.scope
        continues = self._part[0] is self.scope and self._part[1] is in_head
        self._part = (self.scope, in_head)
        self._received = self._received + received if continues else 0
        if self._received > (MAX_HEAD_BYTES if in_head else MAX_REQUEST_BYTES) and not self._closing():
            self._refuse("too_large", NOT_HTTP)
        self._expect()

    def _expect(self) -> None:
        if self._deadline is None and not self._closing():
            self._deadline = self.loop.call_later(ARRIVAL_DEADLINE_S, self.drop, "slow_request")

    def _closing(self) -> bool:
        return bool(self.transport.is_closing())

    def _arrived(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def waiting_since(self) -> float | None:
        """The time since which the connection waits for its client: for a request, the rest of one, or the reading of a
        response. None if the client waits for a response."""
        if self._deadline is not None:
            return self._deadline.when() - ARRIVAL_DEADLINE_S
        if self.timeout_keep_alive_task is not None:
            return self.timeout_keep_alive_task.when() - self.timeout_keep_alive
        return self._unread_since

    def check_reading(self, now: float) -> None:
        """Closes the connection if its client exceeds a deadline of reading. uvicorn has no such
        deadline, also not for connections that it is closing."""
        unread = self.transport.get_write_buffer_size()
        if not unread:
            self._unread, self._unread_since = 0, None
            return
        if unread != self._unread:
            self._unread, self._read_at = unread, now
        if self._unread_since is None:
            self._unread_since = now
        if now - self._read_at >= STALL_DEADLINE_S or now - self._unread_since >= DRAIN_DEADLINE_S:
            self.drop("not_read")

    def drop(self, fault: Fault) -> None:
        """Closes the connection at once because of a fault of its client."""
        self._dropped = True
        self.config.connections.leave(self)
        self.config.connections.report(fault, self.client)
        self.transport.abort()

    def _refuse(self, fault: Fault, response: bytes) -> None:
        """Sends a response and closes the connection. If another response is being sent, closes it at once."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.drop(fault)
            return
        self._dropped = True
        self.config.connections.report(fault, self.client)
        self.transport.write(response)
        self.transport.close()

    def handle_websocket_upgrade(self) -> None:
        if not self.url.isascii():
            self._refuse("not_http", NOT_HTTP)
        elif (self.cycle is not None and not self.cycle.response_complete) or self.transport.get_write_buffer_size():
            self.drop("bad_handshake")  # after the upgrade nothing would send the rest of earlier responses
        else:
            self._arrived()
            self.config.connections.leave(self)
            super().handle_websocket_upgrade()

    def send_400_response(self, msg: str) -> None:
        self._refuse("not_http", NOT_HTTP)
