"""What browsers and crawlers ask for without being told to."""

from typing import Any

from litestar import Response, Router, get
from litestar.datastructures import State

from api.answers import Cacheable
from api.pages.assets import shipped
from api.pages.site import Site
from api.security import requires

ANSWERS = (Cacheable("/robots.txt", frozenset()),)


@get("/robots.txt", include_in_schema=False, sync_to_thread=False, **requires("status:read"))
def robots() -> Response[bytes]:
    return Response(shipped()["robots.txt"], media_type="text/plain")


@get("/favicon.ico", include_in_schema=False, sync_to_thread=False, **requires("status:read"))
def favicon(state: State) -> Response[Any]:
    """Pages name their icon; for everything else, such as a badge that is opened by itself, browsers ask here."""
    site: Site = state.site
    return Response(None, status_code=302, headers={"Location": site.logo or site.assets.url("icon.svg")})


router = Router("/", route_handlers=[robots, favicon])
