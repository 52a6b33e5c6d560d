"""The computation of a response that is not in the cache. All requests for it wait for one computation."""

from time import monotonic

import anyio

from api.cache.entries import Cacheable, CachedResponse, CacheKey, encode_response
from api.edge.asgi import ASGIApp, Headers, Message, Scope
from api.rest.errors import ApiError
from api.rest.request_state import RequestState

STALE_AFTER_S = 2.0
"""After this time the database is assumed not to respond. Waiting requests get the stale response, if there is one."""


class Computation:
    """The state of one computation. Every request with the same key waits for `done`."""

    def __init__(self, route: Cacheable) -> None:
        self.route = route
        self.stale_at = monotonic() + STALE_AFTER_S
        """The time, on the monotonic clock, from which waiting requests get the stale response."""
        self.started = False
        """Whether the application has been called. Before that, no change can invalidate the result."""
        self.done = anyio.Event()
        self.response: CachedResponse | None = None
        """None while the computation runs, and if it was cancelled or refused. In that case a waiting request begins
        another computation."""
        self.rate_limit_headers: Headers = []
        """The RateLimit headers of the request that began the computation. The computation counts against the limit of
        its client."""
        self.refusal: tuple[str, ApiError] | None = None
        """The client over its limit that began the computation, and the 429 for it."""
        self.checks_changed = False
        """Whether new checks were stored during the computation. The response may lack them."""

    async def wait(self) -> bool:
        """Waits until the computation is done. Returns False if it is not done at `stale_at`."""
        while not self.done.is_set() and (left := self.stale_at - monotonic()) > 0:
            with anyio.move_on_after(left):
                await self.done.wait()
        return self.done.is_set()


async def compute_response(app: ASGIApp, key: CacheKey, html: bool, route: Cacheable, scope: Scope) -> CachedResponse:
    """The response of `app` to a request that is built from `key` alone, so that the response contains no data of the
    client. `html`: errors are pages."""
    headers = [(b"host", key.host)] if key.host else []
    if html:
        headers.append((b"accept", b"text/html"))
    state: RequestState = {
        "admitted": True,
        "language": key.language,
        "theme": key.theme,
        "secure": key.secure,
    }
    anonymous = dict(scope) | {"method": "GET", "path": key.path, "query_string": key.query.encode()}
    anonymous |= {"headers": headers, "state": state}
    collector = _ResponseCollector()
    await app(anonymous, _receive_empty_body, collector)
    response = await encode_response(collector.status, collector.headers, bytes(collector.body), route)
    response.path_template = anonymous.get("path_template")
    return response


class _ResponseCollector:
    """An ASGI `send` that collects the response."""

    def __init__(self) -> None:
        self.status = 500
        self.headers: Headers = []
        self.body = bytearray()

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], list(message["headers"])
        elif message["type"] == "http.response.body":
            self.body += message["body"]


async def _receive_empty_body() -> Message:
    """An ASGI `receive` of a request without a body."""
    return {"type": "http.request", "body": b"", "more_body": False}
