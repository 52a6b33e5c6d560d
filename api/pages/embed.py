"""/embed: the states of some or all services, for a frame in another site. embed.js keeps it up to date; without
JavaScript it reloads itself.

Any site may frame it, so it does not depend on cookies, and contains nothing to click except links that open the status
page in another window.
"""

from typing import Annotated, Any, Literal

from litestar import Router, get
from litestar.params import FromQuery, QueryParameter
from litestar.response import Template

from api.auth.permissions import requires
from api.auth.requests import ApiRequest
from api.cache.entries import Cacheable
from api.edge.cookies import THEMES
from api.pages.service_states import StateRow, has_open_incident, public_states, summary_of
from api.pages.site import Site, language_of
from api.rest.injected import Injected
from sla_monitor.texts.languages import Language, Texts, texts
from sql import Pool

POLICY = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors *"
)
MAX_CHARACTERS = 6000
REFRESH_S = 60
CACHEABLE = (
    Cacheable("/embed", frozenset({"event", "services"}), frozenset({"services", "theme", "lang"}), page=True),
)


@get("/embed", include_in_schema=False, **requires("status:read"))
async def embed(
    request: ApiRequest,
    pool: Injected[Pool],
    site: Injected[Site],
    services: Annotated[str, QueryParameter(max_length=MAX_CHARACTERS)] = "",
    theme: FromQuery[Literal["light", "dark", "auto"]] = "auto",
    lang: FromQuery[Language | None] = None,
) -> Template:
    """`services`: ids in the order in which they are shown; unknown and private ones are left out."""
    rows = await public_states(pool)
    if services:
        wanted = list(dict.fromkeys(part.strip() for part in services.split(",")))
        known = {row.id: row for row in rows}
        rows = [known[service_id] for service_id in wanted if service_id in known]
    t = texts(lang or language_of(request.scope), await site.zone(pool))
    incident = not services and await has_open_incident(pool)
    context = embed_context(t, rows, incident) | {"theme": theme if theme in THEMES else None}
    return Template("embed.html", context=context, headers={"Content-Security-Policy": POLICY}, media_type="text/html")


def embed_context(t: Texts, rows: list[StateRow], incident: bool = False) -> dict[str, Any]:
    """The context of the template."""
    return {
        "t": t,
        "services": rows,
        "summary": summary_of((row.state for row in rows), incident),
        "checked_at": max((row.checked_at for row in rows if row.checked_at), default=None),
        "refresh_s": REFRESH_S,
    }


router = Router("/", route_handlers=[embed])
