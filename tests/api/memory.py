"""What is kept in memory, without a server around it: an application that can be held back, and a way to ask."""

from collections.abc import Sequence
from typing import Any

import anyio

from api.cache.entries import Cacheable, Change
from api.cache.responses import Admission, ResponseCache
from api.edge.middleware import Headers, Origins, Scope, Send
from api.metrics import Metrics
from api.rest.errors import ApiError

EVERY_CHANGE: frozenset[Change] = frozenset({"checks", "event", "services"})


class Slow:
    """An application whose answers can be held back; it counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.body = b"first"
        self.status = 200
        self.action = ""
        """What the guard of a route says that was done (api/auth/gatekeeper.py)."""
        self.go = anyio.Event()
        self.go.set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked += 1
        body, status = self.body, self.status
        await self.go.wait()
        scope.setdefault("state", {})["action"] = self.action
        headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def _scope(
    path: str, query: bytes = b"", method: str = "GET", client: str = "192.0.2.1", headers: Sequence[Any] = ()
) -> dict[str, Any]:
    asked = {"type": "http", "method": method, "path": path, "query_string": query, "headers": list(headers)}
    return asked | {"client": (client, 5000)}


async def ask(
    app: Any, path: str = "/a", query: bytes = b"", method: str = "GET", *, client: str = "192.0.2.1", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    told: list[Any] = []

    async def send(message: Any) -> None:
        told.append(message)

    async def receive() -> Any:
        await anyio.sleep_forever()

    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    await app(_scope(path, query, method, client, raw), receive, send)
    return told[0]["status"], {name.decode(): value.decode() for name, value in told[0]["headers"]}, told[1]["body"]


class Given:
    """One request; `given` once its answer is whole, whatever goes on behind it."""

    def __init__(self) -> None:
        self.source: str | None = None
        self.given = anyio.Event()

    async def ask(self, app: Any) -> None:
        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                self.source = dict(message["headers"])[b"x-cache"].decode()
            else:
                self.given.set()

        await app(_scope("/a"), anyio.sleep_forever, send)


class Counting:
    """An admission that counts; `over` are clients that have used up their limit."""

    def __init__(self) -> None:
        self.counted: list[str] = []
        self.over: set[str] = set()
        self.error: Exception | None = None
        self.go = anyio.Event()
        self.go.set()

    async def admit(self, scope: Scope) -> Headers:
        await self.go.wait()
        if self.error is not None:
            raise self.error
        client: str = scope["client"][0]
        if client in self.over:
            raise ApiError(429)
        self.counted.append(client)
        return [(b"ratelimit-remaining", b"7")]

    async def refuse(self, scope: Scope, send: Send, error: ApiError) -> None:
        await send({"type": "http.response.start", "status": error.status, "headers": []})
        await send({"type": "http.response.body", "body": b"too many"})


def cache(
    app: Any,
    *routes: Cacheable,
    admission: Admission | None = None,
    metrics: Metrics | None = None,
    site_url: str | None = None,
) -> ResponseCache:
    routes = routes or (Cacheable("/a", EVERY_CHANGE, frozenset({"x", "y"})),)
    origins = Origins((), site_url=site_url)
    return ResponseCache(app, routes, origins, metrics or Metrics(), admission or Counting(), tells_source=True)
