"""The ASGI types, how request headers are read, and the messages of errors that are sent outside Litestar."""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

import msgspec

from api.edge.security_headers import PAGE_POLICY
from api.rest.errors import ApiError

Headers = list[tuple[bytes, bytes]]
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
ASGIApp = Callable[[Any, Any, Any], Awaitable[None]]

ADMITTED = "admitted"
"""A key of the scope's state: the request has been counted against the rate limits already, or must not be counted."""


def header(scope: Scope, name: bytes) -> bytes | None:
    """The first value of a request header; `name` is lower case."""
    return next((value for key, value in scope["headers"] if key == name), None)


def host_of(scope: Scope) -> bytes | None:
    """The Host header. Several are joined by commas as HTTP defines it, which is never a valid host."""
    lines = [value for key, value in scope["headers"] if key == b"host"]
    return b", ".join(lines) if lines else None


def encode_headers(headers: Mapping[str, str]) -> Headers:
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]


def error_messages(error: ApiError, extra: Headers) -> tuple[dict[str, Any], dict[str, Any]]:
    """The two ASGI messages of an error, as JSON."""
    body = msgspec.json.encode(error.body)
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
        *encode_headers(error.headers),
        *extra,
    ]
    return (
        {"type": "http.response.start", "status": error.status, "headers": headers},
        {"type": "http.response.body", "body": body},
    )


def error_page_messages(error: ApiError, html: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """The two ASGI messages of an error, as the page `html`."""
    headers = [
        (b"content-type", b"text/html; charset=utf-8"),
        (b"content-length", b"%d" % len(html)),
        (b"content-security-policy", PAGE_POLICY),
        *encode_headers(error.headers),
    ]
    return (
        {"type": "http.response.start", "status": error.status, "headers": headers},
        {"type": "http.response.body", "body": html},
    )
