"""The layer around Litestar that every request and response passes.

It adds security headers, CORS headers for the configured front ends and a request id, finds the client's address,
applies the rate limits and a deadline, responds to HEAD for every GET route, and counts requests. Every exception
becomes an error response in the format of this API.
"""

import logging
import secrets
from collections.abc import Callable, Sequence
from time import perf_counter

import anyio

from api.edge.asgi import SAFE_METHODS, ASGIApp, Headers, Message, Receive, Scope, Send, header, host_of
from api.edge.client_address import client_of, is_secure
from api.edge.limits import RequestLimits
from api.edge.messages import encode_headers, error_messages, error_page_messages
from api.edge.origins import Origins
from api.edge.recorded_body import FORMS, RecordedBody
from api.edge.security_headers import CONTENT_POLICY, FRAMEABLE, SECURITY_HEADERS, STRICT_TRANSPORT_SECURITY
from api.metrics import Metrics
from api.rest.errors import ApiError, ClientLeft
from api.rest.request_state import request_state
from sla_monitor.formats.networks import Network
from sla_monitor.texts.problems import ProblemCode
from sql import OperationalError

log = logging.getLogger(__name__)

ErrorPage = Callable[[Scope, ApiError, bytes | None], bytes | None]
"""Renders an error as a page, with the values of a form whose body is the last argument. None if the client does not
accept HTML."""

REQUEST_DEADLINE_S = 15
"""After this time a request gets a 503. If its response has begun, the connection is closed."""


class Edge:
    """ASGI middleware for HTTP requests; others are passed on."""

    def __init__(
        self,
        app: ASGIApp,
        origins: Origins,
        metrics: Metrics,
        limits: RequestLimits,
        trusted_proxies: Sequence[Network],
        error_page: ErrorPage,
        secure: bool = False,
    ) -> None:
        """`secure`: whether SITE_URL is HTTPS."""
        self._app = app
        self._origins = origins
        self._metrics = metrics
        self._limits = limits
        self._trusted_proxies = trusted_proxies
        self._error_page = error_page
        self._security = [*SECURITY_HEADERS, STRICT_TRANSPORT_SECURITY] if secure else SECURITY_HEADERS
        self._secure = secure

    def _responder(self, scope: Scope, send: Send) -> "_Responder":
        extra = [*self._security, *self._origins.cors_headers(header(scope, b"origin"))]
        return _Responder(send, extra, lambda error, body: self._error_page(scope, error, body))

    async def admit(self, scope: Scope) -> Headers:
        """Counts a request whose response is then computed for all clients. Returns the RateLimit headers.

        Raises ApiError 429 if the limit is used up, OperationalError while the database is away.
        """
        return encode_headers(await self._limits.take(scope["path"], client_of(scope, self._trusted_proxies)))

    async def refuse(self, scope: Scope, send: Send, error: ApiError) -> None:
        """Sends an error instead of the response, as a page or as JSON."""
        responder = self._responder(scope, send)
        await responder.refuse(error)
        method = scope["method"]
        self._metrics.requests.labels("unmatched", method if method.isalpha() else "other", responder.status).inc()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        origin, method, host = header(scope, b"origin"), scope["method"], host_of(scope)
        responder = self._responder(scope, send)
        if method == "POST" and (header(scope, b"content-type") or b"").partition(b";")[0].strip().lower() in FORMS:
            receive = responder.form = RecordedBody(receive)
        started = perf_counter()
        inner = dict(scope, method="GET") if method == "HEAD" else scope
        inner.setdefault("state", {})
        state = request_state(inner)
        state["request_id"] = responder.request_id
        state["client"] = client = client_of(scope, self._trusted_proxies)
        state["tls"] = tls = is_secure(scope, self._trusted_proxies)
        state.setdefault("secure", self._secure or tls)
        if not self._origins.accepts_host(host):
            several = b"," in (host or b"")
            await responder.refuse(ApiError(400, "one_host") if several else self._origins.unknown_host(host))
        elif method == "OPTIONS" and origin and header(scope, b"access-control-request-method"):
            await responder.preflight(origin in self._origins.allowed)
        elif method not in SAFE_METHODS and not self._origins.allows_change(origin, host, tls):
            await responder.refuse(self._origins.refusal(origin, host, header(scope, b"sec-fetch-site")))
        elif state.get("admitted") or await self._is_within_limit(inner["path"], client, responder):
            await self._respond(inner, receive, responder)
        route = scope["path_template"] = str(inner.get("path_template") or "unmatched")
        self._metrics.requests.labels(route, method if method.isalpha() else "other", responder.status).inc()
        self._metrics.request_seconds.labels(route).observe(perf_counter() - started)

    async def _is_within_limit(self, path: str, client: str, responder: "_Responder") -> bool:
        """Counts a request. Returns False if the limit is used up; the 429 has then been sent."""
        try:
            responder.rate_limit_headers = encode_headers(await self._limits.take(path, client))
        except OperationalError:  # the database is away: routes that need it fail later
            return True
        except ApiError as error:
            await responder.refuse(error)
            return False
        return True

    async def _respond(self, scope: Scope, receive: Receive, responder: "_Responder") -> None:
        async def receive_or_raise() -> Message:
            message: Message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientLeft  # Litestar would log an internal error
            return message

        try:
            with anyio.fail_after(REQUEST_DEADLINE_S):
                await self._app(scope, receive_or_raise, responder)
        except TimeoutError:
            await responder.refuse(ApiError(503, "too_slow", headers={"Retry-After": "5"}))
        except Exception:  # an error of Litestar itself: it turns errors of handlers into responses
            log.exception("request %s failed outside its route", responder.request_id)
            await responder.refuse(ApiError(500))


