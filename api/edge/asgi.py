"""The types of ASGI, and functions that read the headers of a request."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Headers = list[tuple[bytes, bytes]]
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
ASGIApp = Callable[[Any, Any, Any], Awaitable[None]]

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def header(scope: Scope, name: bytes) -> bytes | None:
    """The first value of a request header; None if it is missing. `name` is in lower case."""
    return next((value for key, value in scope["headers"] if key == name), None)


def host_of(scope: Scope) -> bytes | None:
    """The Host header; None if there is none. Several headers are joined by commas, so the result is not a valid
    host."""
    lines = [value for key, value in scope["headers"] if key == b"host"]
    return b", ".join(lines) if lines else None
