"""Who may open a socket at all, whichever of the two doors it is for; what is refused is an HTTP answer.

By path, Origin, how many there are here, how many of one address, and how many that address opened lately anywhere.
"""

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping

import anyio
import psycopg

from api.edge.client_address import client_key, client_of, is_secure
from api.edge.limits import Limits
from api.edge.messages import Receive, Scope, Send, error_messages, header, host_of
from api.edge.origins import Origins
from api.edge.security_headers import SECURITY_HEADERS
from api.metrics import Metrics
from api.rest.errors import ApiError, database_away
from sla_monitor.settings import Settings

log = logging.getLogger(__name__)

COUNT_WITHIN_S = 3.0
RETRY_AFTER_S = 10
CLIENT_OPTIONS = 'io(url, {transports: ["websocket"]})'

TransportApp = Callable[[Scope, Receive, Send, str], Awaitable[None]]
"""An ASGI application for sockets that are let in; the text is the client's address."""


def websocket_only() -> ApiError:
    """The 400 for Socket.IO's other transport."""
    return ApiError(400, "websocket_only", example=CLIENT_OPTIONS)


class Sockets:
    """The ASGI application of all WebSockets."""

    def __init__(
        self,
        doors: Mapping[str, TransportApp],
        limits: Limits,
        origins: Origins,
        metrics: Metrics,
        settings: Settings,
    ) -> None:
        self._doors = doors
        self._limits = limits
        self._origins = origins
        self._metrics = metrics
        self._settings = settings
        self._open: Counter[str] = Counter()
        """Sockets by the key of their address, those that are being let in among them."""
        self._total = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        address = client_of(scope, self._settings.trusted_proxies)
        key = client_key(address)
        try:
            door = self._admit(scope, key)
        except ApiError as refusal:
            await self._refuse(refusal, send)
            return
        self._total += 1
        self._open[key] += 1
        try:
            await self._count(key)
            await door(scope, receive, send, address)
        except ApiError as refusal:
            await self._refuse(refusal, send)
        finally:
            self._total -= 1
            self._open[key] -= 1
            if not self._open[key]:
                del self._open[key]

    async def refuse_polling(self, scope: Scope, send: Send) -> None:
        """Answers Socket.IO's HTTP transport, readable for the pages that may."""
        scope["path_template"] = scope["path"].rstrip("/")
        cors = self._origins.headers(header(scope, b"origin"))
        for message in error_messages(websocket_only(), [*SECURITY_HEADERS, *cors]):
            await send(message)

    async def refuse_all(self, receive: Receive, send: Send) -> None:
        """Answers a handshake while nobody can be let in."""
        await receive()  # websocket.connect
        await self._refuse(database_away(), send)

    def _admit(self, scope: Scope, key: str) -> TransportApp:
        door = self._doors.get(scope["path"].rstrip("/"))
        if door is None:
            raise ApiError(404)
        scope["path_template"] = scope["path"].rstrip("/")
        origin, host = header(scope, b"origin"), host_of(scope)
        if host is not None and b"," in host:
            raise ApiError(400, "one_host")
        if not self._origins.trusts(origin, host, is_secure(scope, self._settings.trusted_proxies)):
            raise self._origins.refusal(origin, host, header(scope, b"sec-fetch-site"))
        again = {"Retry-After": str(RETRY_AFTER_S)}
        if self._total >= self._settings.socket_limit:
            raise ApiError(503, "too_many_sockets", headers=again)
        if self._open[key] >= self._settings.sockets_per_address:
            raise ApiError(429, "too_many_sockets_of_address", headers=again)
        return door

    async def _count(self, key: str) -> None:
        """RATE_LIMIT_SOCKETS. While the database is away, or read-only, nobody is kept out: it cannot be counted."""
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
