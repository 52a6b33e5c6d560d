"""The wiring of the application: its layers, and its background tasks.

uvicorn -> RequestLog (if REQUEST_LOG is set)
        -> ResponseCache (responses in memory) -> Edge (headers, CORS, deadline) -> Litestar (routes)
        -> Sockets (admission) -> WebSocketTransport (/ws), SocketIoTransport (/socket.io)
               -> MessageHandler (Rooms, Presence, Access) -> Hub (subscribers) <- Feed <- LISTEN
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, nullcontext
from datetime import UTC, datetime
from typing import Any, NamedTuple

import anyio
from jinja2 import BytecodeCache
from litestar import Litestar
from litestar.datastructures import State
from litestar.di import Provide

import api.console.account
import api.console.audit
import api.console.incident_changes
import api.console.incident_editor
import api.console.incidents
import api.console.maintenance
import api.console.new_incident
import api.console.services
import api.console.settings
import api.console.templates
import api.console.tokens
import api.console.users
import api.pages.assets
import api.pages.badges
import api.pages.calendar
import api.pages.embed
import api.pages.feeds
import api.pages.incidents
import api.pages.service
import api.pages.session
import api.pages.status
import api.pages.well_known
import sql
from api.auth import accounts, api_tokens, sessions, users
from api.auth.gatekeeper import Gatekeeper, check_routes, guard
from api.auth.passwords import Passwords
from api.auth.tokens import Tokens
from api.cache.responses import ResponseCache
from api.edge.asgi import Receive, Scope, Send
from api.edge.limits import Limits, RequestLimits
from api.edge.middleware import Edge
from api.edge.origins import Origins
from api.edge.request_log import RequestLog
from api.edge.server import run
from api.incidents import comments, drafts, templates
from api.incidents import routes as incidents
from api.live.access import Access
from api.live.admission import Sockets, TransportApp
from api.live.feed import Feed
from api.live.handler import MessageHandler
from api.live.hub import Hub
from api.live.presence import Presence
from api.live.socketio import SocketIoTransport
from api.live.ws import WebSocketTransport
from api.maintenance import routes as maintenance
from api.metrics import Metrics
from api.operations import audit, docs, health, settings
from api.pages.site import Site
from api.rest.bodies import JsonRequest, add_allow_header
from api.rest.errors import MAX_BODY_BYTES, database_away
from api.rest.handling import respond
from api.services import declared, heartbeats
from api.services import routes as services
from api.uptime import calendar, response_times, status
from sla_monitor.serving.connections import Fault
from sla_monitor.serving.loop_lag import watch_loop
from sla_monitor.settings import Settings

RESOURCES = (
    status,
    services,
    heartbeats,
    calendar,
    response_times,
    incidents,
    comments,
    drafts,
    templates,
    maintenance,
    accounts,
    users,
    api_tokens,
    audit,
    settings,
    docs,
)

PAGES = (
    api.pages.status,
    api.pages.calendar,
    api.pages.service,
    api.pages.incidents,
    api.pages.session,
    api.pages.badges,
    api.pages.embed,
    api.pages.feeds,
    api.pages.well_known,
    api.pages.assets,
    api.console.incidents,
    api.console.new_incident,
    api.console.incident_editor,
    api.console.incident_changes,
    api.console.maintenance,
    api.console.templates,
    api.console.services,
    api.console.users,
    api.console.tokens,
    api.console.settings,
    api.console.audit,
    api.console.account,
)

SOCKETIO = "/socket.io"
WHILE_PREPARING = frozenset({"health", "ready", "metrics", "static"})
"""The first segment of paths that are served before the database is prepared."""


def _part(name: str) -> Provide:
    """A dependency that is `name` in the application's state."""

    def provide(state: State) -> Any:
        return state[name]

    return Provide(provide, sync_to_thread=False)


DEPENDENCIES: Mapping[str, Provide] = {
    name: _part(name)
    for name in (
        "pool",
        "settings",
        "accounts",
        "limits",
        "passwords",
        "tokens",
        "site",
        "assets",
        "feed",
        "metrics",
        "database",
        "started_at",
    )
}
"""The dependencies of routes by the name of the parameter (api/rest/injected.py)."""

Prepare = Callable[[], Awaitable[object]]
"""Migrates the database to the schema of this program. It may take long."""


class Shared(NamedTuple):
    """What the APIs of one process may share, where it starts several: what Litestar makes of the routes, and compiled
    templates. Neither depends on settings."""

    litestar: Callable[..., Litestar] = Litestar
    templates: BytecodeCache | None = None


OWN = Shared()


