"""Answers kept as encoded bytes, served without entering Litestar, until an event ends them.

The feed calls `forget` *before* it hands an event to the sockets, so a client that asks again because of a frame
never gets the answer from before it. A computation that was under way at that moment may still be given to those
who were waiting for it, but is not kept: `forget` takes it off `_flights`, and only what is still there is stored.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from hashlib import blake2b
from time import monotonic
from typing import Any, Literal
from urllib.parse import parse_qsl, urlencode

import anyio
import msgspec

from api.edge import ADMITTED, ASGIApp, Headers, Message, Origins, Receive, Scope, Send, header
from api.metrics import Metrics
from sql import OperationalError

MAX_AGE_S = 60
"""Days turn without an event, so no answer is kept longer."""
MAX_ENTRIES = 2048
MAX_BYTES = 64 * 1024 * 1024
MAX_KEY_BYTES = 1024
RETRY_AWAY_S = 1.0
Change = Literal["checks", "event", "services"]
Source = Literal["HIT", "MISS", "STALE"]
Admit = Callable[[Scope, Send], Awaitable[Headers | None]]
_REPLACED = frozenset({b"etag", b"cache-control", b"x-request-id"})


class Cacheable(msgspec.Struct, frozen=True):
    """One route whose answers may be kept.

    `parameters` are all it reads of the query, others do not count; with one of `private` an answer is never kept.
    A `personal` answer depends on who asks: only what nobody in particular gets is kept. A path that ends in `/`
    stands for one more segment after it.
    """

    path: str
    changed_by: frozenset[Change]
    parameters: frozenset[str] = frozenset()
    private: frozenset[str] = frozenset()
    personal: bool = False


class _Kept:
    """One encoded answer with its headers, ready for each origin it may be asked from."""

    __slots__ = ("body", "computed_at", "etag", "fresh", "headers", "route", "size", "starts", "status")

    def __init__(self, status: int, headers: Headers, body: bytes, route: Cacheable, key: str) -> None:
        self.status = status
        own_etag = next((value for name, value in headers if name == b"etag"), None)
        self.etag = own_etag or b'"' + blake2b(body, digest_size=16).hexdigest().encode() + b'"'
        self.headers = [item for item in headers if item[0] != b"vary"]
        if status == 200:
            own = [item for item in self.headers if item[0] not in _REPLACED]
            self.headers = [*own, (b"etag", self.etag), (b"cache-control", b"no-cache")]
        self.body: Any = {"type": "http.response.body", "body": body, "more_body": False}
        self.starts: dict[bytes | None, Any] = {}
        self.computed_at = monotonic()
        self.fresh = True
        self.route = route
        self.size = len(body) + len(key) + 1024

    def is_fresh(self) -> bool:
        return self.fresh and monotonic() - self.computed_at < MAX_AGE_S


class _Flight:
    """One computation that everybody who asks the same waits for."""

    def __init__(self, route: Cacheable) -> None:
        self.route = route
        self.landed = anyio.Event()
        self.result: _Kept | None = None


class Answers:
    """ASGI middleware outside everything else; what is not cacheable passes through."""

    def __init__(
        self, app: ASGIApp, routes: Iterable[Cacheable], origins: Origins, metrics: Metrics, admit: Admit
    ) -> None:
        self._app = app
        self._admit = admit
        self._routes: Mapping[str, Cacheable] = {route.path: route for route in routes}
        self._origins = origins
        self._metrics = metrics
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._flights: dict[str, _Flight] = {}
        self._bytes = 0
        self.database_away = False
        """Set by the feed; then the last snapshot is given without trying."""
        self._away_until = 0.0
        self._counts = {source: metrics.answers.labels(source) for source in ("HIT", "MISS", "STALE")}

    def forget(self, change: Change | None = None) -> None:
        """Ends every answer that `change` makes untrue, or all; they stay as last snapshots for bad times.

        Not after a change of a service: it may be private from now on, in bad times too.
        """
        for key, kept in list(self._kept.items()):
            if change is None or change in kept.route.changed_by:
                kept.fresh = False
                if change == "services":
                    self._drop(key)
        for key, flight in list(self._flights.items()):
            if change is None or change in flight.route.changed_by:
                del self._flights[key]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or (scope["method"] != "GET" and scope["method"] != "HEAD"):
            await self._app(scope, receive, send)
            return
        found = self._key(scope["path"], scope["query_string"])
        if found is None or (found[1].personal and header(scope, b"authorization") is not None):
            await self._app(scope, receive, send)
            return
        key, route = found
        kept = self._kept.get(key)
        if kept is not None and kept.is_fresh():
            self._kept.move_to_end(key)
            await self._give(kept, "HIT", scope, send)
        elif kept is not None and (self.database_away or monotonic() < self._away_until):
            await self._give(kept, "STALE", scope, send)
        else:
            await self._miss(key, route, scope, send)

    async def _miss(self, key: str, route: Cacheable, scope: Scope, send: Send) -> None:
        """Counts against the limit of the one who asks, each for themselves, before the answer becomes everybody's."""
        try:
            told = await self._admit(scope, send)
        except OperationalError:
            self._away_until = monotonic() + RETRY_AWAY_S
            if (last := self._kept.get(key)) is not None:
                await self._give(last, "STALE", scope, send)
                return
            told = []
        if told is None:
            return
        kept = self._kept.get(key)  # another one who asked the same may have been counted faster
        result = kept if kept is not None and kept.is_fresh() else None
        while result is None:  # None where the one who computed was cancelled: then the next one does it
            flight = self._flights.get(key)
            if flight is None:
                result = await self._compute(key, route, scope)
            else:
                await flight.landed.wait()
                result = flight.result
        last = self._kept.get(key)
        if result.status == 503 and last is not None:
            await self._give(last, "STALE", scope, send)
        else:
            await self._give(result, "MISS", scope, send, told)

    async def _compute(self, key: str, route: Cacheable, scope: Scope) -> _Kept:
        flight = self._flights[key] = _Flight(route)
        try:
            result = flight.result = await self._ask(key, route, scope)
            self._away_until = monotonic() + RETRY_AWAY_S if result.status == 503 else 0.0
            if self._flights.get(key) is flight:
                self._keep(key, result)
            if result.status == 404:  # deleted, or no longer public: its last snapshot is nobody's any more
                self._drop(key)
            return result
        finally:
            if self._flights.get(key) is flight:
                del self._flights[key]
            flight.landed.set()

    async def _ask(self, key: str, route: Cacheable, scope: Scope) -> _Kept:
        """The answer itself, asked in a neutral way: nothing of the one who happens to ask first is in it."""
        path, _, query = key.partition("?")
        neutral: Any = dict(scope) | {"method": "GET", "path": path, "query_string": query.encode(), "headers": []}
        neutral["state"] = {ADMITTED: True}
        caught = _Caught()
        await self._app(neutral, _no_body, caught)
        return _Kept(caught.status, caught.headers, bytes(caught.body), route, key)

    def _keep(self, key: str, result: _Kept) -> None:
        if result.status != 200 or result.size > MAX_BYTES:
            return
        self._drop(key)
        self._kept[key] = result
        self._bytes += result.size
        while len(self._kept) > MAX_ENTRIES or self._bytes > MAX_BYTES:
            self._bytes -= self._kept.popitem(last=False)[1].size
        self._metrics.answer_bytes.set(self._bytes)
        self._metrics.answer_entries.set(len(self._kept))

    def _drop(self, key: str) -> None:
        if (last := self._kept.pop(key, None)) is not None:
            self._bytes -= last.size

    async def _give(
        self, kept: _Kept, source: Source, scope: Scope, send: Send, told: Iterable[tuple[bytes, bytes]] = ()
    ) -> None:
        origin = asked = host = None
        for name, value in scope["headers"]:
            if name == b"host":
                host = value
            elif name == b"origin":
                origin = value if value in self._origins.allowed else None
            elif name == b"if-none-match":
                asked = value
        if not self._origins.knows(host):
            await self._app(scope, _no_body, send)  # which refuses it, and says why
            return
        self._counts[source].inc()
        start = kept.starts.get(origin) if source == "HIT" else None
        if start is None:
            start = self._start(kept, source, origin)
            start["headers"].extend(told)
            if source == "HIT":
                kept.starts[origin] = start
        if asked is not None and kept.status == 200 and _matches(asked, kept.etag):
            await send(_not_modified(start))
            await send(_EMPTY)
            return
        await send(start)
        await send(kept.body)

    def _start(self, kept: _Kept, source: Source, origin: bytes | None) -> Any:
        headers = [*kept.headers, *self._origins.headers(origin)]
        if kept.route.personal:
            headers.append((b"vary", b"Authorization"))
        if kept.status == 200:
            headers.append((b"x-cache", source.encode()))
        if source == "STALE":
            headers.append((b"age", b"%d" % (monotonic() - kept.computed_at)))
        return {"type": "http.response.start", "status": kept.status, "headers": headers}

    def _key(self, path: str, query: bytes) -> tuple[str, Cacheable] | None:
        route = self._route(path)
        if route is None or "?" in path or len(path) + len(query) > MAX_KEY_BYTES:
            return None
        if not query:
            return path, route
        pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
        if any(name in route.private for name, _ in pairs):
            return None
        told = sorted((pair for pair in pairs if pair[0] in route.parameters), key=lambda pair: pair[0])
        return (f"{path}?{urlencode(told)}" if told else path), route

    def _route(self, path: str) -> Cacheable | None:
        return self._routes.get(path) or self._routes.get(path[: path.rfind("/") + 1])


class _Caught:
    """`send` that keeps what it is given."""

    def __init__(self) -> None:
        self.status = 500
        self.headers: Headers = []
        self.body = bytearray()

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], list(message["headers"])
        elif message["type"] == "http.response.body":
            self.body += message["body"]


_EMPTY: Any = {"type": "http.response.body", "body": b"", "more_body": False}


async def _no_body() -> Any:
    return {"type": "http.request", "body": b"", "more_body": False}


def _not_modified(start: Any) -> Any:
    headers: Sequence[tuple[bytes, bytes]] = start["headers"]
    kept = [item for item in headers if item[0] not in (b"content-type", b"content-length")]
    return {"type": "http.response.start", "status": 304, "headers": kept}


def _matches(asked: bytes, etag: bytes) -> bool:
    """If-None-Match: `*`, or a list of tags that compare weakly."""
    return asked.strip() == b"*" or any(tag.strip().removeprefix(b"W/") == etag for tag in asked.split(b","))
