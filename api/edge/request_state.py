"""The state of one request: what the layers of the API store in `scope["state"]`, with its types."""

from collections.abc import Mapping
from typing import Any, TypedDict, cast

from api.edge.cookies import Theme
from sla_monitor.texts.languages import Language


class RequestState(TypedDict, total=False):
    """Entries are missing until their layer has run."""

    request_id: str
    """By `Edge`, like the next three."""
    client: str
    """The client's address."""
    tls: bool
    """Whether the client's connection is TLS."""
    secure: bool
    """Whether the site is served over TLS: by SITE_URL, or `tls`. The response cache sets it from the cache key."""
    admitted: bool
    """By the response cache: the request is counted against the rate limits already, or must not be counted."""
    language: Language | None
    """By the response cache: the language of the cache key."""
    theme: Theme | None
    """By the response cache: the theme of the cache key."""
    action: str
    """By `guard`: the action of the route."""
    seq: int
    """By `guard`, for pages: the sequence number of the last event before the page was read."""


def request_state(scope: Mapping[str, Any]) -> RequestState:
    """The state of a request. It is empty, and changes of it are lost, where `Edge` has not received the request."""
    return cast(RequestState, scope.get("state", {}))
