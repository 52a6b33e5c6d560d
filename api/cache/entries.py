"""Cacheable routes, and cached responses: encoded bytes, ready to be sent."""

import gzip
from collections.abc import Sequence
from hashlib import blake2b
from time import monotonic
from typing import Any, Literal

import msgspec
from anyio import to_thread

from api.edge.asgi import Headers
from api.edge.cookies import Theme
from sla_monitor.texts.languages import Language

MAX_AGE_S = 60
"""The time for which a response stays fresh without a change. Pages show dates, and midnight causes no event."""
CHECKS_MAX_AGE_S = 1.0
CHECKS_PAGE_MAX_AGE_S = 5.0
"""The time in seconds for which a response, or a page, stays fresh if new checks are the only change since its
computation."""
MIN_GZIP_BYTES = 1024
GZIP_LEVEL = 6
IMMUTABLE = b"public, max-age=31536000, immutable"
SNAPSHOT_MARKS = (b'data-snapshot="live"', b'data-snapshot="past"')
"""The attribute of a page, and its replacement in a stale copy. The script of the page then shows the age."""
Change = Literal["checks", "event", "services"]
Source = Literal["HIT", "MISS", "STALE"]
Variant = tuple[bytes | None, bool]
"""The allowed origin of the requesting web page, and whether the client accepts gzip."""
_REPLACED = frozenset({b"etag", b"cache-control", b"x-request-id"})


class Cacheable(msgspec.Struct, frozen=True):
    """A route whose responses may be cached.

    `path`: a path that ends in `/` (other than `/` itself) matches one more segment; `*` matches any segment before the
    last one. `changed_by`: the changes that invalidate its responses. `parameters`: the query parameters that it reads;
    others are not part of the cache key. `private`: parameters with which a request is never served from the cache.
    `personal`: the response depends on the user; only the response for anonymous clients is cached. `page`: an HTML
    page, cached for each language and theme, and compressed.
    """

    path: str
    changed_by: frozenset[Change]
    parameters: frozenset[str] = frozenset()
    private: frozenset[str] = frozenset()
    personal: bool = False
    page: bool = False
    localized: bool = False
    """The response of the API depends on Accept-Language."""
    absolute: bool = False
    """The response contains absolute links. Without SITE_URL they depend on `Host`, which is then part of the key."""
    immutable: bool = False
    """The path changes with the content, and the content is the same in every language."""

    def vary(self) -> Headers:
        """The Vary headers, for caches between client and server."""
        headers: Headers = []
        if self.personal:
            headers.append((b"vary", b"Cookie" if self.page else b"Authorization"))
        if self.localized:
            headers.append((b"vary", b"Accept-Language"))
        if self.page:
            headers.append(
                (b"vary", b"Accept-Encoding" if self.immutable else b"Accept-Language, Cookie, Accept-Encoding")
            )
        return headers


class CacheKey(msgspec.Struct, frozen=True, cache_hash=True):
    """The parts of a request that its response depends on. Fields that the route does not use keep their default."""

    path: str
    query: str = ""
    """The parameters that the route reads, sorted by name."""
    language: Language | None = None
    theme: Theme | None = None
    host: bytes = b""
    secure: bool = False


class CachedResponse:
    """One encoded response. The messages of each variant are prepared once."""

    __slots__ = (
        "body",
        "checks_changed",
        "computed_at",
        "etag",
        "gzipped",
        "headers",
        "invalidated",
        "path_template",
        "prepared",
        "route",
        "size",
        "status",
    )

    def __init__(
        self, status: int, headers: Headers, body: bytes, route: Cacheable, gzipped: bytes | None = None
    ) -> None:
        self.status = status
        self.path_template: str | None = None
        """The template of the route, for the request log."""
        own_etag = next((value for name, value in headers if name == b"etag"), None)
        self.etag = own_etag or b'"' + blake2b(body, digest_size=16).hexdigest().encode() + b'"'
        self.headers = [item for item in headers if item[0] != b"vary"]
        if status == 200:
            own = [item for item in self.headers if item[0] not in _REPLACED]
            control = IMMUTABLE if route.immutable else b"no-cache"
            self.headers = [*own, (b"etag", self.etag), (b"cache-control", control)]
        self.body: Any = body_message(body)
        self.gzipped: Any = body_message(gzipped) if gzipped else None
        self.prepared: dict[Variant, tuple[Any, Any]] = {}
        """The ASGI messages of a cache hit."""
        self.computed_at = monotonic()
        self.invalidated = False
        self.checks_changed = False
        self.route = route
        self.size = len(body) + len(gzipped or b"") + 1024
        """Bytes, including an estimate for headers and prepared messages."""

    def is_fresh(self) -> bool:
        """Whether the response can be sent without a new computation."""
        max_age: float = MAX_AGE_S
        if self.checks_changed:
            max_age = CHECKS_PAGE_MAX_AGE_S if self.route.page else CHECKS_MAX_AGE_S
        return not self.invalidated and monotonic() - self.computed_at < max_age

    def start(self, source: Source | None, gzipped: bool, cors: Headers) -> Any:
        """The `http.response.start` message. `source`: the value of X-Cache; None leaves the header out."""
        headers = [*self.headers, *cors, *self.route.vary()]
        if gzipped:
            replaced = (b"content-length", b"etag")
            headers = [item for item in headers if item[0] not in replaced]
            headers += [(b"content-encoding", b"gzip"), (b"etag", b"W/" + self.etag)]
            headers.append((b"content-length", b"%d" % len(self.gzipped["body"])))
        if self.status == 200 and source is not None:
            headers.append((b"x-cache", source.encode()))
        if source == "STALE":
            headers.append((b"age", b"%d" % (monotonic() - self.computed_at)))
        return {"type": "http.response.start", "status": self.status, "headers": headers}

    def stale_page_body(self) -> Any:
        """The ASGI message with the body of the page, marked as the last snapshot; None if this is not a live page."""
        if not self.route.page or SNAPSHOT_MARKS[0] not in self.body["body"]:
            return None
        return body_message(self.body["body"].replace(*SNAPSHOT_MARKS, 1))

    def matches(self, if_none_match: bytes) -> bool:
        """Whether If-None-Match names this response: `*`, or a list of tags, compared weakly."""
        if self.status != 200:
            return False
        tags = if_none_match.split(b",")
        return if_none_match.strip() == b"*" or any(tag.strip().removeprefix(b"W/") == self.etag for tag in tags)


def body_message(content: bytes) -> Any:
    """The `http.response.body` message with the whole body."""
    return {"type": "http.response.body", "body": content, "more_body": False}


def not_modified(start: Any) -> Any:
    """The start message of a 304, made from `start`, that of the 200."""
    headers: Sequence[tuple[bytes, bytes]] = start["headers"]
    remaining = [item for item in headers if item[0] not in (b"content-type", b"content-length")]
    return {"type": "http.response.start", "status": 304, "headers": remaining}


async def encode_response(status: int, headers: Headers, body: bytes, route: Cacheable) -> CachedResponse:
    """Makes a cached response. Pages are compressed in a thread."""
    gzipped = None
    if route.page and status == 200 and len(body) >= MIN_GZIP_BYTES:
        gzipped = await to_thread.run_sync(lambda: gzip.compress(body, GZIP_LEVEL, mtime=0))
    return CachedResponse(status, headers, body, route, gzipped)
