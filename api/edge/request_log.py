"""The request log (REQUEST_LOG): one line for each request on standard output, as text or JSON.

A line has the template of the route, not the path or the query, which may contain tokens. A WebSocket gets one line,
when it ends. A thread writes the lines. If standard output blocks, lines are dropped and counted; requests never wait.
"""

import json
import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from queue import Full, Queue
from threading import Thread
from time import perf_counter
from typing import Any, Literal, TextIO

import msgspec

from api.edge.asgi import ASGIApp, Message, Receive, Scope, Send, header
from api.edge.client_address import client_of
from api.metrics import Metrics
from api.rest.moments import iso
from sla_monitor.formats.networks import Network

MAX_WAITING = 10_000
"""At most this many lines wait to be written; further ones are dropped."""
MAX_AGENT = 300
FLUSH_S = 1.0
"""How long the process waits at its end for lines to be written."""
_STATUSES = frozenset({"http.response.start", "websocket.http.response.start"})


class Line(msgspec.Struct, rename="camel", frozen=True):
    """One request. `status` is 101 for a WebSocket, 0 if no response was begun."""

    time: str
    method: str
    route: str
    status: int
    duration_ms: float
    address: str
    user_agent: str | None
    request_id: str | None

    def text(self) -> str:
        """The line as text; the User-Agent is quoted and escaped."""
        agent = json.dumps(self.user_agent) if self.user_agent is not None else "-"
        return (
            f"{self.time} {self.method} {self.route} {self.status} {self.duration_ms:.1f} ms {self.address} {agent} "
            f"{self.request_id or '-'}"
        )

    def json(self) -> str:
        """The line as JSON, in ASCII."""
        return json.dumps(msgspec.to_builtins(self))


class RequestLog:
    """ASGI middleware outside all others."""

    def __init__(
        self, app: ASGIApp, line_format: Literal["text", "json"], trusted_proxies: Sequence[Network], metrics: Metrics
    ) -> None:
        self._app = app
        self._line_format = line_format
        self._trusted_proxies = trusted_proxies
        self._metrics = metrics
        self._lines: Queue[Line | None] = Queue(MAX_WAITING)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        observed = _Observed(send)
        # Read first: a WebSocket removes the headers of its handshake.
        agent, address = header(scope, b"user-agent"), client_of(scope, self._trusted_proxies)
        began = perf_counter()
        try:
            await self._app(scope, receive, observed)
        finally:
            self._put(self._line(scope, observed, began, agent, address))

    def _line(self, scope: Scope, observed: "_Observed", began: float, agent: bytes | None, address: str) -> Line:
        return Line(
            time=iso(datetime.now(UTC)),
            method=str(scope.get("method", "GET")),
            route=str(scope.get("path_template") or "unmatched"),
            status=observed.status,
            duration_ms=round(1000 * ((observed.ended or perf_counter()) - began), 1),
            address=address,
            user_agent=agent[:MAX_AGENT].decode("latin-1") if agent is not None else None,
            request_id=observed.request_id,
        )

    def _put(self, line: Line) -> None:
        try:
            self._lines.put_nowait(line)
        except Full:
            self._metrics.request_log_dropped.inc()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Writes lines while the context is open. At its end it waits up to `FLUSH_S` for the remaining ones."""
        log = logging.Logger("sla_monitor.requests")  # not from getLogger: LOG_LEVEL does not apply to it
        handler = _Handler(self._metrics)
        handler.setFormatter(logging.Formatter("%(message)s"))
        log.addHandler(handler)
        thread = Thread(target=self._write, args=(log,), name="request log", daemon=True)
        thread.start()
        try:
            yield
        finally:
            try:
                self._lines.put(None, timeout=FLUSH_S)
            except Full:
                return
            thread.join(FLUSH_S)

    def _write(self, log: logging.Logger) -> None:
        while (line := self._lines.get()) is not None:
            log.info("%s", line.json() if self._line_format == "json" else line.text())


class _Handler(logging.StreamHandler[TextIO]):
    """Writes to standard output. A line that cannot be written is counted, not logged."""

    def __init__(self, metrics: Metrics) -> None:
        super().__init__(sys.stdout)
        self._metrics = metrics

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # logging's name
        self._metrics.request_log_dropped.inc()


class _Observed:
    """A `send` that records the status, the request id and the time when the response was complete."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 0
        self.request_id: str | None = None
        self.ended: float | None = None

    async def __call__(self, message: Message) -> Any:
        kind = message["type"]
        if kind in _STATUSES:
            self.status = message["status"]
            named = next((value for name, value in message["headers"] if name == b"x-request-id"), None)
            self.request_id = named.decode() if named is not None else None
        elif kind == "websocket.accept":
            self.status = 101
        await self._send(message)
        if kind == "http.response.body" and not message.get("more_body", False):
            self.ended = perf_counter()
