"""The outermost layer around Litestar: what holds for every answer, whoever gives it.

Security headers, CORS for the configured front ends, the client's address, RATE_LIMIT_API, a deadline, HEAD for every
GET, a request id, the count of requests, and the last net: no exception leaves here as anything but our error shape.
"""

import ipaddress
import logging
import re
import secrets
from collections.abc import Awaitable, Callable, Collection, Mapping, MutableMapping, Sequence
from time import perf_counter
from typing import Any
from urllib.parse import urlsplit

import anyio
import msgspec

from api.edge.client_address import client_of, is_secure
from api.edge.limits import Calls
from api.edge.recorded_body import FORMS, RecordedBody
from api.metrics import Metrics
from api.rest.errors import ApiError, ClientLeft
from sla_monitor.formats.one_line import on_one_line
from sla_monitor.formats.origins import Origin, asked_origin, origin_of, read_origin
from sla_monitor.settings.values import Network
from sla_monitor.texts.problems import ProblemCode
from sql import OperationalError

log = logging.getLogger(__name__)

Headers = list[tuple[bytes, bytes]]
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
ASGIApp = Callable[[Any, Any, Any], Awaitable[None]]
ErrorPage = Callable[[Scope, ApiError, bytes | None], bytes | None]
"""The page of an error, for who asked for a page; None for all others."""

REQUEST_DEADLINE_S = 15
KNOWN_HOSTS = 1000
"""Values of `Host` that need not be taken apart again."""
TOLD_MOST = 100
"""Refused origins and hosts of which the log tells."""
_HOST = re.compile(rb"([A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\])(:\d{0,5})?")
"""What `Host` looks like, whole: links in feeds begin with it."""
ADMITTED = "admitted"
"""In a scope's state: counted already, or nobody's in particular."""
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
SECURITY: Headers = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),  # with no-referrer, browsers send forms with `Origin: null`
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    (b"x-permitted-cross-domain-policies", b"none"),
]
SECURE_ONLY = (b"strict-transport-security", b"max-age=31536000")
"""Of this name alone: what else there is below its domain is not ours to close."""
FRAMEABLE = b"frame-ancestors *"
PAGE_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    b"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
CONTENT_POLICY = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
_EXPOSED = (
    b"ETag, X-Cache, Age, Location, Idempotent-Replayed, Retry-After, RateLimit-Limit, RateLimit-Remaining, "
    b"RateLimit-Reset, X-Request-Id"
)


class Origins:
    """Which web pages may read answers, send changes and open sockets: those of CLIENT_URLS and our own."""

    def __init__(self, client_urls: Collection[str], hosts: Collection[str] = (), site_url: str | None = None) -> None:
        front_ends = [origin_of(url) for url in client_urls]
        self.allowed = frozenset(form for origin in front_ends for form in _forms(origin))
        self.site = origin_of(site_url) if site_url else None
        """As SITE_URL says, whatever `Host` a proxy asks for."""
        self._known: set[bytes | None] = set()
        self._told: set[bytes | None] = set()
        ours = [*front_ends, self.site] if self.site else front_ends
        self._hosts = {*hosts, *(origin.host for origin in ours)}

    def knows(self, host: bytes | None) -> bool:
        """Whether `Host` is a name of ours. Else a page of evil.example, whose name it lets point to this machine once
        it is loaded (DNS rebinding), would be a page of our own. Nobody can do that with an address or a bare name.
        """
        if host in self._known:
            return True
        if not _HOST.fullmatch(host or b""):
            return False
        name = (urlsplit("//" + (host or b"").decode("ascii")).hostname or "").removesuffix(".")
        known = "." not in name or name in self._hosts or _is_address(name)
        if known and len(self._known) < KNOWN_HOSTS:
            self._known.add(host)
        return known

    def headers(self, origin: bytes | None) -> Headers:
        """The CORS headers of an answer to a page of `origin`."""
        if not self.allowed:
            return []
        if origin not in self.allowed or origin is None:
            return [(b"vary", b"Origin")]
        return [
            (b"vary", b"Origin"),
            (b"access-control-allow-origin", origin),
            (b"access-control-allow-credentials", b"true"),
            (b"access-control-expose-headers", _EXPOSED),
        ]

    def trusts(self, origin: bytes | None, host: bytes | None, tls: bool) -> bool:
        """Whether a page of `origin` may change things here; programs send no Origin and are trusted."""
        return origin is None or origin in self.allowed or self.owns(origin, host, tls)

    def owns(self, origin: bytes, host: bytes | None, tls: bool) -> bool:
        """Whether a page of `origin` is one of this site, which is asked for as `host`, over TLS or not."""
        page = read_origin(origin.decode("latin-1"))
        if page is None:
            return False
        if page == self.site:
            return True
        # Whoever sits between can write a page of http://, so it is none of a site that is https.
        if page.scheme == "http" and (tls or self._is_site_over_tls(page.host)):
            return False
        return page == asked_origin((host or b"").decode("latin-1"), page.scheme) and self.knows(host)

    def _is_site_over_tls(self, host: str) -> bool:
        return self.site is not None and self.site.scheme == "https" and self.site.host == host

    def refusal(self, origin: bytes | None, host: bytes | None, fetch_site: bytes | None) -> ApiError:
        """The 403 for a page that may not change anything here. Where it may be one of this site, behind a proxy that
        asks by another name, page and log say what would mend that."""
        if not origin or origin == b"null" or fetch_site not in (None, b"same-origin"):
            return ApiError(403, "foreign_page")
        text = (
            "a change by a page of %s was refused, asked for by Host %s: if the page is of this site, set SITE_URL to "
        )
        self._tell(origin, text + "its origin; if it is a front end of yours, add it to CLIENT_URLS", origin, host)
        return ApiError(403, "foreign_origin", hint="origin")

    def unknown_host(self, host: bytes | None) -> ApiError:
        """The 400 for a `Host` that is no name of ours."""
        self._tell(host, "Host %s was refused: if it is a name of this server, set SITE_URL or ALLOWED_HOSTS", host)
        return ApiError(400, "unknown_host", hint="host")

    def _tell(self, key: bytes | None, text: str, *values: bytes | None) -> None:
        """In the log, once for each; anybody can make them up, so not for ever."""
        if key not in self._told and len(self._told) < TOLD_MOST:
            self._told.add(key)
            log.warning(text, *(on_one_line((value or b"").decode("latin-1")[:200], "?") for value in values))


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _forms(origin: Origin) -> list[bytes]:
    """How browsers write it, also where somebody has typed the name with its final dot."""
    dotted = origin._replace(host=f"{origin.host}.")
    return [str(form).encode() for form in (origin, dotted)]


