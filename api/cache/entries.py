"""What may be kept in memory of what this process answers, and such an answer: encoded bytes, ready to be sent."""

import gzip
from collections.abc import Sequence
from hashlib import blake2b
from time import monotonic
from typing import Any, Literal

import msgspec
from anyio import to_thread

from api.edge.cookies import Theme
from api.edge.middleware import Headers
from sla_monitor.texts.languages import Language

MAX_AGE_S = 60
"""Days turn without an event, so no answer is kept longer."""
REST_S = 1.0
PAGE_REST_S = 5.0
"""An answer, and a page, tells of new checks after this time; of an event at once."""
LEAST_PACKED_BYTES = 1024
PACKING = 6
IMMUTABLE = b"public, max-age=31536000, immutable"
SNAPSHOT = (b'data-snapshot="live"', b'data-snapshot="past"')
"""What a page says of itself, and what is said in its place once it is all there is."""
Change = Literal["checks", "event", "services"]
Source = Literal["HIT", "MISS", "STALE"]
Variant = tuple[bytes | None, bool]
"""The origin of the web page that asks, if it may read the answer, and whether that may come compressed."""
_REPLACED = frozenset({b"etag", b"cache-control", b"x-request-id"})


class Cacheable(msgspec.Struct, frozen=True):
    """One route whose answers may be kept.

    `parameters` are all it reads of the query, others do not count; with one of `private` an answer is never kept.
    A `personal` answer depends on who asks: only what nobody in particular gets is kept. A path that ends in `/`
    (other than `/` itself) stands for one more segment after it, and `*` for any segment before the last one. A `page`
    is for browsers: one in each language and look, sent compressed.
    """

    path: str
    changed_by: frozenset[Change]
    parameters: frozenset[str] = frozenset()
    private: frozenset[str] = frozenset()
    personal: bool = False
    page: bool = False
    absolute: bool = False
    """It names its own address, which is where it was asked for where SITE_URL does not say: one for each Host."""
    immutable: bool = False
    """Its path changes with its content, which is the same in every language."""

    def vary(self) -> Headers:
        """What else than the address makes another answer, for caches on the way."""
        told: Headers = []
        if self.personal:
            told.append((b"vary", b"Cookie" if self.page else b"Authorization"))
        if self.page:
            told.append(
                (b"vary", b"Accept-Encoding" if self.immutable else b"Accept-Language, Cookie, Accept-Encoding")
            )
        return told


class CacheKey(msgspec.Struct, frozen=True, cache_hash=True):
    """What is asked, in the words of no one in particular; the rest where the answer depends on it."""

    path: str
    query: str = ""
    language: Language | None = None
    theme: Theme | None = None
    host: bytes = b""
    secure: bool = False


class CachedResponse:
    """One encoded answer with its headers, ready for each origin it may be asked from, compressed where it may be."""

    __slots__ = (
        "body",
        "computed_at",
        "etag",
        "fresh",
        "headers",
        "packed",
        "ready",
        "resting",
        "route",
        "size",
        "status",
        "template",
    )

    def __init__(
        self, status: int, headers: Headers, body: bytes, route: Cacheable, packed: bytes | None = None
    ) -> None:
        self.status = status
        self.template: str | None = None
        """Of the route that it is the answer of, for the request log."""
        own_etag = next((value for name, value in headers if name == b"etag"), None)
        self.etag = own_etag or b'"' + blake2b(body, digest_size=16).hexdigest().encode() + b'"'
        self.headers = [item for item in headers if item[0] != b"vary"]
        if status == 200:
            own = [item for item in self.headers if item[0] not in _REPLACED]
            control = IMMUTABLE if route.immutable else b"no-cache"
            self.headers = [*own, (b"etag", self.etag), (b"cache-control", control)]
        self.body: Any = body_message(body)
        self.packed: Any = body_message(packed) if packed else None
        self.ready: dict[Variant, tuple[Any, Any]] = {}
        self.computed_at = monotonic()
        self.fresh = True
        self.resting = False
        self.route = route
        self.size = len(body) + len(packed or b"") + 1024

    def is_fresh(self) -> bool:
        rest = PAGE_REST_S if self.route.page else REST_S
        return self.fresh and monotonic() - self.computed_at < (rest if self.resting else MAX_AGE_S)

    def start(self, source: Source | None, packed: bool, cors: Headers) -> Any:
        """The first message of the answer; with `source`, it says where it is from."""
        headers = [*self.headers, *cors, *self.route.vary()]
        if packed:
            unpacked = (b"content-length", b"etag")
            headers = [item for item in headers if item[0] not in unpacked]
            headers += [(b"content-encoding", b"gzip"), (b"etag", b"W/" + self.etag)]
            headers.append((b"content-length", b"%d" % len(self.packed["body"])))
        if self.status == 200 and source is not None:
            headers.append((b"x-cache", source.encode()))
        if source == "STALE":
            headers.append((b"age", b"%d" % (monotonic() - self.computed_at)))
        return {"type": "http.response.start", "status": self.status, "headers": headers}

    def told_as_past(self) -> Any:
        """The body of a page that says that it is its last snapshot; None of what is no page."""
        if not self.route.page or SNAPSHOT[0] not in self.body["body"]:
            return None
        return body_message(self.body["body"].replace(*SNAPSHOT, 1))

    def matches(self, asked: bytes) -> bool:
        """Whether If-None-Match names this one: `*`, or a list of tags that compare weakly."""
        if self.status != 200:
            return False
        return asked.strip() == b"*" or any(tag.strip().removeprefix(b"W/") == self.etag for tag in asked.split(b","))


def body_message(content: bytes) -> Any:
    return {"type": "http.response.body", "body": content, "more_body": False}


def not_modified(start: Any) -> Any:
    """The 304 for an answer that starts so."""
    headers: Sequence[tuple[bytes, bytes]] = start["headers"]
    kept = [item for item in headers if item[0] not in (b"content-type", b"content-length")]
    return {"type": "http.response.start", "status": 304, "headers": kept}


async def encoded(status: int, headers: Headers, body: bytes, route: Cacheable) -> CachedResponse:
    """An answer that was caught, compressed where browsers ask for it."""
    packed = None
    if route.page and status == 200 and len(body) >= LEAST_PACKED_BYTES:
        packed = await to_thread.run_sync(lambda: gzip.compress(body, PACKING, mtime=0))
    return CachedResponse(status, headers, body, route, packed)
