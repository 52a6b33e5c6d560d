"""Finds the cache key of a request.

Most requests repeat the path, query and headers of an earlier request. Their lookups are remembered, so that requests
are not parsed again.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple
from urllib.parse import parse_qsl, urlencode

from api.cache.entries import Cacheable, CacheKey, Variant
from api.edge.asgi import Scope, header, host_of
from api.edge.client_address import is_secure
from api.edge.cookies import has_session, preferences
from api.edge.negotiation import accepts_gzip, negotiated
from api.edge.origins import Origins
from sla_monitor.formats.networks import Network

MAX_KEY_BYTES = 1024
MAX_REMEMBERED = 1024
"""At most this many lookups are remembered. If there would be more, all are removed first."""
MAX_REMEMBERED_BYTES = 2048
"""A lookup is remembered if path, query and headers are at most this long together."""
_RequestParts = tuple[str | bytes | None, ...]
"""Path, query and the headers that a lookup depends on."""


class Lookup(NamedTuple):
    """The cache key of a request and its route. `variant`: the variant of the response; None if it is not known and has
    to be found in the headers."""

    key: CacheKey
    route: Cacheable
    variant: Variant | None = None


class CacheKeys:
    """Finds the cache keys of requests."""

    def __init__(self, routes: Iterable[Cacheable], origins: Origins, trusted_proxies: Sequence[Network]) -> None:
        self._routes: Mapping[str, Cacheable] = {route.path: route for route in routes}
        self._origins = origins
        self._trusted_proxies = trusted_proxies
        self._remembered: dict[_RequestParts, Lookup] = {}

    def lookup(self, scope: Scope) -> Lookup | None:
        """The cache key and the route of a request. None if its response must not come from the cache: the route is not
        cacheable, or the response is personal."""
        headers = scope["headers"]
        by_name = dict(headers)
        if len(by_name) != len(headers) or b"if-none-match" in by_name or b"authorization" in by_name:
            return self._parse(scope)
        parts = (
            scope["path"],
            scope["query_string"],
            by_name.get(b"host"),
            by_name.get(b"origin"),
            by_name.get(b"accept-encoding"),
            by_name.get(b"accept-language"),
            by_name.get(b"cookie"),
        )
        return self._remembered.get(parts) or self._parse_and_remember(scope, parts)

    def _parse_and_remember(self, scope: Scope, parts: _RequestParts) -> Lookup | None:
        """Parses the request and remembers the lookup. A lookup with a host is not remembered: it also depends on the
        connection (`secure`)."""
        lookup = self._parse(scope)
        origin, encoding = header(scope, b"origin"), header(scope, b"accept-encoding")
        length = sum(len(part) for part in parts if part is not None)
        if lookup is None or lookup.key.host or length > MAX_REMEMBERED_BYTES:
            return lookup
        allowed = origin if origin in self._origins.allowed else None
        lookup = lookup._replace(variant=(allowed, encoding is not None and accepts_gzip(encoding)))
        if len(self._remembered) >= MAX_REMEMBERED:
            self._remembered.clear()
        self._remembered[parts] = lookup
        return lookup

    def _parse(self, scope: Scope) -> Lookup | None:
        """As `lookup`, without the variant."""
        path, query = scope["path"], scope["query_string"]
        route = self._route(path)
        host = host_of(scope)
        if (
            route is None
            or "?" in path
            or len(path) + len(query) > MAX_KEY_BYTES
            or not self._origins.accepts_host(host)
        ):
            return None
        if route.personal and (header(scope, b"authorization") is not None or has_session(scope)):
            return None
        normalized = ""
        if query:
            pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
            if any(name in route.private for name, _ in pairs):
                return None
            read = sorted((pair for pair in pairs if pair[0] in route.parameters), key=lambda pair: pair[0])
            normalized = urlencode(read)
        accepted = (header(scope, b"accept-language") or b"").decode("latin-1")
        if route.localized:
            return Lookup(CacheKey(path, normalized, negotiated(accepted)), route)
        if not route.page or route.immutable:
            return Lookup(CacheKey(path, normalized), route)
        chosen = preferences(scope)
        language = negotiated(accepted, chosen.language)
        if not route.absolute or self._origins.site is not None:
            return Lookup(CacheKey(path, normalized, language, chosen.theme), route)
        secure = is_secure(scope, self._trusted_proxies)
        return Lookup(CacheKey(path, normalized, language, chosen.theme, host or b"", secure), route)

    def _route(self, path: str) -> Cacheable | None:
        """The route whose `path` matches (see `Cacheable`)."""
        parent, _, last = path.rpartition("/")
        return (
            self._routes.get(path)
            or (self._routes.get(parent + "/") if parent else None)
            or self._routes.get(f"{parent.rpartition('/')[0]}/*/{last}")
        )
