"""The origins of web pages that may read responses, make changes and open sockets, and the accepted `Host` headers."""

import ipaddress
import logging
import re
from collections.abc import Collection
from urllib.parse import urlsplit

from api.edge.asgi import Headers
from api.rest.errors import ApiError
from api.rest.parts import Part
from sla_monitor.formats.one_line import on_one_line
from sla_monitor.formats.origins import Origin, origin_of, read_origin, requested_origin

log = logging.getLogger(__name__)

MAX_REMEMBERED_HOSTS = 1000
"""At most this many accepted values of `Host` are remembered, so that they are not parsed again."""
MAX_LOGGED = 100
"""At most this many refused origins and hosts are logged, each once."""
_HOST = re.compile(rb"([A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\])(:\d{0,5})?")
"""A valid `Host`. Links in feeds begin with it, so the whole value must match."""
_EXPOSED = (
    b"ETag, X-Cache, Age, Location, Idempotent-Replayed, Retry-After, RateLimit-Limit, RateLimit-Remaining, "
    b"RateLimit-Reset, X-Request-Id"
)


class Origins:
    """The origins of CLIENT_URLS and of this site, and its host names."""

    def __init__(self, client_urls: Collection[str], hosts: Collection[str] = (), site_url: str | None = None) -> None:
        front_ends = [origin_of(url) for url in client_urls]
        self.allowed = frozenset(form for origin in front_ends for form in _forms(origin))
        """The origins of CLIENT_URLS, in the spellings that browsers send."""
        self.site = origin_of(site_url) if site_url else None
        """The origin of SITE_URL. It does not depend on the `Host` that a proxy sends."""
        self._accepted_hosts: set[bytes | None] = set()
        self._logged: set[bytes | None] = set()
        ours = [*front_ends, self.site] if self.site else front_ends
        self._hosts = {*hosts, *(origin.host for origin in ours)}

    def accepts_host(self, host: bytes | None) -> bool:
        """Whether `Host` is a name of this server. Addresses and names without a dot are always accepted.

        Without this check, evil.example could resolve to this server once its page is loaded (DNS rebinding), and the
        page would then have the same origin as this site. That is impossible for addresses and names without a dot.
        """
        if host in self._accepted_hosts:
            return True
        if not _HOST.fullmatch(host or b""):
            return False
        name = (urlsplit("//" + (host or b"").decode("ascii")).hostname or "").removesuffix(".")
        accepted = "." not in name or name in self._hosts or _is_address(name)
        if accepted and len(self._accepted_hosts) < MAX_REMEMBERED_HOSTS:
            self._accepted_hosts.add(host)
        return accepted

    def cors_headers(self, origin: bytes | None) -> Headers:
        """The CORS headers of a response to a page of `origin`."""
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

    def allows_change(self, origin: bytes | None, host: bytes | None, tls: bool) -> bool:
        """Whether a page of `origin` may make changes. Clients other than browsers send no Origin and are trusted."""
        return origin is None or origin in self.allowed or self.is_this_site(origin, host, tls)

    def is_this_site(self, origin: bytes, host: bytes | None, tls: bool) -> bool:
        """Whether `origin` is this site, for a request with the header `host`. `tls`: the request came over TLS."""
        page = read_origin(origin.decode("latin-1"))
        if page is None:
            return False
        if page == self.site:
            return True
        # A page of http:// can be forged on the network, so it does not belong to a site that is served over TLS.
        if page.scheme == "http" and (tls or self._is_site_over_tls(page.host)):
            return False
        return page == requested_origin((host or b"").decode("latin-1"), page.scheme) and self.accepts_host(host)

    def _is_site_over_tls(self, host: str) -> bool:
        return self.site is not None and self.site.scheme == "https" and self.site.host == host

    def refusal(self, origin: bytes | None, host: bytes | None, fetch_site: bytes | None) -> ApiError:
        """The 403 for a page that may not make changes. If the page may belong to this site, behind a proxy that sends
        another `Host`, the error and the log name the setting to change."""
        if not origin or origin == b"null" or fetch_site not in (None, b"same-origin"):
            return ApiError(403, "foreign_page")
        text = (
            "a change from a page of %s was refused (Host: %s): if the page belongs to this site, set SITE_URL to its "
            "origin; if it is another front end, add it to CLIENT_URLS"
        )
        self._warn(origin, text, origin, host)
        return ApiError(403, "foreign_origin", hint="origin")

    def unknown_host(self, host: bytes | None) -> ApiError:
        """The 400 for a `Host` that is not a name of this server."""
        self._warn(host, "Host %s was refused: if it is a name of this server, set SITE_URL or ALLOWED_HOSTS", host)
        return ApiError(400, "unknown_host", hint="host")

    def _warn(self, key: bytes | None, text: str, *values: bytes | None) -> None:
        """Logs a warning once for each `key`. Clients choose the keys, so their number is bounded."""
        if key not in self._logged and len(self._logged) < MAX_LOGGED:
            self._logged.add(key)
            log.warning(text, *(on_one_line((value or b"").decode("latin-1")[:200], "?") for value in values))


ORIGINS = Part[Origins]("origins")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _forms(origin: Origin) -> list[bytes]:
    """The spellings of an origin that browsers send: with and without a dot at the end of the host name."""
    dotted = origin._replace(host=f"{origin.host}.")
    return [str(form).encode() for form in (origin, dotted)]
