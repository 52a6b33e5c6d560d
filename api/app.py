"""The wiring: what is inside what, and what runs beside it.

uvicorn -> Answers (bytes kept in memory) -> Edge (headers, CORS, deadline) -> Litestar (routes)
        -> Sockets (/ws) -> Hub <- Feed <- LISTEN
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import anyio
from litestar import Litestar
from litestar.datastructures import State

import sql
from api import declared, docs, health, response_times, services, status, uptime
from api.answers import Answers
from api.edge import Edge, Origins, Receive, Scope, Send
from api.errors import respond
from api.feed import Feed
from api.hub import Hub
from api.metrics import Metrics
from api.requests import MAX_BODY_BYTES, JsonRequest
from api.security import Gatekeeper, check_routes, guard
from api.server import run
from api.tokens import Tokens
from api.ws import Sockets
from sla_monitor.settings import Settings

RESOURCES = (status, services, uptime, response_times, docs)


class Application:
    """The ASGI application. `running` must be entered before it is asked anything."""

    def __init__(self, settings: Settings, database_url: str) -> None:
        self._settings = settings
        self._database_url = database_url
        self._metrics = Metrics()
        self._origins = Origins(settings.client_urls, settings.allowed_hosts)
        self._state = State({"settings": settings, "metrics": self._metrics, "started_at": datetime.now(UTC)})
        self._sockets: Sockets | None = None
        litestar = Litestar(
            [*(resource.router for resource in RESOURCES), health.router],
            exception_handlers={Exception: respond},
            guards=[guard],
            openapi_config=docs.config,
            request_class=JsonRequest,
            request_max_body_size=MAX_BODY_BYTES,
            state=self._state,
            logging_config=None,
        )
        check_routes(litestar)
        kept = [route for resource in RESOURCES for route in resource.ANSWERS]
        self._answers = Answers(Edge(litestar, self._origins, self._metrics), kept, self._origins, self._metrics)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Pool, feed and hub, in one task group: what fails in it for good ends everything."""
        settings, metrics = self._settings, self._metrics
        async with (
            sql.open_pool(self._database_url, application="sla-monitor api") as pool,
            anyio.create_task_group() as tasks,
        ):
            gatekeeper = Gatekeeper(pool, tokens := Tokens(pool, settings.jwt_secret))
            hub = Hub(tasks, metrics, settings.socket_queue, settings.socket_send_timeout.total_seconds())
            feed = Feed(self._database_url, pool, hub, self._answers, metrics)
            self._sockets = Sockets(hub, feed.between, self._origins, metrics, settings.socket_limit)
            self._state.update({"pool": pool, "feed": feed, "tokens": tokens, "gatekeeper": gatekeeper})
            tasks.start_soon(feed.run)
            tasks.start_soon(metrics.watch_loop)
            tasks.start_soon(declared.watch, settings, pool)
            yield
            tasks.cancel_scope.cancel()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket" and self._sockets is not None:
            await self._sockets(scope, receive, send)
        else:
            await self._answers(scope, receive, send)


def create_app(settings: Settings, database_url: str) -> Application:
    """The application, not yet running."""
    return Application(settings, database_url)


async def serve(settings: Settings, database_url: str) -> None:
    """Serves until SIGTERM or SIGINT, then ends within 10 s; a second signal ends at once. Cancelling does the same.

    The database may be away at any time. Raises `PortError`, one line, where the port cannot be had.
    """
    app = create_app(settings, database_url)
    await run(app, settings.api_host, settings.api_port, settings.socket_limit, app.running)
