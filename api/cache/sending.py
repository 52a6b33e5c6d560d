"""Sends cached responses in the variant of the client: CORS headers, compression, 304."""

from collections.abc import Iterable, MutableMapping

from api.cache.entries import CachedResponse, Source, body_message, not_modified
from api.edge.asgi import Scope, Send
from api.edge.negotiation import accepts_gzip
from api.edge.origins import Origins

_EMPTY = body_message(b"")


class ResponseSender:
    """Sends cached responses. `exposes_source`: with X-Cache and the RateLimit headers. This is for debugging only:
    clients could infer internal changes from them. A stale response always has X-Cache."""

    def __init__(self, origins: Origins, counts: MutableMapping[str, int], exposes_source: bool) -> None:
        self._origins = origins
        self._counts = counts
        self._exposes_source = exposes_source

    async def send(
        self,
        response: CachedResponse,
        source: Source,
        scope: Scope,
        send: Send,
        rate_limit_headers: Iterable[tuple[bytes, bytes]] = (),
        *,
        database_away: bool = True,
    ) -> None:
        """Sends the response, or a 304. `database_away`: the reason for a stale response is that the database cannot be
        reached; pages are then marked as a snapshot."""
        origin = if_none_match = None
        gzip = False
        for name, value in scope["headers"]:
            if name == b"origin":
                origin = value if value in self._origins.allowed else None
            elif name == b"if-none-match":
                if_none_match = value
            elif name == b"accept-encoding":
                gzip = accepts_gzip(value)
        self._counts[source] += 1
        scope["path_template"] = response.path_template
        if source == "STALE" and database_away and (body := response.stale_page_body()) is not None:
            start = response.start(self._x_cache(source), False, self._origins.cors_headers(origin))
            # Without ETag: a browser must not get a 304 for the snapshot once the database is back.
            start["headers"] = [item for item in start["headers"] if item[0] != b"etag"]
            await send(start)
            await send(body)
            return
        messages = response.prepared.get((origin, gzip)) if source == "HIT" else None
        if messages is None:
            gzipped = gzip and response.gzipped is not None
            start = response.start(self._x_cache(source), gzipped, self._origins.cors_headers(origin))
            messages = start, response.gzipped if gzipped else response.body
            if self._exposes_source or response.status != 200:
                start["headers"].extend(rate_limit_headers)
            if source == "HIT":
                response.prepared[origin, gzip] = messages
        start, body = messages
        if if_none_match is not None and response.matches(if_none_match):
            start, body = not_modified(start), _EMPTY
        await send(start)
        await send(body)

    def _x_cache(self, source: Source) -> Source | None:
        return source if self._exposes_source or source == "STALE" else None
