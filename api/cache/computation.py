"""The computation of a response that is not in the cache: one, however many requests wait for it."""

from time import monotonic

import anyio

from api.cache.entries import Cacheable, CachedResponse, CacheKey, encode_response
from api.edge.asgi import ASGIApp, Headers, Message, Scope
from api.edge.request_state import RequestState
from api.rest.errors import ApiError

STALE_AFTER_S = 2.0
"""Requests wait no longer than this if there is a stale response: the database does not respond."""


class Computation:
    """The state of one computation. Every request with the same key waits for `done`."""

    def __init__(self, route: Cacheable) -> None:
        self.route = route
        self.stale_at = monotonic() + STALE_AFTER_S
        """From then on waiting requests get the stale response."""
        self.started = False
        """Whether the application has been called. Before that, no change can invalidate the result."""
        self.done = anyio.Event()
        self.response: CachedResponse | None = None
        """None where the computation was cancelled or refused: the next waiting request begins another one."""
        self.rate_limit_headers: Headers = []
        """For the request that began the computation, against whose limit it is counted."""
        self.refusal: tuple[str, ApiError] | None = None
        """The client that is over its limit, and the error for it."""
        self.checks_changed = False
        """New checks were stored during the computation, so the response may not contain them."""

    async def wait(self) -> bool:
        """Waits until it is done; False where it is not done at `stale_at`."""
        while not self.done.is_set() and (left := self.stale_at - monotonic()) > 0:
            with anyio.move_on_after(left):
                await self.done.wait()
        return self.done.is_set()


async def compute_response(app: ASGIApp, key: CacheKey, html: bool, route: Cacheable, scope: Scope) -> CachedResponse:
    """The response of `app`. The request for it is built from `key` alone, so that nothing of the client whose request
    this is can be in the response. `html`: errors are pages."""
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
    await app(anonymous, _empty_request, collector)
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


async def _empty_request() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}
