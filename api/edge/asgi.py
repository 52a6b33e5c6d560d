"""The types of ASGI, and how the headers of a request are read."""

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
    """The first value of a request header; `name` is lower case."""
    return next((value for key, value in scope["headers"] if key == name), None)


def host_of(scope: Scope) -> bytes | None:
    """The Host header. Several headers are joined by commas, as HTTP requires; the result is never a valid host."""
    lines = [value for key, value in scope["headers"] if key == b"host"]
    return b", ".join(lines) if lines else None
