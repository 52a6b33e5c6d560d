"""The wiring of the application: its layers, and its background tasks.

uvicorn -> RequestLog (if REQUEST_LOG is set)
        -> ResponseCache (responses in memory) -> Edge (headers, CORS, deadline) -> Litestar (routes)
        -> Sockets (admission) -> WebSocketTransport (/ws), SocketIoTransport (/socket.io)
               -> MessageHandler (Rooms, Presence, Access) -> Hub (subscribers) <- Feed <- LISTEN
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext
from datetime import UTC, datetime

import anyio
from litestar.datastructures import State

import sql
from api.auth.gatekeeper import EVENT_NUMBERS, GATEKEEPER, Gatekeeper
from api.auth.passwords import Passwords
from api.auth.sessions import LoginParts
from api.auth.tokens import TOKENS, Tokens
from api.cache.responses import ResponseCache
from api.edge.asgi import Receive, Scope, Send
from api.edge.limits import Limits, RequestLimits
from api.edge.middleware import Edge
from api.edge.origins import ORIGINS, Origins
from api.edge.request_log import RequestLog
from api.edge.server import run
from api.live.access import Access
from api.live.admission import Sockets, TransportApp
from api.live.feed import Feed
from api.live.handler import MessageHandler
from api.live.hub import Hub
from api.live.presence import Presence
from api.live.socketio import SocketIoTransport
from api.live.ws import WebSocketTransport
from api.metrics import Metrics
from api.operations.health import DatabaseState
from api.pages.site import SITE, Site
from api.rest.errors import database_away
from api.rest.handling import ERROR_PAGES
from api.rest.installation import POOL, SETTINGS
from api.routes import (
    ASSETS,
    DATABASE,
    FEED,
    LIMITS,
    LOGIN_PARTS,
    METRICS,
    PASSWORDS,
    STARTED_AT,
    Shared,
    cacheable_pages,
    cacheable_resources,
    litestar_application,
)
from api.services import declared
from api.sla import declared as declared_policies
from api.sla.report import RENDERER
from sla_monitor.reports.rendering import Renderer
from sla_monitor.serving.connections import Fault
from sla_monitor.serving.loop_lag import watch_loop
from sla_monitor.settings import Settings

SOCKETIO = "/socket.io"
WHILE_PREPARING = frozenset({"health", "ready", "metrics", "static"})
"""The first segment of paths that are served before the database is prepared."""
SHARED = Shared()
"""Shares nothing with other applications."""
Prepare = Callable[[], Awaitable[object]]
"""Migrates the database to the schema of this program, which may take minutes."""


class Application:
    """The ASGI application. It serves requests while the context `running` is open. Until `prepare` returns, the
    response to all paths except WHILE_PREPARING is 503."""

    def __init__(
        self, settings: Settings, database_url: str, prepare: Prepare | None = None, shared: Shared = SHARED
    ) -> None:
        self._prepare = prepare
        self._prepared = prepare is None
        self._settings = settings
        self._database_url = database_url
        self._metrics = Metrics()
        self._origins = Origins(settings.client_urls, settings.allowed_hosts, settings.site_url)
        site = Site(settings, shared.templates)
        state = self._state = State()
        SETTINGS.put(state, settings)
        METRICS.put(state, self._metrics)
        ORIGINS.put(state, self._origins)
        SITE.put(state, site)
        ERROR_PAGES.put(state, site)
        ASSETS.put(state, site.assets)
        RENDERER.put(state, Renderer())
        STARTED_AT.put(state, datetime.now(UTC))
        self._sockets: Sockets | None = None
        self._limits: Limits | None = None
        litestar = litestar_application(shared, site, state)
        limits = RequestLimits(self._running_limits, settings.rate_limit_api, settings.rate_limit_pages)
        proxies = settings.trusted_proxies
        self._edge = edge = Edge(litestar, self._origins, self._metrics, limits, proxies, site.error_page, site.secure)
        self._log: RequestLog | None = None
        if settings.request_log != "off":
            self._log = RequestLog(self._handle, settings.request_log, proxies, self._metrics)
        self._cache = ResponseCache(
            edge,
            [*cacheable_resources(), *cacheable_pages(site)],
            self._origins,
            self._metrics,
            edge,
            proxies,
            exposes_source=settings.log_level == "debug",
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Runs the pool and all background tasks. An unhandled exception in one of the tasks ends the application."""
        settings, metrics = self._settings, self._metrics
        async with (
            sql.open_pool(self._database_url, application="sla-monitor api") as pool,
            anyio.create_task_group() as tasks,
        ):
            gatekeeper = Gatekeeper(pool, tokens := Tokens(pool, settings.jwt_secret))
            hub = Hub(metrics, settings.socket_queue, settings.socket_send_timeout.total_seconds())
            access = Access(pool, gatekeeper, metrics, settings.sockets_per_user)
            feed = Feed(self._database_url, pool, hub, self._cache, access, metrics)
            presence = Presence(pool, metrics)
            limits = self._limits = Limits(pool)
            handler = MessageHandler(pool, hub, access, presence, feed, limits, metrics)
            transports: dict[str, TransportApp] = {
                "/ws": WebSocketTransport(handler),
                SOCKETIO: SocketIoTransport(handler, tasks, settings.socket_max_message),
            }
            self._sockets = Sockets(transports, limits, self._origins, metrics, settings)
            self._put_parts(pool, tokens, gatekeeper, limits, hub, feed)
            tasks.start_soon(watch_loop, metrics.loop_lag.set)

            async def prepare_and_start() -> None:
                if self._prepare is not None:
                    await self._prepare()
                self._prepared = True
                tasks.start_soon(feed.run)
                tasks.start_soon(access.run, handler.restrict)
                tasks.start_soon(presence.run)
                tasks.start_soon(declared.watch, settings, pool)
                tasks.start_soon(declared_policies.watch, settings, pool)

            tasks.start_soon(prepare_and_start)
            try:
                with self._log.writing() if self._log is not None else nullcontext():
                    yield
            finally:
                await presence.close()
                tasks.cancel_scope.cancel()

    def _put_parts(
        self, pool: sql.Pool, tokens: Tokens, gatekeeper: Gatekeeper, limits: Limits, hub: Hub, feed: Feed
    ) -> None:
        """Stores the parts that need the pool, for routes and the guard."""
        state, passwords = self._state, Passwords()
        POOL.put(state, pool)
        FEED.put(state, feed)
        EVENT_NUMBERS.put(state, hub)
        LIMITS.put(state, limits)
        DATABASE.put(state, DatabaseState(pool))
        TOKENS.put(state, tokens)
        GATEKEEPER.put(state, gatekeeper)
        PASSWORDS.put(state, passwords)
        LOGIN_PARTS.put(state, LoginParts(pool, self._settings, limits, passwords, tokens))
        self._metrics.passwords_waiting.set_function(lambda: passwords.waiting)

    def _running_limits(self) -> Limits:
        assert self._limits is not None  # requests are handled while the application is running
        return self._limits

    def count_client_fault(self, fault: Fault) -> None:
        """Counts a protocol error of a client."""
        self._metrics.client_faults.labels(fault).inc()

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Returns the coroutine of the inner layer instead of awaiting it: a coroutine of its own would make cache hits
        measurably slower."""
        if self._log is not None:
            return self._log(scope, receive, send)
        return self._handle(scope, receive, send)

    def _handle(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if not self._prepared and not _is_served_while_preparing(scope):
            return self._refuse_while_preparing(scope, receive, send)
        if self._sockets is not None:
            if scope["type"] == "websocket":
                return self._sockets(scope, receive, send)
            if scope["path"].startswith(SOCKETIO) and scope["path"].rstrip("/") == SOCKETIO:
                return self._sockets.refuse_polling(scope, send)
        return self._cache(scope, receive, send)

    async def _refuse_while_preparing(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket" and self._sockets is not None:
            await self._sockets.refuse_while_preparing(receive, send)
        else:
            await self._edge.refuse(scope, send, database_away())


def _is_served_while_preparing(scope: Scope) -> bool:
    return scope["type"] == "http" and scope["path"].strip("/").partition("/")[0] in WHILE_PREPARING


async def serve(settings: Settings, database_url: str, prepare: Prepare | None = None, shared: Shared = SHARED) -> None:
    """Serves until SIGTERM, SIGINT or cancellation, then ends within 10 s. A second signal ends the process at once.

    The database may be away at any time. Until `prepare` returns, every response except those of /health, /ready,
    /metrics and /static is 503. Raises `PortError`, and the exceptions of `prepare`.
    """
    app = Application(settings, database_url, prepare, shared)
    await run(app, app.running, settings, app.count_client_fault)
