"""/health, /ready and /metrics of the prober and the worker: a plain ASGI application on uvicorn. A web framework would
need more memory than the services of a large installation."""

import socket
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, NamedTuple

import anyio
import msgspec
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from sla_monitor.serving.connections import BoundedConfig, Connections, Fault, HttpProtocol
from sla_monitor.serving.server import BoundedServer

CONNECTION_LIMIT = 64
"""The limit of connections in total, and of one client: behind a container network all clients can have one address."""
KEEP_ALIVE_S = 15
STOP_PATIENCE_S = 1

_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]
_Application = Callable[[_Message, _Receive, _Send], Awaitable[None]]


class Readiness(NamedTuple):
    """Whether the program can do its work now, and the other fields of the response to /ready."""

    ready: bool
    parts: Mapping[str, object]


async def serve_own_state(
    listening: socket.socket,
    registry: CollectorRegistry,
    readiness: Callable[[], Readiness],
    count: Callable[[Fault], object],
) -> None:
    """Serves the three paths until cancelled. `count` is called for each fault of a client."""
    config = BoundedConfig(
        _application(registry, readiness),
        Connections(CONNECTION_LIMIT, CONNECTION_LIMIT, count),
        http=HttpProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=STOP_PATIENCE_S,
    )
    server = BoundedServer(config)
    try:
        await server.serve(sockets=[listening])
    finally:
        if server.started:
            with anyio.move_on_after(2 * STOP_PATIENCE_S, shield=True):
                await server.shutdown(sockets=[listening])


def _application(registry: CollectorRegistry, readiness: Callable[[], Readiness]) -> _Application:
    def health() -> tuple[int, bytes, str]:
        return 200, b'{"status":"ok"}', "application/json"

    def ready() -> tuple[int, bytes, str]:
        now = readiness()
        body = {"status": "ready" if now.ready else "not ready", **now.parts}
        return 200 if now.ready else 503, msgspec.json.encode(body), "application/json"

    def metrics() -> tuple[int, bytes, str]:
        return 200, generate_latest(registry), CONTENT_TYPE_LATEST

    routes = {"/health": health, "/ready": ready, "/metrics": metrics}

    async def application(scope: _Message, receive: _Receive, send: _Send) -> None:
        if scope["type"] != "http":
            return
        route = routes.get(scope["path"])
        if route is None:
            status, body, kind = 404, b'{"error":"not found","code":"NOT_FOUND"}', "application/json"
        elif scope["method"] not in ("GET", "HEAD"):
            status, body, kind = (
                405,
                b'{"error":"only GET and HEAD are allowed","code":"METHOD_NOT_ALLOWED"}',
                "application/json",
            )
        else:
            status, body, kind = route()
        headers = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    return application