def header(scope: Scope, name: bytes) -> bytes | None:
    """The first value of a request header; `name` in small letters."""
    return next((value for key, value in scope["headers"] if key == name), None)


def host_of(scope: Scope) -> bytes | None:
    """`Host`. Several lines are one list, as HTTP has it for every header, and no list is a name of ours."""
    lines = [value for key, value in scope["headers"] if key == b"host"]
    return b", ".join(lines) if lines else None


def _headers(told: Mapping[str, str]) -> Headers:
    return [(name.lower().encode(), value.encode()) for name, value in told.items()]


def error_messages(error: ApiError, extra: Headers) -> tuple[dict[str, Any], dict[str, Any]]:
    """The two ASGI messages of an error that is answered outside Litestar."""
    body = msgspec.json.encode(error.body)
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
        *_headers(error.headers),
        *extra,
    ]
    return (
        {"type": "http.response.start", "status": error.status, "headers": headers},
        {"type": "http.response.body", "body": body},
    )


def page_messages(error: ApiError, html: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """The same of one that is read by a person."""
    headers = [
        (b"content-type", b"text/html; charset=utf-8"),
        (b"content-length", b"%d" % len(html)),
        (b"content-security-policy", PAGE_POLICY),
        *_headers(error.headers),
    ]
    return (
        {"type": "http.response.start", "status": error.status, "headers": headers},
        {"type": "http.response.body", "body": html},
    )


class Edge:
    """ASGI middleware; only HTTP comes here."""

    def __init__(
        self,
        app: ASGIApp,
        origins: Origins,
        metrics: Metrics,
        calls: Calls,
        trusted_proxies: Sequence[Network],
        error_page: ErrorPage,
        secure: bool = False,
    ) -> None:
        self._app = app
        self._origins = origins
        self._metrics = metrics
        self._calls = calls
        self._trusted_proxies = trusted_proxies
        self._error_page = error_page
        self._security = [*SECURITY, SECURE_ONLY] if secure else SECURITY
        self._secure = secure

    def _answer_to(self, scope: Scope, send: Send) -> "_Answer":
        extra = [*self._security, *self._origins.headers(header(scope, b"origin"))]
        return _Answer(send, extra, lambda error, body: self._error_page(scope, error, body))

    async def admit(self, scope: Scope) -> Headers:
        """Counts a call whose answer is then asked for on everybody's behalf (`ADMITTED`); the RateLimit headers.

        Raises ApiError 429 where the limit is used up, OperationalError while nothing can be counted.
        """
        return _headers(await self._calls.take(scope["path"], client_of(scope, self._trusted_proxies)))

    async def refuse(self, scope: Scope, send: Send, error: ApiError) -> None:
        """Answers a request that goes no further, as a page or in JSON."""
        answer = self._answer_to(scope, send)
        await answer.refuse(error)
        method = scope["method"]
        self._metrics.requests.labels("unmatched", method if method.isalpha() else "other", answer.status).inc()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        origin, method, host = header(scope, b"origin"), scope["method"], host_of(scope)
        answer = self._answer_to(scope, send)
        if method == "POST" and (header(scope, b"content-type") or b"").partition(b";")[0].strip().lower() in FORMS:
            receive = answer.form = RecordedBody(receive)
        started = perf_counter()
        inner = dict(scope, method="GET") if method == "HEAD" else scope
        inner.setdefault("state", {})["request_id"] = answer.request_id
        inner["state"]["client"] = client_of(scope, self._trusted_proxies)
        inner["state"]["tls"] = tls = is_secure(scope, self._trusted_proxies)
        inner["state"].setdefault("secure", self._secure or tls)
        if not self._origins.knows(host):
            await answer.refuse(
                ApiError(400, "one_host") if b"," in (host or b"") else self._origins.unknown_host(host)
            )
        elif method == "OPTIONS" and origin and header(scope, b"access-control-request-method"):
            await answer.preflight(origin in self._origins.allowed)
        elif method not in SAFE_METHODS and not self._origins.trusts(origin, host, tls):
            await answer.refuse(self._origins.refusal(origin, host, header(scope, b"sec-fetch-site")))
        elif ADMITTED in inner["state"] or await self._counted(inner, answer):
            await self._answer(inner, receive, answer)
        route = scope["path_template"] = str(inner.get("path_template") or "unmatched")
        self._metrics.requests.labels(route, method if method.isalpha() else "other", answer.status).inc()
        self._metrics.request_seconds.labels(route).observe(perf_counter() - started)

    async def _counted(self, scope: Scope, answer: "_Answer") -> bool:
        """False where the limit is used up, and the client told so."""
        try:
            answer.told = _headers(await self._calls.take(scope["path"], scope["state"]["client"]))
        except OperationalError:  # nothing can be counted, and little be answered: the request finds that out itself
            return True
        except ApiError as error:
            await answer.refuse(error)
            return False
        return True

    async def _answer(self, scope: Scope, receive: Receive, answer: "_Answer") -> None:
        async def received() -> Message:
            message: Message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientLeft  # Litestar would take it for a fault of ours
            return message

        try:
            with anyio.fail_after(REQUEST_DEADLINE_S):
                await self._app(scope, received, answer)
        except TimeoutError:
            await answer.refuse(ApiError(503, "too_slow", headers={"Retry-After": "5"}))
        except Exception:  # the last net: what Litestar itself failed at
            log.exception("request %s failed outside its handler", answer.request_id)
            await answer.refuse(ApiError(500))


_KEEPS_FORM: frozenset[ProblemCode] = frozenset({"too_many_requests", "too_slow", "server_error"})
"""Reasons of errors whose page keeps what was entered; what pages of other sites send is not shown."""


class _Answer:
    """`send` of one request, adding what every answer carries."""

    def __init__(
        self, send: Send, extra: Headers, error_page: Callable[[ApiError, bytes | None], bytes | None]
    ) -> None:
        self._send = send
        self._extra = extra
        self._error_page = error_page
        self.told: Headers = []
        self.form: RecordedBody | None = None
        self.request_id = secrets.token_hex(8)
        self.status = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            own = list(message["headers"])
            names = {name for name, _ in own}
            if b"content-security-policy" not in names:
                own.append(CONTENT_POLICY)
            if b"cache-control" not in names:
                own.append((b"cache-control", b"no-store"))
            own += [item for item in self.told if item[0] not in names]  # a narrower limit has told already
            framed = any(name == b"content-security-policy" and FRAMEABLE in value for name, value in own)
            own += [item for item in self._extra if not (framed and item[0] == b"x-frame-options")]
            own.append((b"x-request-id", self.request_id.encode()))
            message["headers"] = own
        with anyio.CancelScope(shield=True):  # the deadline is ours; how long a client may read, its connection bounds
            await self._send(message)

    async def refuse(self, error: ApiError) -> None:
        if self.status:  # the answer is already on its way; closing it short is all that is left
            raise error
        start, body = error_messages(error, [])
        entered = await self.form.whole() if self.form is not None and error.reason in _KEEPS_FORM else None
        if (html := self._error_page(error, entered)) is not None:
            start, body = page_messages(error, html)
        await self(start)
        await self(body)

    async def preflight(self, allowed: bool) -> None:
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
