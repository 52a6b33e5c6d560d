"""Well-known paths: robots.txt, favicon.ico, and redirects of paths that people guess."""

from typing import Any

from litestar import Response, Router, get

from api.auth.permissions import requires
from api.auth.requests import ApiRequest
from api.cache.entries import Cacheable
from api.pages.assets import shipped
from api.pages.site import Site
from api.rest.injected import Injected

GUESSED = {
    "/status": "/",
    "/services": "/#services",
    "/maintenance": "/#maintenance",
    "/incidents": "/history",
    "/admin": "/console",
    "/feed": "/feed.atom",
    "/feed.xml": "/feed.atom",
    "/atom.xml": "/feed.atom",
    "/rss": "/feed.rss",
    "/rss.xml": "/feed.rss",
}
"""Paths that are usual on status pages, and the pages that they redirect to."""
CACHEABLE = (Cacheable("/robots.txt", frozenset()),)


@get("/robots.txt", include_in_schema=False, sync_to_thread=False, **requires("status:read"))
def robots() -> Response[bytes]:
    return Response(shipped()["robots.txt"], media_type="text/plain")


@get("/favicon.ico", include_in_schema=False, sync_to_thread=False, **requires("status:read"))
def favicon(site: Injected[Site]) -> Response[Any]:
    """For documents that do not name an icon, such as a badge that is opened as a document."""
    return Response(None, status_code=302, headers={"Location": site.logo or site.assets.url("icon.svg")})


@get(list(GUESSED), include_in_schema=False, sync_to_thread=False, **requires("status:read"))
def guessed(request: ApiRequest) -> Response[Any]:
    """A temporary redirect, since such a page may be added later."""
    return Response(None, status_code=302, headers={"Location": GUESSED[request.url.path.rstrip("/")]})


router = Router("/", route_handlers=[robots, favicon, guessed])
