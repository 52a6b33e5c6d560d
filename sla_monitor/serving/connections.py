"""HTTP connections with the bounds that uvicorn lacks: in number, in time, in bytes. For every server of this program.

A connection holds a place as long as its client sends or reads. It has deadlines for both, and where no place is left,
the connection that has waited longest for its client is closed. What clients do wrong is counted and logged as theirs.

Rests on attributes of uvicorn 0.54's HttpToolsProtocol (`transport`, `parser`, `scope`, `cycle`, `client`, `url`,
`timeout_keep_alive_task`); the tests fail if those change.
"""

import asyncio
import contextlib
import heapq
import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Generator, Mapping
from typing import Any, Literal

from httptools import HttpParserError, HttpParserUpgrade
from uvicorn import Config, Server
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

log = logging.getLogger(__name__)

ARRIVAL_DEADLINE_S = 15.0
"""A connection that has not sent its whole request by then is closed."""
STALL_DEADLINE_S = 15.0
"""A connection whose client reads nothing of a response for this long is closed."""
DRAIN_DEADLINE_S = 60.0
"""A connection whose client always leaves a part of its responses unread is closed after this time."""
CHECK_TICKS = 10
"""How often it is looked at what is unread, in ticks of uvicorn's main loop: 0.1 s each."""
MAX_HEAD_BYTES = 64 * 1024
"""Request line and headers; llhttp keeps whatever comes."""
MAX_REQUEST_BYTES = 4 * 1024 * 1024
"""Body, trailers and framing; a body that is too large is answered long before."""
RETRY_AFTER_S = 5
CLOSED_AT_ONCE = 50
"""Where there is no room, one of so many connections is closed."""

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
"""What a client did: sent no HTTP, sent too much, was too slow to send or to read, closed its connection before its
response, had too many connections, lost one to a newer one, or broke the rules of WebSocket."""


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
    "There are too many connections from your address",
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
        """What the connections of an address are counted by; None for those of nobody in particular."""
        return peer

    def client_of_request(self, scope: Mapping[str, Any]) -> str | None:
        """What a request counts by whose connection is nobody's in particular."""
        return None

    def report(self, fault: Fault, client: tuple[str, int] | None) -> None:
        """Counts what a client did, and logs it for debugging only: it is no fault of the server."""
        self._count(fault)
        log.debug("client %s: %s", client[0] if client else "unknown", fault)

    def admit(self, connection: "HttpProtocol", client: str | None) -> bool:
        """Counts a connection for `client`, or from now on for that one. At a bound, connections that have waited
        longest for their clients are closed; False where none waits."""
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
        """Counts a connection no more. Does nothing if it is not counted."""
        client = self._open.pop(connection, None)
        if client is not None:
            mine = self._of[client]
            mine.discard(connection)
            if not mine:
                del self._of[client]

    def _make_room(self, connections: Collection["HttpProtocol"]) -> bool:
        """Looking at all of them takes a while, so a few are closed at once."""
        waiting = [(since, id(one), one) for one in connections if (since := one.waiting_since()) is not None]
        for _, _, one in heapq.nsmallest(max(1, len(connections) // CLOSED_AT_ONCE), waiting):
            one.drop("crowded_out")
        return bool(waiting)

    def check_reading(self, now: float) -> None:
        """Closes the connections whose responses are not read. To be called every second or so."""
        for connection in list(self._open):
            connection.check_reading(now)


class BoundedConfig(Config):
    """uvicorn's configuration for `HttpProtocol`. `connections` is the only bound on their number."""

    def __init__(self, app: Any, connections: Connections, **options: Any) -> None:
        super().__init__(app, **options)
        self.connections = connections


class HttpProtocol(HttpToolsProtocol):
    """One connection. It ends when its client is too slow: header by header, byte by byte of a body, or in reading."""

    _complete: Any = None  # the scope of the last request that is here as a whole
    _part: tuple[Any, bool] = (None, True)  # whose head or body was arriving, and whether it was the head
    _received = 0  # of that part
    _deadline: asyncio.TimerHandle | None = None
    _answering: Any = None  # the cycle of the request that is being answered; `cycle` is that of the last one received
    _unread = 0  # bytes that the client had not taken when last looked at
    _unread_since: float | None = None
    _taken_at = 0.0
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
        answering = self._answering
        if answering is not None and not answering.response_complete:
            answering.disconnected = True  # uvicorn tells the last request received only, and the others write on
            answering.message_event.set()
            if not self._dropped:
                self.config.connections.report("left", self.client)
        super().connection_lost(exc)

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        self._answering = cycle
        HttpToolsProtocol._start_asgi_task(self, cycle, app)

    def on_message_complete(self) -> None:
        self._complete = self.scope
        HttpToolsProtocol.on_message_complete(self)  # super() takes its time, and this is done for each request

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
            # Any other protocol is not spoken here: the request is answered as it is.
        except HttpParserError:
            self.send_400_response("not HTTP")
            return
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
        """Since when its client has sent no request, only a part of one, or has not read its response; None while the
        client is the one who waits."""
        if self._deadline is not None:
            return self._deadline.when() - ARRIVAL_DEADLINE_S
        if self.timeout_keep_alive_task is not None:
            return self.timeout_keep_alive_task.when() - self.timeout_keep_alive
        return self._unread_since

    def check_reading(self, now: float) -> None:
        """Closes the connection where its client has not read for too long. uvicorn would wait for ever, also when it
        closes the connection itself."""
        unread = self.transport.get_write_buffer_size()
        if not unread:
            self._unread, self._unread_since = 0, None
            return
        if unread != self._unread:
            self._unread, self._taken_at = unread, now
        if self._unread_since is None:
            self._unread_since = now
        if now - self._taken_at >= STALL_DEADLINE_S or now - self._unread_since >= DRAIN_DEADLINE_S:
            self.drop("not_read")

    def drop(self, fault: Fault) -> None:
        """Ends the connection at once, for what its client did or did not do."""
        self._dropped = True
        self.config.connections.leave(self)
        self.config.connections.report(fault, self.client)
        self.transport.abort()

    def _refuse(self, fault: Fault, response: bytes) -> None:
        """Ends the connection with a response, unless one is under way."""
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
            self.drop("bad_handshake")  # the responses before it would have nobody who tells them to go on
        else:
            self._arrived()
            self.config.connections.leave(self)
            super().handle_websocket_upgrade()

    def send_400_response(self, msg: str) -> None:
        self._refuse("not_http", NOT_HTTP)


class BoundedServer(Server):
    """uvicorn's server. Signals stay with the process that it is a part of: they would be raised once more at the end,
    and the exit code not be 0."""

    def __init__(self, config: BoundedConfig) -> None:
        super().__init__(config)
        self._connections = config.connections

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield

    async def on_tick(self, counter: int) -> bool:
        if counter % CHECK_TICKS == 0:
            self._connections.check_reading(asyncio.get_running_loop().time())
        return await super().on_tick(counter)
