"""Answers kept as encoded bytes, served without entering Litestar, until an event ends them.

The feed calls `forget` *before* it hands an event to the sockets, so a client that asks again because of a frame
never gets the answer from before it. A computation that was under way at that moment may still be given to those
who were waiting for it, but is not kept: `forget` takes it off `_flights`, and only what is still there is stored.
"""

import gzip
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from hashlib import blake2b
from time import monotonic
from typing import Any, Literal, NamedTuple
from urllib.parse import parse_qsl, urlencode

import anyio
import msgspec
from anyio import to_thread

from api.clients import is_secure
from api.cookies import LANGUAGE, cookie, has_session
from api.edge import ADMITTED, ASGIApp, Headers, Message, Origins, Receive, Scope, Send, header
from api.metrics import Metrics
from api.pages.languages import Language, negotiated
from sla_monitor.values import Network
from sql import OperationalError

MAX_AGE_S = 60
"""Days turn without an event, so no answer is kept longer."""
MAX_ENTRIES = 2048
MAX_BYTES = 64 * 1024 * 1024
MAX_KEY_BYTES = 1024
RETRY_AWAY_S = 1.0
PAGE_REST_S = 5.0
"""A page tells of new checks after this time; of an event at once."""
LEAST_PACKED_BYTES = 1024
PACKING = 6
IMMUTABLE = b"public, max-age=31536000, immutable"
SNAPSHOT = (b'data-snapshot="live"', b'data-snapshot="past"')
"""What a page says of itself, and what is said in its place once it is all there is."""
Change = Literal["checks", "event", "services"]
Source = Literal["HIT", "MISS", "STALE"]
Admit = Callable[[Scope, Send], Awaitable[Headers | None]]
_REPLACED = frozenset({b"etag", b"cache-control", b"x-request-id"})


class Cacheable(msgspec.Struct, frozen=True):
    """One route whose answers may be kept.

    `parameters` are all it reads of the query, others do not count; with one of `private` an answer is never kept.
    A `personal` answer depends on who asks: only what nobody in particular gets is kept. A path that ends in `/`
    (other than `/` itself) stands for one more segment after it, and `*` for any segment before the last one. A `page`
    is for browsers: one in each language, sent compressed.
    """

    path: str
    changed_by: frozenset[Change]
    parameters: frozenset[str] = frozenset()
    private: frozenset[str] = frozenset()
    personal: bool = False
    page: bool = False
    absolute: bool = False
    """It names its own address, which is where it was asked for: one for each Host."""
    immutable: bool = False
    """Its path changes with its content."""


class Question(NamedTuple):
    """What is asked, in the words of no one in particular; the rest where the answer depends on it."""

    path: str
    query: str = ""
    language: Language | None = None
    host: bytes = b""
    secure: bool = False


class _Kept:
    """One encoded answer with its headers, ready for each origin it may be asked from, compressed where it may be."""

    __slots__ = (
        "body",
        "computed_at",
        "etag",
        "fresh",
        "headers",
        "packed",
        "resting",
        "route",
        "size",
        "starts",
        "status",
    )

    def __init__(
        self, status: int, headers: Headers, body: bytes, route: Cacheable, packed: bytes | None = None
    ) -> None:
        self.status = status
        own_etag = next((value for name, value in headers if name == b"etag"), None)
        self.etag = own_etag or b'"' + blake2b(body, digest_size=16).hexdigest().encode() + b'"'
        self.headers = [item for item in headers if item[0] != b"vary"]
        if status == 200:
            own = [item for item in self.headers if item[0] not in _REPLACED]
            control = IMMUTABLE if route.immutable else b"no-cache"
            self.headers = [*own, (b"etag", self.etag), (b"cache-control", control)]
        self.body: Any = _body(body)
        self.packed: Any = _body(packed) if packed else None
        self.starts: dict[tuple[bytes | None, bool], Any] = {}
        self.computed_at = monotonic()
        self.fresh = True
        self.resting = False
        self.route = route
        self.size = len(body) + len(packed or b"") + 1024

    def is_fresh(self) -> bool:
        return self.fresh and monotonic() - self.computed_at < (PAGE_REST_S if self.resting else MAX_AGE_S)


