"""Answers kept as encoded bytes, served without entering Litestar, until an event ends them.

The feed calls `forget` *before* it hands an event to the sockets, so a client that asks again because of a frame
never gets the answer from before it. A computation that was under way at that moment may still be given to those
who were waiting for it, but is not kept: `forget` takes it off `_flights`, and only what is still there is stored.
What is behind new checks only is kept for a short rest all the same, or it would be computed for every visitor
wherever checks come more often than visitors do.

A computation is counted once, against the limit of the client whose request begins it; those who wait for it are not
counted. However often a response is invalidated, it is computed no faster than its token bucket allows. A client over
its limit is given what is in memory. That is renewed at most once a minute, or, where an event has ended it,
`AFTER_EVENT_S` after it was computed: an office behind one address is never locked out of what its dashboards show.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from time import monotonic
from typing import Protocol

import anyio

from api.cache.entries import (
    MAX_AGE_S,
    Cacheable,
    CachedResponse,
    CacheKey,
    Change,
    Source,
    body_message,
    encoded,
    not_modified,
)
from api.cache.keys import CacheKeys
from api.cache.memory import MAX_ENTRIES, ResponseStore
from api.edge.client_address import client_key, client_of
from api.edge.middleware import ADMITTED, ASGIApp, Headers, Message, Origins, Receive, Scope, Send
from api.edge.negotiation import accepts_gzip, accepts_html
from api.edge.token_bucket import KeyedTokenBuckets
from api.metrics import Metrics
from api.rest.errors import ApiError
from sla_monitor.settings.values import Network
from sql import OperationalError

RETRY_AWAY_S = 1.0
STALE_AFTER_S = 2.0
"""Where there is a last snapshot, nobody waits longer for a computation that does not end: the database is silent."""
AFTER_EVENT_S = 5.0
"""How soon an answer that an event has ended is computed again for clients over their limit."""
_MAKES: Mapping[str, Change] = {
    "incidents": "event",
    "comments": "event",
    "maintenance": "event",
    "services": "services",
}
"""What somebody who may act on these (api/auth/gatekeeper.py) makes untrue by it."""


class Admission(Protocol):
    """What counts requests against limits (api/edge/middleware.py `Edge`)."""

    async def admit(self, scope: Scope) -> Headers:
        """Counts one. Raises ApiError 429 where the limit is used up, OperationalError where nothing can be counted."""

    async def refuse(self, scope: Scope, send: Send, error: ApiError) -> None:
        """Sends the refusal."""


class _Flight:
    """One computation that everybody who asks the same waits for."""

    def __init__(self, route: Cacheable) -> None:
        self.route = route
        self.stale_at = monotonic() + STALE_AFTER_S
        """From then on a last snapshot is given instead."""
        self.begun = False
        """Whether it is being computed; before that no change can make it untrue."""
        self.landed = anyio.Event()
        self.result: CachedResponse | None = None
        """None where it was cancelled or refused: then the next one who waits begins another."""
        self.told: Headers = []
        """The RateLimit headers, for the one whose request it is counted as."""
        self.refused: tuple[str, ApiError] | None = None
        """The client that may not compute it now, and why."""
        self.resting = False
        """New checks came meanwhile, so what it says of them is old already."""


class ResponseCache:
    """ASGI middleware outside everything else; what is not cacheable passes through."""

    def __init__(
        self,
        app: ASGIApp,
        routes: Iterable[Cacheable],
        origins: Origins,
        metrics: Metrics,
        admission: Admission,
        trusted_proxies: Sequence[Network] = (),
        *,
        tells_source: bool = False,
    ) -> None:
        """`tells_source`: whether answers say that they came from memory, and how many more may be computed. Only for
        debugging: strangers would see from it when something ends them."""
        self._app = app
        self._admission = admission
        self._trusted_proxies = trusted_proxies
        self._origins = origins
        self._memory = ResponseStore()
        self._tells_source = tells_source
        self._questions = CacheKeys(routes, origins, trusted_proxies)
        self._flights: dict[tuple[CacheKey, bool], _Flight] = {}
        self._pace: KeyedTokenBuckets[CacheKey] = KeyedTokenBuckets()
        self._withdrawn: dict[CacheKey, None] = {}
        """What was computed once and is not in memory because of a change."""
        self.database_away = False
        """Set by the feed; then the last snapshot is given without trying."""
        self.heard: Callable[[], Awaitable[bool]] = _unheard
        """Set by the feed: waits until it has heard of what was committed, False where it cannot tell."""
        self._away_until = 0.0
        self._counts = metrics.answers
        metrics.answer_bytes.set_function(lambda: self._memory.bytes)
        metrics.answer_entries.set_function(lambda: len(self._memory))

    def forget(self, change: Change | None = None) -> None:
        """Ends every answer that `change` makes untrue, or all; they stay as last snapshots for bad times.

        Not after a change of a service: it may be private from now on, in bad times too.
        """
        for key, kept in list(self._memory.items()):
            if change is not None and change not in kept.route.changed_by:
                continue
            if change == "checks":
                kept.resting = True
            else:
                kept.fresh = False
            if change == "services":
                self._memory.drop(key)
                self._withdrawn[key] = None
        for flown, flight in list(self._flights.items()):
            if not flight.begun or (change is not None and change not in flight.route.changed_by):
                continue
            if change == "checks":
                flight.resting = True
            else:
                del self._flights[flown]
                self._withdrawn[flown[0]] = None
        while len(self._withdrawn) > MAX_ENTRIES:
            del self._withdrawn[next(iter(self._withdrawn))]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or (scope["method"] != "GET" and scope["method"] != "HEAD"):
            await self._app(scope, receive, self._after_writing(scope, send))
            return
        asked = self._questions.asked(scope)
        if asked is None:
            await self._app(scope, receive, send)
            return
        key, route, variant = asked
        room = self._memory.room(key)
        kept = room.get(key)
        if kept is not None and kept.is_fresh():
            room.move_to_end(key)
            if variant is None or (ready := kept.ready.get(variant)) is None:
                await self._give(kept, "HIT", scope, send)
            else:  # the way of nearly all requests, and as short as it can be
                self._counts["HIT"] += 1
                scope["path_template"] = kept.template
                await send(ready[0])
                await send(ready[1])
        elif kept is not None and self._is_away():
            await self._give(kept, "STALE", scope, send)
        else:
            await self._miss(key, route, scope, send)

    def _after_writing(self, scope: Scope, send: Send) -> Send:
        """Who has changed something sees it with the next request: the change is answered once the feed has heard of
        it, and has ended the answers that it makes untrue. Where only those inside see it, it ends none."""

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] < 400:
                action, _, _ = str(scope.get("state", {}).get("action", "")).partition(":")
                if action in _MAKES and not await self.heard():
                    self.forget(_MAKES[action])
            await send(message)

        return answer

    def _is_away(self) -> bool:
        return self.database_away or monotonic() < self._away_until

    async def _miss(self, key: CacheKey, route: Cacheable, scope: Scope, send: Send) -> None:
        """Waits for the computation that another request has begun, or begins it.

        It goes on after this request has been given the last snapshot instead, but ends with the request itself.
        """
        html = route.page and accepts_html(scope)
        client = client_key(client_of(scope, self._trusted_proxies))
        given = False
        while not given:
            kept = self._memory.get(key)
            if kept is not None and kept.is_fresh():
                await self._give(kept, "HIT", scope, send)
                return
            flight = self._flights.get((key, html))
            if flight is not None:
                given = await self._given(flight, key, client, scope, send)
                continue
            flight = self._flights[key, html] = _Flight(route)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._compute, flight, key, html, client, scope)
                given = await self._given(flight, key, client, scope, send, first=True)

    async def _given(
        self, flight: _Flight, key: CacheKey, client: str, scope: Scope, send: Send, first: bool = False
    ) -> bool:
        """Gives what a computation comes to; False where it came to nothing and is to be begun again. `first`: of the
        one whose request it is counted as."""
        while not flight.landed.is_set() and (left := flight.stale_at - monotonic()) > 0:
            with anyio.move_on_after(left):
                await flight.landed.wait()
        if not flight.landed.is_set():
            if (last := self._memory.get(key)) is not None:
                await self._give(last, "STALE", scope, send)
                return True
            await flight.landed.wait()
        result, last = flight.result, self._memory.get(key)
        if result is not None and not (result.status == 503 and last is not None):
            await self._give(result, "MISS", scope, send, flight.told if first else ())
        elif flight.refused is not None and flight.refused[0] == client:
            if last is not None:
                await self._give(last, "STALE", scope, send, away=False)
            elif key in self._withdrawn:  # just now
                return False
            else:
                await self._admission.refuse(scope, send, flight.refused[1])
        elif last is not None and (result is not None or self._is_away()):
            await self._give(last, "STALE", scope, send)
        else:
            return False
        return True

    def _is_renewed(self, key: CacheKey) -> bool:
        """Whether an answer is computed for a client over its limit: not what nobody has been given before."""
        last = self._memory.get(key)
        if last is None:
            return key in self._withdrawn
        return monotonic() - last.computed_at >= (MAX_AGE_S if last.fresh else AFTER_EVENT_S)

    async def _compute(self, flight: _Flight, key: CacheKey, html: bool, client: str, scope: Scope) -> None:
        """`html`: how an error is told; nothing else depends on it."""
        try:
            try:
                flight.told = await self._admission.admit(scope)
            except OperationalError:
                self._away_until = monotonic() + RETRY_AWAY_S
                if self._memory.get(key) is not None:
                    return
            except ApiError as refusal:
                if not self._is_renewed(key):
                    flight.refused = client, refusal
                    return
            if (pause := self._pace.pause(key)) > 0:
                flight.stale_at += pause
                await anyio.sleep(pause)
            flight.begun = True
            result = await self._ask(key, html, flight.route, scope)
            result.resting = flight.resting
            self._away_until = monotonic() + RETRY_AWAY_S if result.status == 503 else 0.0
            if self._flights.get((key, html)) is flight and result.status == 200:
                self._memory.keep(key, result)
                self._withdrawn.pop(key, None)
            if result.status == 404:  # deleted, or no longer public: its last snapshot is nobody's any more
                self._memory.drop(key)
                self._withdrawn.pop(key, None)
            flight.result = result
        finally:
            if self._flights.get((key, html)) is flight:
                del self._flights[key, html]
            flight.landed.set()

    async def _ask(self, key: CacheKey, html: bool, route: Cacheable, scope: Scope) -> CachedResponse:
        """The answer itself, asked in a neutral way: nothing of the one who happens to ask first is in it."""
        headers = [(b"host", key.host)] if key.host else []
        if html:
            headers.append((b"accept", b"text/html"))
        state = {ADMITTED: True, "language": key.language, "theme": key.theme, "secure": key.secure}
        neutral = dict(scope) | {"method": "GET", "path": key.path, "query_string": key.query.encode()}
        neutral |= {"headers": headers, "state": state}
        caught = _Caught()
        await self._app(neutral, _no_body, caught)
        answer = await encoded(caught.status, caught.headers, bytes(caught.body), route)
        answer.template = neutral.get("path_template")
        return answer

    async def _give(
        self,
        kept: CachedResponse,
        source: Source,
        scope: Scope,
        send: Send,
        told: Iterable[tuple[bytes, bytes]] = (),
        away: bool = True,
    ) -> None:
        """`away`: whether a stale one is given because the database is, which a page then says."""
        origin = asked = None
        wanted = False
        for name, value in scope["headers"]:
            if name == b"origin":
                origin = value if value in self._origins.allowed else None
            elif name == b"if-none-match":
                asked = value
            elif name == b"accept-encoding":
                wanted = accepts_gzip(value)
        self._counts[source] += 1
        scope["path_template"] = kept.template
        past = kept.told_as_past() if source == "STALE" and away else None
        if past is not None:
            start = kept.start(self._told(source), False, self._origins.headers(origin))
            # Whoever keeps it must not be told later that nothing has changed since.
            start["headers"] = [item for item in start["headers"] if item[0] != b"etag"]
            await send(start)
            await send(past)
            return
        ready = kept.ready.get((origin, wanted)) if source == "HIT" else None
        if ready is None:
            packed = wanted and kept.packed is not None
            start = kept.start(self._told(source), packed, self._origins.headers(origin))
            ready = start, kept.packed if packed else kept.body
            if self._tells_source or kept.status != 200:
                start["headers"].extend(told)
            if source == "HIT":
                kept.ready[origin, wanted] = ready
        start, body = ready
        if asked is not None and kept.matches(asked):
            await send(not_modified(start))
            await send(_EMPTY)
            return
        await send(start)
        await send(body)

    def _told(self, source: Source) -> Source | None:
        return source if self._tells_source or source == "STALE" else None


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


_EMPTY = body_message(b"")


async def _unheard() -> bool:
    return False


async def _no_body() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}
