"""The state of one request: what the layers of the API store in `scope["state"]`, with its types."""

from collections.abc import Mapping
from typing import Any, Literal, TypedDict, cast

from sla_monitor.texts.languages import Language


class RequestState(TypedDict, total=False):
    """An entry is missing until its layer has run."""

    request_id: str
    """Set by `Edge`, like the next three."""
    client: str
    """The client's address."""
    tls: bool
    """Whether the client's connection is TLS."""
    secure: bool
    """Whether the site is served over TLS, by SITE_URL or `tls`. For a computation, the response cache sets it."""
    admitted: bool
    """Set by the response cache: the rate limits have counted the request already, or must not count it."""
    language: Language | None
    """Set by the response cache: the language of the cache key."""
    theme: Literal["light", "dark"] | None
    """Set by the response cache: the theme of the cache key."""
    action: str
    """Set by the guard: the action of the route."""
    seq: int
    """Set by the guard for pages: the sequence number of the last event before the page read the database."""


def request_state(scope: Mapping[str, Any]) -> RequestState:
    """The state of a request. Without the middleware `Edge` it is empty, and changes of it are lost."""
    return cast(RequestState, scope.get("state", {}))