def _body(content: bytes) -> Any:
    return {"type": "http.response.body", "body": content, "more_body": False}


class _Flight:
    """One computation that everybody who asks the same waits for."""

    def __init__(self, route: Cacheable) -> None:
        self.route = route
        self.landed = anyio.Event()
        self.result: _Kept | None = None


class Answers:
    """ASGI middleware outside everything else; what is not cacheable passes through."""

    def __init__(
        self,
        app: ASGIApp,
        routes: Iterable[Cacheable],
        origins: Origins,
        metrics: Metrics,
        admit: Admit,
        trusted_proxies: Sequence[Network] = (),
    ) -> None:
        self._app = app
        self._admit = admit
        self._routes: Mapping[str, Cacheable] = {route.path: route for route in routes}
        self._origins = origins
        self._metrics = metrics
        self._trusted_proxies = trusted_proxies
        self._kept: OrderedDict[Question, _Kept] = OrderedDict()
        self._flights: dict[Question, _Flight] = {}
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
            if change == "checks" and kept.route.page:
                kept.resting = kept.resting or change in kept.route.changed_by
            elif change is None or change in kept.route.changed_by:
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
        found = self._question(scope)
        if found is None or (found[1].personal and _is_somebody(scope)):
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

    async def _miss(self, key: Question, route: Cacheable, scope: Scope, send: Send) -> None:
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

    async def _compute(self, key: Question, route: Cacheable, scope: Scope) -> _Kept:
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

    async def _ask(self, key: Question, route: Cacheable, scope: Scope) -> _Kept:
        """The answer itself, asked in a neutral way: nothing of the one who happens to ask first is in it."""
        host = [(b"host", key.host)] if route.absolute else []
        neutral: Any = dict(scope) | {"method": "GET", "path": key.path, "query_string": key.query.encode()}
        neutral |= {"headers": host, "state": {ADMITTED: True, "language": key.language, "secure": key.secure}}
        caught = _Caught()
        await self._app(neutral, _no_body, caught)
        body = bytes(caught.body)
        packed = None
        if route.page and caught.status == 200 and len(body) >= LEAST_PACKED_BYTES:
            packed = await to_thread.run_sync(lambda: gzip.compress(body, PACKING, mtime=0))
        return _Kept(caught.status, caught.headers, body, route, packed)

    def _keep(self, key: Question, result: _Kept) -> None:
        if result.status != 200 or result.size > MAX_BYTES:
            return
        self._drop(key)
        self._kept[key] = result
        self._bytes += result.size
        while len(self._kept) > MAX_ENTRIES or self._bytes > MAX_BYTES:
            self._bytes -= self._kept.popitem(last=False)[1].size
        self._metrics.answer_bytes.set(self._bytes)
        self._metrics.answer_entries.set(len(self._kept))

    def _drop(self, key: Question) -> None:
        if (last := self._kept.pop(key, None)) is not None:
            self._bytes -= last.size

    async def _give(
        self, kept: _Kept, source: Source, scope: Scope, send: Send, told: Iterable[tuple[bytes, bytes]] = ()
    ) -> None:
        origin = asked = host = None
        packed = False
        for name, value in scope["headers"]:
            if name == b"host":
                host = value
            elif name == b"origin":
                origin = value if value in self._origins.allowed else None
            elif name == b"if-none-match":
                asked = value
            elif name == b"accept-encoding":
                packed = kept.packed is not None and b"gzip" in value
        if not self._origins.knows(host):
            await self._app(scope, _no_body, send)  # which refuses it, and says why
            return
        self._counts[source].inc()
        past = _told_as_past(kept) if source == "STALE" else None
        if past is not None:
            start = self._start(kept, source, origin, False)
            # Whoever keeps it must not be told later that nothing has changed since.
            start["headers"] = [item for item in start["headers"] if item[0] != b"etag"]
            await send(start)
            await send(past)
            return
        start = kept.starts.get((origin, packed)) if source == "HIT" else None
        if start is None:
            start = self._start(kept, source, origin, packed)
            start["headers"].extend(told)
            if source == "HIT":
                kept.starts[origin, packed] = start
        if asked is not None and kept.status == 200 and _matches(asked, kept.etag):
            await send(_not_modified(start))
            await send(_EMPTY)
            return
        await send(start)
        await send(kept.packed if packed else kept.body)

    def _start(self, kept: _Kept, source: Source, origin: bytes | None, packed: bool) -> Any:
        headers = [*kept.headers, *self._origins.headers(origin)]
        if kept.route.personal:
            headers.append((b"vary", b"Cookie" if kept.route.page else b"Authorization"))
        if kept.route.page:
            headers.append((b"vary", b"Accept-Language, Cookie, Accept-Encoding"))
        if packed:
            unpacked = (b"content-length", b"etag")
            headers = [item for item in headers if item[0] not in unpacked]
            headers += [(b"content-encoding", b"gzip"), (b"etag", b"W/" + kept.etag)]
            headers.append((b"content-length", b"%d" % len(kept.packed["body"])))
        if kept.status == 200:
            headers.append((b"x-cache", source.encode()))
        if source == "STALE":
            headers.append((b"age", b"%d" % (monotonic() - kept.computed_at)))
        return {"type": "http.response.start", "status": kept.status, "headers": headers}

    def _question(self, scope: Scope) -> tuple[Question, Cacheable] | None:
        path, query = scope["path"], scope["query_string"]
        route = self._route(path)
        if route is None or "?" in path or len(path) + len(query) > MAX_KEY_BYTES:
            return None
        told = ""
        if query:
            pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
            if any(name in route.private for name, _ in pairs):
                return None
            told = urlencode(sorted((pair for pair in pairs if pair[0] in route.parameters), key=lambda pair: pair[0]))
        if not route.page:
            return Question(path, told), route
        language = negotiated(_text(scope, b"accept-language"), cookie(scope, LANGUAGE))
        if not route.absolute:
            return Question(path, told, language), route
        secure = is_secure(scope, self._trusted_proxies)
        return Question(path, told, language, header(scope, b"host") or b"", secure), route

    def _route(self, path: str) -> Cacheable | None:
        parent, _, last = path.rpartition("/")
        return (
            self._routes.get(path)
            or (self._routes.get(parent + "/") if parent else None)
            or self._routes.get(f"{parent.rpartition('/')[0]}/*/{last}")
        )


def _is_somebody(scope: Scope) -> bool:
    return header(scope, b"authorization") is not None or has_session(scope)


def _text(scope: Scope, name: bytes) -> str:
    return (header(scope, name) or b"").decode("latin-1")


def _told_as_past(kept: _Kept) -> Any:
    """The body of a page that says that it is its last snapshot; None of what is no page."""
    if not kept.route.page or SNAPSHOT[0] not in kept.body["body"]:
        return None
    return _body(kept.body["body"].replace(*SNAPSHOT, 1))


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


_EMPTY: Any = _body(b"")


async def _no_body() -> Any:
    return {"type": "http.request", "body": b"", "more_body": False}


def _not_modified(start: Any) -> Any:
    headers: Sequence[tuple[bytes, bytes]] = start["headers"]
    kept = [item for item in headers if item[0] not in (b"content-type", b"content-length")]
    return {"type": "http.response.start", "status": 304, "headers": kept}


def _matches(asked: bytes, etag: bytes) -> bool:
    """If-None-Match: `*`, or a list of tags that compare weakly."""
    return asked.strip() == b"*" or any(tag.strip().removeprefix(b"W/") == etag for tag in asked.split(b","))
