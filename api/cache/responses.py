"""Serves responses from memory, without entering Litestar, until a change invalidates them.

Consistency with the live feed: the feed calls `invalidate` *before* it sends an event to the sockets. A client that
sends a request because of an event never gets the response from before it. A computation that is running at that moment
is still sent to the requests that wait for it, but not stored: `invalidate` removes it from `_computations`, and only
the results of computations in `_computations` are stored. New checks do not invalidate a response at once but after a
short time. Otherwise a response would be computed for every request if checks are more frequent than requests.

Rate limits: a computation counts once, against the limit of the client that begins it; requests that wait for it do not
count. However often a response is invalidated, its token bucket limits how often it is computed. A client over its
limit gets the response in memory. For such clients a response is computed again at most once a minute or, if it was
invalidated, `AFTER_EVENT_S` after its last computation, so that an office behind one address sees current dashboards.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from time import monotonic
from typing import Protocol

import anyio

from api.cache.computation import Computation, compute_response
from api.cache.entries import MAX_AGE_S, Cacheable, CacheKey, Change
from api.cache.keys import CacheKeys
from api.cache.memory import MAX_ENTRIES, ResponseStore
from api.cache.sending import ResponseSender
from api.edge.asgi import ASGIApp, Headers, Message, Receive, Scope, Send
from api.edge.client_address import client_key, client_of
from api.edge.negotiation import accepts_html
from api.edge.origins import Origins
from api.edge.token_bucket import KeyedTokenBuckets
from api.metrics import Metrics
from api.rest.errors import ApiError
from api.rest.request_state import request_state
from sla_monitor.formats.networks import Network
from sql import OperationalError

RETRY_AWAY_S = 1.0
"""For this time after a failed attempt, stale responses are sent without another attempt to use the database."""
AFTER_EVENT_S = 5.0
"""For clients over their limit, an invalidated response is computed again once this time has passed since its last
computation."""
_CHANGE_OF_ACTION: Mapping[str, Change] = {
    "incidents": "event",
    "comments": "event",
    "maintenance": "event",
    "services": "services",
}
"""The change that a successful action causes, by its resource: the part of the action before the colon
(api/auth/permissions.py)."""


class Admission(Protocol):
    """Counts requests against the rate limits (api/edge/middleware.py `Edge`)."""

    async def admit(self, scope: Scope) -> Headers:
        """Counts one request. Returns the RateLimit headers. Raises ApiError 429 if the limit is used up,
        OperationalError while the database is away."""

    async def refuse(self, scope: Scope, send: Send, error: ApiError) -> None:
        """Sends the error."""


class ResponseCache:
    """ASGI middleware around `Edge`. Requests for responses that are not cacheable are passed on."""

    def __init__(
        self,
        app: ASGIApp,
        routes: Iterable[Cacheable],
        origins: Origins,
        metrics: Metrics,
        admission: Admission,
        trusted_proxies: Sequence[Network] = (),
        *,
        exposes_source: bool = False,
    ) -> None:
        """`exposes_source`: see `ResponseSender`."""
        self._app = app
        self._admission = admission
        self._trusted_proxies = trusted_proxies
        self._store = ResponseStore()
        self._keys = CacheKeys(routes, origins, trusted_proxies)
        self._counts = metrics.cacheable_responses
        self._sender = ResponseSender(origins, self._counts, exposes_source)
        self._computations: dict[tuple[CacheKey, bool], Computation] = {}
        """The running computations, by key and by whether errors are pages."""
        self._buckets: KeyedTokenBuckets[CacheKey] = KeyedTokenBuckets()
        """They limit how often each response is computed."""
        self._invalidated: dict[CacheKey, None] = {}
        """Keys whose response was computed before, but was removed or not stored because of a change."""
        self.database_away = False
        """Set by the feed. While it is true, stale responses are sent without trying the database."""
        self.wait_for_feed: Callable[[], Awaitable[bool]] = _no_feed
        """Set by the feed: waits until the feed has handled all events that were committed before the call; False if it
        cannot."""
        self._away_until = 0.0
        metrics.response_cache_bytes.set_function(lambda: self._store.bytes)
        metrics.response_cache_entries.set_function(lambda: len(self._store))

    def invalidate(self, change: Change | None = None) -> None:
        """Invalidates every response that depends on `change`, or all. They remain in memory as stale responses.

        After a change of services they are removed: a service may have become private.
        """
        for key, response in list(self._store.items()):
            if change is not None and change not in response.route.changed_by:
                continue
            if change == "checks":
                response.checks_changed = True
            else:
                response.invalidated = True
            if change == "services":
                self._store.remove(key)
                self._invalidated[key] = None
        for key_and_form, computation in list(self._computations.items()):
            if not computation.started or (change is not None and change not in computation.route.changed_by):
                continue
            if change == "checks":
                computation.checks_changed = True
            else:
                del self._computations[key_and_form]
                self._invalidated[key_and_form[0]] = None
        while len(self._invalidated) > MAX_ENTRIES:
            del self._invalidated[next(iter(self._invalidated))]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or (scope["method"] != "GET" and scope["method"] != "HEAD"):
            await self._app(scope, receive, self._invalidating_send(scope, send))
            return
        lookup = self._keys.lookup(scope)
        if lookup is None:
            await self._app(scope, receive, send)
            return
        key, route, variant = lookup
        partition = self._store.partition(key)
        cached = partition.get(key)
        if cached is not None and cached.is_fresh():
            partition.move_to_end(key)
            if variant is None or (messages := cached.prepared.get(variant)) is None:
                await self._sender.send(cached, "HIT", scope, send)
            else:  # nearly all requests come here, so this path is as short as possible
                self._counts["HIT"] += 1
                scope["path_template"] = cached.path_template
                await send(messages[0])
                await send(messages[1])
        elif cached is not None and self._is_away():
            await self._sender.send(cached, "STALE", scope, send)
        else:
            await self._serve_miss(key, route, scope, send)

    def _invalidating_send(self, scope: Scope, send: Send) -> Send:
        """A `send` that delays the response to a change until the feed has handled the change, so that the next request
        of the client gets the new state. If the feed is not listening, it invalidates the responses itself."""

        async def send_after_feed(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] < 400:
                resource, _, _ = request_state(scope).get("action", "").partition(":")
                if resource in _CHANGE_OF_ACTION and not await self.wait_for_feed():
                    self.invalidate(_CHANGE_OF_ACTION[resource])
            await send(message)

        return send_after_feed

    def _is_away(self) -> bool:
        return self.database_away or monotonic() < self._away_until

    async def _serve_miss(self, key: CacheKey, route: Cacheable, scope: Scope, send: Send) -> None:
        """Waits for the computation that another request has begun, or begins one.

        A computation continues after its request got the stale response. If the client disconnects, it is cancelled.
        """
        html = route.page and accepts_html(scope)
        client = client_key(client_of(scope, self._trusted_proxies))
        sent = False
        while not sent:
            cached = self._store.get(key)
            if cached is not None and cached.is_fresh():
                await self._sender.send(cached, "HIT", scope, send)
                return
            computation = self._computations.get((key, html))
            if computation is not None:
                sent = await self._send_result(computation, key, client, scope, send)
                continue
            computation = self._computations[key, html] = Computation(route)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._compute, computation, key, html, client, scope)
                sent = await self._send_result(computation, key, client, scope, send, first=True)

    async def _send_result(
        self, computation: Computation, key: CacheKey, client: str, scope: Scope, send: Send, first: bool = False
    ) -> bool:
        """Waits for a computation and sends its result. Returns False if it has none, and another must begin. `first`:
        this request began the computation."""
        if not await computation.wait():
            if (stale := self._store.get(key)) is not None:
                await self._sender.send(stale, "STALE", scope, send)
                return True
            await computation.done.wait()
        response, stale = computation.response, self._store.get(key)
        if response is not None and not (response.status == 503 and stale is not None):
            await self._sender.send(response, "MISS", scope, send, computation.rate_limit_headers if first else ())
        elif computation.refusal is not None and computation.refusal[0] == client:
            if stale is not None:
                await self._sender.send(stale, "STALE", scope, send, database_away=False)
            elif key in self._invalidated:  # after the refusal, so it may be computed now
                return False
            else:
                await self._admission.refuse(scope, send, computation.refusal[1])
        elif stale is not None and (response is not None or self._is_away()):
            await self._sender.send(stale, "STALE", scope, send)
        else:
            return False
        return True

    def _may_exceed_limit(self, key: CacheKey) -> bool:
        """Whether a client over its limit may begin the computation. The response must have been computed before, and
        must have been removed since, or be older than AFTER_EVENT_S or MAX_AGE_S."""
        last = self._store.get(key)
        if last is None:
            return key in self._invalidated
        return monotonic() - last.computed_at >= (AFTER_EVENT_S if last.invalidated else MAX_AGE_S)

    async def _compute(self, computation: Computation, key: CacheKey, html: bool, client: str, scope: Scope) -> None:
        """Runs a computation and stores a 200. `html`: errors are pages."""
        try:
            try:
                computation.rate_limit_headers = await self._admission.admit(scope)
            except OperationalError:
                self._away_until = monotonic() + RETRY_AWAY_S
                if self._store.get(key) is not None:
                    return
            except ApiError as error:
                if not self._may_exceed_limit(key):
                    computation.refusal = client, error
                    return
            if (pause := self._buckets.pause(key)) > 0:
                computation.stale_at += pause
                await anyio.sleep(pause)
            computation.started = True
            response = await compute_response(self._app, key, html, computation.route, scope)
            response.checks_changed = computation.checks_changed
            self._away_until = monotonic() + RETRY_AWAY_S if response.status == 503 else 0.0
            if self._computations.get((key, html)) is computation and response.status == 200:
                self._store.put(key, response)
                self._invalidated.pop(key, None)
            if response.status == 404:  # deleted or no longer public: the stale response must not be sent
                self._store.remove(key)
                self._invalidated.pop(key, None)
            computation.response = response
        finally:
            if self._computations.get((key, html)) is computation:
                del self._computations[key, html]
            computation.done.set()


async def _no_feed() -> bool:
    return False
