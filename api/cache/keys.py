"""Which kept answer a request asks for, in the words of no one in particular.

Most requests ask in the very words in which somebody has asked before: those are recognised, not taken apart again.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple
from urllib.parse import parse_qsl, urlencode

from api.cache.entries import Cacheable, CacheKey, Variant
from api.edge.client_address import is_secure
from api.edge.cookies import has_session, preferences
from api.edge.middleware import Origins, Scope, header, host_of
from api.edge.negotiation import accepts_gzip, negotiated
from sla_monitor.settings.values import Network

MAX_KEY_BYTES = 1024
MAX_WORDINGS = 1024
MAX_WORDING_BYTES = 2048
_Wording = tuple[str | bytes | None, ...]


class Lookup(NamedTuple):
    """A question, and how whoever asks wants to have the answer: None where more than that is to be looked at."""

    question: CacheKey
    route: Cacheable
    variant: Variant | None = None


class CacheKeys:
    """Those that are answered from memory."""

    def __init__(self, routes: Iterable[Cacheable], origins: Origins, trusted_proxies: Sequence[Network]) -> None:
        self._routes: Mapping[str, Cacheable] = {route.path: route for route in routes}
        self._origins = origins
        self._trusted_proxies = trusted_proxies
        self._wordings: dict[_Wording, Lookup] = {}

    def asked(self, scope: Scope) -> Lookup | None:
        """None where the answer is not kept, whatever it is, or is for somebody in particular."""
        headers = scope["headers"]
        told = dict(headers)
        if len(told) != len(headers) or b"if-none-match" in told or b"authorization" in told:
            return self._understood(scope)
        wording = (
            scope["path"],
            scope["query_string"],
            told.get(b"host"),
            told.get(b"origin"),
            told.get(b"accept-encoding"),
            told.get(b"accept-language"),
            told.get(b"cookie"),
        )
        return self._wordings.get(wording) or self._first(scope, wording)

    def _first(self, scope: Scope, wording: _Wording) -> Lookup | None:
        """Somebody asks in these words. They are kept in mind if all that counts is in them."""
        asked = self._understood(scope)
        origin, encoding = header(scope, b"origin"), header(scope, b"accept-encoding")
        length = sum(len(word) for word in wording if word is not None)
        if asked is None or asked.question.host or length > MAX_WORDING_BYTES:
            return asked
        allowed = origin if origin in self._origins.allowed else None
        asked = asked._replace(variant=(allowed, encoding is not None and accepts_gzip(encoding)))
        if len(self._wordings) >= MAX_WORDINGS:
            self._wordings.clear()
        self._wordings[wording] = asked
        return asked

    def _understood(self, scope: Scope) -> Lookup | None:
        path, query = scope["path"], scope["query_string"]
        route = self._route(path)
        host = host_of(scope)
        if route is None or "?" in path or len(path) + len(query) > MAX_KEY_BYTES or not self._origins.knows(host):
            return None
        if route.personal and (header(scope, b"authorization") is not None or has_session(scope)):
            return None
        told = ""
        if query:
            pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
            if any(name in route.private for name, _ in pairs):
                return None
            told = urlencode(sorted((pair for pair in pairs if pair[0] in route.parameters), key=lambda pair: pair[0]))
        if not route.page or route.immutable:
            return Lookup(CacheKey(path, told), route)
        chosen = preferences(scope)
        language = negotiated((header(scope, b"accept-language") or b"").decode("latin-1"), chosen.language)
        if not route.absolute or self._origins.site is not None:
            return Lookup(CacheKey(path, told, language, chosen.theme), route)
        secure = is_secure(scope, self._trusted_proxies)
        return Lookup(CacheKey(path, told, language, chosen.theme, host or b"", secure), route)

    def _route(self, path: str) -> Cacheable | None:
        parent, _, last = path.rpartition("/")
        return (
            self._routes.get(path)
            or (self._routes.get(parent + "/") if parent else None)
            or self._routes.get(f"{parent.rpartition('/')[0]}/*/{last}")
        )
