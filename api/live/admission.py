"""Admission of WebSockets, for both transports. A handshake that is refused gets an HTTP response.

It checks the path, Host and Origin, the number of open sockets, the number of open sockets of one address, and
RATE_LIMIT_SOCKETS.
"""

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping

import anyio
import psycopg

from api.edge.asgi import Receive, Scope, Send, header, host_of
from api.edge.client_address import client_key, client_of, is_secure
from api.edge.limits import Limits
from api.edge.messages import error_messages
from api.edge.origins import Origins
from api.edge.security_headers import SECURITY_HEADERS
from api.metrics import Metrics
from api.rest.errors import ApiError, database_away
from sla_monitor.settings import Settings

log = logging.getLogger(__name__)

COUNT_WITHIN_S = 3.0
"""The timeout of counting a socket. After it the socket is admitted without being counted."""
RETRY_AFTER_S = 10
CLIENT_OPTIONS = 'io(url, {transports: ["websocket"]})'

TransportApp = Callable[[Scope, Receive, Send, str], Awaitable[None]]
"""The ASGI application of a transport. The last argument is the client's address."""


def websocket_only() -> ApiError:
    """The 400 for the polling transport of Socket.IO."""
    return ApiError(400, "websocket_only", example=CLIENT_OPTIONS)


class Sockets:
    """The ASGI application of all WebSockets."""

    def __init__(
        self,
        transports: Mapping[str, TransportApp],
        limits: Limits,
        origins: Origins,
        metrics: Metrics,
        settings: Settings,
    ) -> None:
        self._transports = transports
        self._limits = limits
        self._origins = origins
        self._metrics = metrics
        self._settings = settings
        self._open: Counter[str] = Counter()
        """The number of sockets by the key of their address, including those being admitted."""
        self._total = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        address = client_of(scope, self._settings.trusted_proxies)
        key = client_key(address)
        try:
            transport = self._admit(scope, key)
        except ApiError as refusal:
            await self._refuse(refusal, send)
            return
        self._total += 1
        self._open[key] += 1
        try:
            await self._count(key)
            await transport(scope, receive, send, address)
        except ApiError as refusal:
            await self._refuse(refusal, send)
        finally:
            self._total -= 1
            self._open[key] -= 1
            if not self._open[key]:
                del self._open[key]

    async def refuse_polling(self, scope: Scope, send: Send) -> None:
        """Refuses Socket.IO's polling transport, with CORS headers so that the page can read the error."""
        scope["path_template"] = scope["path"].rstrip("/")
        cors = self._origins.cors_headers(header(scope, b"origin"))
        for message in error_messages(websocket_only(), [*SECURITY_HEADERS, *cors]):
            await send(message)

    async def refuse_while_preparing(self, receive: Receive, send: Send) -> None:
        """Refuses a handshake while the database is being prepared."""
        await receive()  # websocket.connect
        await self._refuse(database_away(), send)

    def _admit(self, scope: Scope, key: str) -> TransportApp:
        transport = self._transports.get(scope["path"].rstrip("/"))
        if transport is None:
            raise ApiError(404)
        scope["path_template"] = scope["path"].rstrip("/")
        origin, host = header(scope, b"origin"), host_of(scope)
        if host is not None and b"," in host:
            raise ApiError(400, "one_host")
        if not self._origins.allows_change(origin, host, is_secure(scope, self._settings.trusted_proxies)):
            raise self._origins.refusal(origin, host, header(scope, b"sec-fetch-site"))
        retry_after = {"Retry-After": str(RETRY_AFTER_S)}
        if self._total >= self._settings.socket_limit:
            raise ApiError(503, "too_many_sockets", headers=retry_after)
        if self._open[key] >= self._settings.sockets_per_address:
            raise ApiError(429, "too_many_sockets_of_address", headers=retry_after)
        return transport

    async def _count(self, key: str) -> None:
        """Counts the socket against RATE_LIMIT_SOCKETS. While the database is away or read-only, all are admitted."""
        try:
            with anyio.fail_after(COUNT_WITHIN_S):
                await self._limits.take("sockets", key, self._settings.rate_limit_sockets)
        except (psycopg.Error, TimeoutError) as error:
            log.warning("a socket could not be counted (%s)", type(error).__name__)

    async def _refuse(self, refusal: ApiError, send: Send) -> None:
        self._metrics.sockets_refused.labels(str(refusal.status)).inc()
        log.debug("a socket is refused: %d %s", refusal.status, refusal)
        start, body = error_messages(refusal, SECURITY_HEADERS)
        await send(start | {"type": "websocket.http.response.start"})
        await send(body | {"type": "websocket.http.response.body"})
