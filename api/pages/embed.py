"""/embed: the states of some services, or of all, in a frame of somebody else's page. It needs no script
(embed.js keeps it up to date, and without that it loads itself again).

Any page may frame it, so nothing in it depends on who looks: no cookie is asked for, and there is nothing to click but
links that open the status page elsewhere.
"""

from typing import Annotated, Any, Literal

from litestar import Router, get
from litestar.params import FromQuery, QueryParameter
from litestar.response import Template

from api.auth.permissions import requires
from api.auth.requests import ApiRequest
from api.cache.entries import Cacheable
from api.edge.cookies import THEMES
from api.pages.service_states import StateRow, has_open_incident, public_states, together
from api.pages.site import Site, language_of
from api.rest.injected import Injected
from sla_monitor.texts.languages import Language, Texts, texts
from sql import Pool

POLICY = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors *"
)
MOST_CHARACTERS = 6000
REFRESH_S = 60
CACHEABLE = (
    Cacheable("/embed", frozenset({"event", "services"}), frozenset({"services", "theme", "lang"}), page=True),
)


@get("/embed", include_in_schema=False, **requires("status:read"))
async def embed(
    request: ApiRequest,
    pool: Injected[Pool],
    site: Injected[Site],
    services: Annotated[str, QueryParameter(max_length=MOST_CHARACTERS)] = "",
    theme: FromQuery[Literal["light", "dark", "auto"]] = "auto",
    lang: FromQuery[Language | None] = None,
) -> Template:
    """`services` are ids, in the order in which they are shown; of those that are none, or private, nothing is said."""
    rows = await public_states(pool)
    if services:
        wanted = list(dict.fromkeys(part.strip() for part in services.split(",")))
        known = {row.id: row for row in rows}
        rows = [known[service_id] for service_id in wanted if service_id in known]
    t = texts(lang or language_of(request.scope), await site.zone(pool))
    incident = not services and await has_open_incident(pool)
    context = told(t, rows, incident) | {"theme": theme if theme in THEMES else None}
    return Template("embed.html", context=context, headers={"Content-Security-Policy": POLICY}, media_type="text/html")


def told(t: Texts, rows: list[StateRow], incident: bool = False) -> dict[str, Any]:
    """What the frame says of these services."""
    return {
        "t": t,
        "services": rows,
        "together": together((row.state for row in rows), incident),
        "checked_at": max((row.checked_at for row in rows if row.checked_at), default=None),
        "refresh_s": REFRESH_S,
    }


router = Router("/", route_handlers=[embed])