_KEEPS_FORM: frozenset[ProblemCode] = frozenset({"too_many_requests", "too_slow", "server_error"})
"""Errors whose page keeps the values of the form. Others do not: a page of another site may have sent the form."""


class _Responder:
    """The `send` of one request. Adds the headers that every response has."""

    def __init__(
        self, send: Send, extra: Headers, error_page: Callable[[ApiError, bytes | None], bytes | None]
    ) -> None:
        self._send = send
        self._extra = extra
        self._error_page = error_page
        self.rate_limit_headers: Headers = []
        self.form: RecordedBody | None = None
        self.request_id = secrets.token_hex(8)
        self.status = 0
        """0 until the response has begun."""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            own = list(message["headers"])
            names = {name for name, _ in own}
            if b"content-security-policy" not in names:
                own.append(CONTENT_POLICY)
            if b"cache-control" not in names:
                own.append((b"cache-control", b"no-store"))
            # A route with a limit of its own has set these headers already.
            own += [item for item in self.rate_limit_headers if item[0] not in names]
            framed = any(name == b"content-security-policy" and FRAMEABLE in value for name, value in own)
            own += [item for item in self._extra if not (framed and item[0] == b"x-frame-options")]
            own.append((b"x-request-id", self.request_id.encode()))
            message["headers"] = own
        # The deadline does not include the time in which the client reads; the connection has a limit for that.
        with anyio.CancelScope(shield=True):
            await self._send(message)

    async def refuse(self, error: ApiError) -> None:
        """Sends an error. Raises it if a response has already begun, so that the connection is closed."""
        if self.status:
            raise error
        start, body = error_messages(error, [])
        form = await self.form.whole() if self.form is not None and error.reason in _KEEPS_FORM else None
        if (html := self._error_page(error, form)) is not None:
            start, body = error_page_messages(error, html)
        await self(start)
        await self(body)

    async def preflight(self, allowed: bool) -> None:
        """Responds to a CORS preflight request."""
        headers: Headers = []
        if allowed:
            headers = [
                (b"access-control-allow-methods", b"GET, HEAD, POST, PUT, PATCH, DELETE"),
                (
                    b"access-control-allow-headers",
                    b"Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match",
                ),
                (b"access-control-max-age", b"600"),
            ]
        await self({"type": "http.response.start", "status": 204, "headers": headers})
        await self({"type": "http.response.body", "body": b"", "more_body": False})