class Application:
    """The ASGI application. `running` must be entered before the first request. Until `prepare` is done, the response
    is 503."""

    def __init__(
        self, settings: Settings, database_url: str, prepare: Prepare | None = None, shared: Shared = OWN
    ) -> None:
        self._prepare = prepare
        self._prepared = prepare is None
        self._settings = settings
        self._database_url = database_url
        self._metrics = Metrics()
        self._origins = Origins(settings.client_urls, settings.allowed_hosts, settings.site_url)
        site = Site(settings, shared.templates)
        self._state = State(
            {
                "settings": settings,
                "metrics": self._metrics,
                "origins": self._origins,
                "site": site,
                "assets": site.assets,
                "started_at": datetime.now(UTC),
            }
        )
        self._sockets: Sockets | None = None
        self._limits: Limits | None = None
        cacheable = [route for resource in RESOURCES for route in resource.CACHEABLE]
        pages = [*site.assets.cacheable(), *(route for module in PAGES for route in module.CACHEABLE)]
        litestar = shared.litestar(
            [*(module.router for module in (*RESOURCES, *PAGES)), health.router],
            exception_handlers={Exception: respond},
            guards=[guard],
            before_send=[add_allow_header],
            openapi_config=docs.config(cacheable),
            request_class=JsonRequest,
            request_max_body_size=MAX_BODY_BYTES,
            state=self._state,
            dependencies=DEPENDENCIES,
            template_config=site.config(),
            logging_config=None,
        )
        check_routes(litestar)
        limits = RequestLimits(self._running_limits, settings.rate_limit_api, settings.rate_limit_pages)
        proxies = settings.trusted_proxies
        self._edge = edge = Edge(litestar, self._origins, self._metrics, limits, proxies, site.error_page, site.secure)
        self._log: RequestLog | None = None
        if settings.request_log != "off":
            self._log = RequestLog(self._handle, settings.request_log, proxies, self._metrics)
        self._cache = ResponseCache(
            edge,
            [*cacheable, *pages],
            self._origins,
            self._metrics,
            edge,
            proxies,
            exposes_source=settings.log_level == "debug",
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Runs pool, feed and hub in one task group: an unhandled exception in one of them ends the application."""
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
            passwords = Passwords()
            self._state.update({"pool": pool, "feed": feed, "hub": hub, "limits": limits})
            self._state.update({"database": health.DatabaseState(pool)})
            self._state.update({"tokens": tokens, "gatekeeper": gatekeeper, "passwords": passwords})
            self._state.update({"accounts": sessions.Accounts(pool, settings, limits, passwords, tokens)})
            metrics.passwords_waiting.set_function(lambda: passwords.waiting)
            tasks.start_soon(watch_loop, metrics.loop_lag.set)

            async def work() -> None:
                if self._prepare is not None:
                    await self._prepare()
                self._prepared = True
                tasks.start_soon(feed.run)
                tasks.start_soon(access.run, handler.restrict)
                tasks.start_soon(presence.run)
                tasks.start_soon(declared.watch, settings, pool)

            tasks.start_soon(work)
            try:
                with self._log.writing() if self._log is not None else nullcontext():
                    yield
            finally:
                await presence.close()
                tasks.cancel_scope.cancel()

    def _running_limits(self) -> Limits:
        assert self._limits is not None  # requests are handled while the application is running
        return self._limits

    def count_client_fault(self, fault: Fault) -> None:
        """Counts a protocol error of a client."""
        self._metrics.client_faults.labels(fault).inc()

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Returns the inner coroutine instead of awaiting it: another one would make cache hits measurably slower."""
        if self._log is not None:
            return self._log(scope, receive, send)
        return self._handle(scope, receive, send)

    def _handle(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if not self._prepared and not _open_while_preparing(scope):
            return self._refuse_while_preparing(scope, receive, send)
        if self._sockets is not None:
            if scope["type"] == "websocket":
                return self._sockets(scope, receive, send)
            if scope["path"].startswith(SOCKETIO) and scope["path"].rstrip("/") == SOCKETIO:
                return self._sockets.refuse_polling(scope, send)
        return self._cache(scope, receive, send)

    async def _refuse_while_preparing(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket" and self._sockets is not None:
            await self._sockets.refuse_all(receive, send)
        else:
            await self._edge.refuse(scope, send, database_away())


def _open_while_preparing(scope: Scope) -> bool:
    return scope["type"] == "http" and scope["path"].strip("/").partition("/")[0] in WHILE_PREPARING


def create_app(
    settings: Settings, database_url: str, prepare: Prepare | None = None, shared: Shared = OWN
) -> Application:
    """The application, not yet running."""
    return Application(settings, database_url, prepare, shared)


async def serve(settings: Settings, database_url: str, prepare: Prepare | None = None, shared: Shared = OWN) -> None:
    """Serves until SIGTERM, SIGINT or cancellation, then ends within 10 s. A second signal ends the process at once.

    The database may be away at any time. Until `prepare` is done, every response except those of /health, /ready and
    /metrics is 503. Raises `PortError`, and what `prepare` raises.
    """
    app = create_app(settings, database_url, prepare, shared)
    await run(app, app.running, settings, app.count_client_fault)
