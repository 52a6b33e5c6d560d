"""/feed.atom (RFC 4287), /feed.rss (RSS 2.0) and /feed.json (JSON Feed 1.1): incidents and maintenance."""

from datetime import datetime
from email.utils import format_datetime
from typing import Annotated, Any
from urllib.parse import urlencode

import msgspec
from litestar import Response, Router, get
from litestar.params import FromQuery, QueryParameter

from api.auth.permissions import requires
from api.auth.requests import ApiRequest
from api.cache.entries import Cacheable
from api.pages.feed_entries import Entry, entries
from api.pages.site import Site, language_of
from api.pages.xml_text import xml_text
from api.rest.handling import respond_to_program
from api.rest.injected import Injected
from api.rest.moments import iso
from api.uptime.calendar import public_service
from sla_monitor.texts.languages import Language, Texts, texts
from sql import Pool, database

CACHEABLE = tuple(
    Cacheable(
        f"/feed.{form}", frozenset({"event", "services"}), frozenset({"service", "lang"}), page=True, absolute=True
    )
    for form in ("atom", "rss", "json")
)
ServiceId = Annotated[str | None, QueryParameter(name="service", max_length=50)]


class Feed(msgspec.Struct, frozen=True):
    """The content of a feed, the same for all three formats."""

    t: Texts
    title: str
    home: str
    """The address of the status page."""
    url: str
    """The address of the feed."""
    updated: datetime
    """The last change of an entry; without entries, the time of the installation."""
    entries: list[Entry]

    @property
    def updated_rfc822(self) -> str:
        return format_datetime(self.updated, usegmt=True)


class _Beginning(msgspec.Struct):
    began: datetime


@get("/feed.atom", include_in_schema=False, **requires("status:read"))
async def atom(
    request: ApiRequest,
    pool: Injected[Pool],
    site: Injected[Site],
    service: ServiceId = None,
    lang: FromQuery[Language | None] = None,
) -> Response[bytes]:
    return await _xml(await _feed(request, pool, site, service, lang), site, "atom")


@get("/feed.rss", include_in_schema=False, **requires("status:read"))
async def rss(
    request: ApiRequest,
    pool: Injected[Pool],
    site: Injected[Site],
    service: ServiceId = None,
    lang: FromQuery[Language | None] = None,
) -> Response[bytes]:
    return await _xml(await _feed(request, pool, site, service, lang), site, "rss")


@get("/feed.json", include_in_schema=False, **requires("status:read"))
async def json(
    request: ApiRequest,
    pool: Injected[Pool],
    site: Injected[Site],
    service: ServiceId = None,
    lang: FromQuery[Language | None] = None,
) -> Response[bytes]:
    feed = await _feed(request, pool, site, service, lang)
    return Response(msgspec.json.encode(json_feed(feed, site)), media_type="application/feed+json; charset=utf-8")


async def _feed(request: ApiRequest, pool: Pool, site: Site, service: str | None, lang: Language | None) -> Feed:
    """Raises the same 404 for a private service and for an unknown one."""
    t = texts(lang or language_of(request.scope), await site.zone(pool))
    address = site.address(request)
    chosen = await public_service(pool, service) if service is not None else None
    found = await entries(pool, site, t, address, chosen.id if chosen else None)
    query = {name: value for name, value in (("service", service), ("lang", lang)) if value is not None}
    return Feed(
        t=t,
        title=t("feed.title_service", site=site.title, service=chosen.name)
        if chosen
        else t("feed.title", site=site.title),
        home=f"{address}/",
        url=address + request.scope["path"] + ("?" + urlencode(query) if query else ""),
        updated=max([entry.updated for entry in found]) if found else await _began(pool),
        entries=found,
    )


async def _began(pool: Pool) -> datetime:
    row = await database.row(pool, "feeds/began", _Beginning)
    assert row is not None
    return row.began


async def _xml(feed: Feed, site: Site, form: str) -> Response[bytes]:
    template = site.environment.get_template(f"feed.{form}")
    document = await site.renderer.run(lambda: xml_text(template.render(feed=feed, t=feed.t)))
    return Response(document.encode(), media_type=f"application/{form}+xml; charset=utf-8")


def json_feed(feed: Feed, site: Site) -> dict[str, Any]:
    """The feed in the format of https://www.jsonfeed.org/version/1.1/."""
    return {
        "version": "https://jsonfeed.org/version/1.1",
        "title": feed.title,
        "description": feed.t("feed.subtitle"),
        "language": feed.t.language,
        "home_page_url": feed.home,
        "feed_url": feed.url,
        "authors": [{"name": site.title, "url": feed.home}],
        "items": [
            {
                "id": entry.id,
                "url": entry.url,
                "title": entry.title,
                "content_html": entry.content,
                "date_published": iso(entry.published),
                "date_modified": iso(entry.updated),
                "tags": entry.services,
            }
            for entry in feed.entries
        ],
    }


router = Router("/", route_handlers=[atom, rss, json], exception_handlers={Exception: respond_to_program})
