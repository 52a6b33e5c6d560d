"""The response cache without a server: an application whose responses can be delayed, and requests to it."""

from collections.abc import Sequence
from typing import Any

import anyio

from api.cache.entries import Cacheable, Change
from api.cache.responses import Admission, ResponseCache
from api.edge.asgi import Headers, Scope, Send
from api.edge.origins import Origins
from api.metrics import Metrics
from api.rest.errors import ApiError

EVERY_CHANGE: frozenset[Change] = frozenset({"checks", "event", "services"})


class Slow:
    """An application whose responses can be delayed; it counts its requests."""

    def __init__(self) -> None:
        self.requests = 0
        self.body = b"first"
        self.status = 200
        self.action = ""
        """The action that the guard of the route stores in the state of the request (api/auth/gatekeeper.py)."""
        self.may_respond = anyio.Event()
        self.may_respond.set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.requests += 1
        body, status = self.body, self.status
        await self.may_respond.wait()

        scope.setdefault("state", {})["action"] = self.action
        headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def _scope(
    path: str, query: bytes = b"", method: str = "GET", client: str = "192.0.2.1", headers: Sequence[Any] = ()
) -> dict[str, Any]:
    scope = {"type": "http", "method": method, "path": path, "query_string": query, "headers": list(headers)}
    return scope | {"client": (client, 5000)}


async def request(
    app: Any, path: str = "/a", query: bytes = b"", method: str = "GET", *, client: str = "192.0.2.1", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """Sends a request to an application and returns status, headers and body. `accept_language` is the header
    Accept-Language."""
    messages: list[Any] = []

    async def send(message: Any) -> None:
        messages.append(message)

    async def receive() -> Any:
        await anyio.sleep_forever()

    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    await app(_scope(path, query, method, client, raw), receive, send)
    start, body = messages[:2]
    return start["status"], {name.decode(): value.decode() for name, value in start["headers"]}, body["body"]


class OneRequest:
    """One request. `source` is the header X-Cache of its response. `received` is set when the response is complete,
    which may be before the application returns."""

    def __init__(self) -> None:
        self.source: str | None = None
        self.received = anyio.Event()

    async def send_to(self, app: Any) -> None:
        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                self.source = dict(message["headers"])[b"x-cache"].decode()
            else:
                self.received.set()

        await app(_scope("/a"), anyio.sleep_forever, send)


class Counting:
    """An admission that counts requests; `over_limit` are clients that have used up their limit."""

    def __init__(self) -> None:
        self.counted: list[str] = []
        self.over_limit: set[str] = set()
        self.error: Exception | None = None
        self.may_count = anyio.Event()
        self.may_count.set()

    async def admit(self, scope: Scope) -> Headers:
        await self.may_count.wait()
        if self.error is not None:
            raise self.error
        client: str = scope["client"][0]
        if client in self.over_limit:
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
    """Returns a response cache in front of `app`. Without `routes`, it caches the path `/a`."""
    routes = routes or (Cacheable("/a", EVERY_CHANGE, frozenset({"x", "y"})),)
    origins = Origins((), site_url=site_url)
    return ResponseCache(app, routes, origins, metrics or Metrics(), admission or Counting(), exposes_source=True)
