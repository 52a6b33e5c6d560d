"""ASGI messages of errors that are sent without Litestar."""

from collections.abc import Mapping
from typing import Any

import msgspec

from api.edge.asgi import Headers
from api.edge.security_headers import PAGE_POLICY
from api.rest.errors import ApiError


def encode_headers(headers: Mapping[str, str]) -> Headers:
    """The headers as ASGI encodes them."""
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]


def error_messages(error: ApiError, extra: Headers) -> tuple[dict[str, Any], dict[str, Any]]:
    """The two ASGI messages of an error as JSON. `extra`: further headers."""
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
    """The two ASGI messages of an error with the page `html` as its body."""
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
