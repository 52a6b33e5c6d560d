"""The prober's own /health, /ready and /metrics: a plain ASGI application on uvicorn. A web framework would
cost more memory than all services of a large installation."""

import errno
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, NamedTuple

import anyio
import msgspec
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from prober.metrics import Metrics
from sla_monitor.serving.connections import BoundedConfig, BoundedServer, Connections, Fault, HttpProtocol
from sla_monitor.settings import StartError

CONNECTION_LIMIT = 64
"""Of all clients, and of one: behind a container's network they may all have the same address."""
KEEP_ALIVE_S = 15
STOP_PATIENCE_S = 1

_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]
_Application = Callable[[_Message, _Receive, _Send], Awaitable[None]]


class PortError(StartError):
    """The port cannot be listened on; the text is one line that says what would do."""


class Readiness(NamedTuple):
    """What the prober can do now. It is ready when it knows its services and keeps what it finds out."""

    services_known: bool
    database_answers: bool
    spool_works: bool

    @property
    def ready(self) -> bool:
        return self.services_known and (self.database_answers or self.spool_works)


def bind(host: str, port: int) -> socket.socket:
    """A listening socket, or `PortError`."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=128)
    except OSError as error:
        why = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror})"
        raise PortError(f"port {port} on {host} {why}: set WATCH_SERVER_PORT or WATCH_SERVER_HOST") from None


async def serve(listening: socket.socket, metrics: Metrics, readiness: Callable[[], Readiness]) -> None:
    """Answers until it is cancelled."""

    def count(fault: Fault) -> None:
        metrics.client_faults.labels(fault).inc()

    config = BoundedConfig(
        _application(metrics, readiness),
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


def _application(metrics: Metrics, readiness: Callable[[], Readiness]) -> _Application:
    def health() -> tuple[int, bytes, str]:
        return 200, b'{"status":"ok"}', "application/json"

    def ready() -> tuple[int, bytes, str]:
        now = readiness()
        body = {
            "status": "ready" if now.ready else "not ready",
            "servicesKnown": now.services_known,
            "databaseAnswers": now.database_answers,
            "spoolWorks": now.spool_works,
        }
        return 200 if now.ready else 503, msgspec.json.encode(body), "application/json"

    def figures() -> tuple[int, bytes, str]:
        return 200, generate_latest(metrics.registry), CONTENT_TYPE_LATEST

    routes = {"/health": health, "/ready": ready, "/metrics": figures}

    async def application(scope: _Message, receive: _Receive, send: _Send) -> None:
        if scope["type"] != "http":
            return
        route = routes.get(scope["path"])
        if route is None:
            status, body, kind = 404, b'{"error":"no such page","code":"NOT_FOUND"}', "application/json"
        elif scope["method"] not in ("GET", "HEAD"):
            status, body, kind = 405, b'{"error":"read only","code":"METHOD_NOT_ALLOWED"}', "application/json"
        else:
            status, body, kind = route()
        headers = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    return application
