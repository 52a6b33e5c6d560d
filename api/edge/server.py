"""The HTTP server: uvicorn, with limits that it does not have itself."""

import contextlib
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any

import anyio
from uvicorn import Server

from api.edge.connections import Clients, ProxiedHttpProtocol
from api.edge.websocket import Socket
from sla_monitor.serving.connections import BoundedConfig, Fault, HttpProtocol
from sla_monitor.serving.ports import bind
from sla_monitor.serving.server import BoundedServer
from sla_monitor.serving.signals import stop_on_signal
from sla_monitor.settings import Settings

KEEP_ALIVE_S = 30
"""The time after which an idle connection is closed."""
SHUTDOWN_S = 6
"""The time for connections to end after a signal."""
BACKLOG = 2048


def configure(app: Any, settings: Settings, count: Callable[[Fault], object]) -> BoundedConfig:
    """The configuration of uvicorn: it ignores proxy headers, logs no requests, and has limits for connections,
    messages and times. `count` is called for each protocol error of a client."""
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
