"""Attacks on every page, badge and feed by what is written in them: nothing of it runs, and nothing private shows.

The routes are the application's own, so that a new page is attacked as soon as there is one.
"""

import json
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from urllib.parse import quote
from xml.etree import ElementTree

import httpx
import pytest

from tests.api.conftest import Api
from tests.api.hostile_site import HARMLESS, HOSTILE, SUM, TOTAL, Site, SiteData, hostile_api, session_cookie
from tests.api.page_parts import MARKDOWN, Parts, parts
from tests.api.page_routes import PageRoute, described, pages
from tests.servers import Server

TITLE = '"><script>alert(1)</script>' + SUM
HTML = {"Accept": "text/html"}
GOOD = (200, 303, 404)
REFLECTED = [text for text in HOSTILE if text.startswith(("<script", '"', "'", "</script", "<!--", SUM))]


@asynccontextmanager
async def site(server: Server, texts: tuple[str, ...], title: str) -> AsyncIterator[Site]:
    url = server.migrated_database()
    try:
        async with hostile_api(url, texts, site_title=title) as data:
            yield data
    finally:
        server.drop(url)


class Rendered:
    """The parts of all pages of one route, whoever looks."""

    def __init__(self) -> None:
        self.elements: set[tuple[str, frozenset[str]]] = set()
        self.most: dict[tuple[str, frozenset[str]], int] = defaultdict(int)

    def add(self, page: Parts) -> None:
        self.elements |= page.elements
        for element, count in page.active.items():
            self.most[element] = max(self.most[element], count)


async def render(api: Api, data: SiteData) -> AsyncIterator[tuple[PageRoute, httpx.Response]]:
    """Every page, as a stranger where those see it, and as an admin where that is something else."""
    admin = HTML | {"Cookie": await session_cookie(data.admin)}
    for route in pages():
        asking = ([HTML] if route.public else []) + ([admin] if route.browser else [])
        for path in route.paths(data.values):
            for headers in asking:
                yield route, await api.http.get(path, headers=headers)


def complaints(response: httpx.Response, like: Rendered) -> Iterator[str]:
    """What the page has that the harmless one does not: an element, or more of those that act."""
    if "set-cookie" in response.headers:
        yield "sets a cookie"
    if TOTAL in response.text:
        yield "a template ran"
    if (page := _parts(response)) is not None:
        yield from page.errors
        yield from (f"strange: {element}" for element in page.elements - like.elements if element[0] not in MARKDOWN)
        yield from (f"{n} times {element}" for element, n in page.active.items() if n > like.most[element])
    yield from (f"in HTML of a feed: {wrong}" for html in _enclosed(response) for wrong in parts(html).errors)


def _parts(response: httpx.Response) -> Parts | None:
    kind = _kind(response)
    if kind == "text/html":
        return parts(response.text)
    if kind.endswith("xml"):
        elements = ElementTree.fromstring(response.content).iter()
        return Parts(frozenset((element.tag, frozenset(element.keys())) for element in elements), Counter(), [])
    return None


def _enclosed(response: httpx.Response) -> list[str]:
    """The HTML that a feed tells."""
    match _kind(response):
        case "application/feed+json":
            return [item["content_html"] for item in json.loads(response.content).get("items", [])]
        case "application/atom+xml" | "application/rss+xml":
            elements = ElementTree.fromstring(response.content).iter()
            return [html.text or "" for html in elements if html.get("type") == "html" or html.tag == "description"]
    return []


def _kind(response: httpx.Response) -> str:
    return str(response.headers.get("content-type", "")).partition(";")[0]


@pytest.fixture
async def harmless(any_engine: Server) -> dict[str, Rendered]:
    """What the pages are made of where nobody attacks, by route."""
    found: dict[str, Rendered] = defaultdict(Rendered)
    wrong: list[str] = []
    async with site(any_engine, HARMLESS, "Plain") as (api, data):
        async for route, response in render(api, data):
            if response.status_code not in GOOD:
                wrong.append(described(response))
            elif (made := _parts(response)) is not None:
                wrong += [f"{described(response)}: {complaint}" for complaint in made.errors]
                found[route.path].add(made)
    assert not wrong, "\n".join(dict.fromkeys(wrong))
    return found


async def test_nothing_that_is_written_runs_in_any_page(any_engine: Server, harmless: dict[str, Rendered]) -> None:
    wrong: list[str] = []
    async with site(any_engine, HOSTILE, TITLE) as (api, data):
        async for route, response in render(api, data):
            wrong += [f"{described(response)}: {complaint}" for complaint in complaints(response, harmless[route.path])]
            if response.status_code not in GOOD:
                wrong.append(described(response))
    assert not wrong, "\n".join(wrong[:50])


async def test_nothing_that_is_asked_for_runs_in_any_page(any_engine: Server) -> None:
    """It is shown as well: by filters, by links to the same page in another language, and by pages of errors."""
    wrong: list[str] = []
    async with site(any_engine, HARMLESS[:1], TITLE) as (api, data):
        cookie = await session_cookie(data.admin)
        for route in pages():
            path = next(iter(route.paths(data.values)))
            for text in REFLECTED:
                asked = "&".join(f"{quote(name)}={quote(text)}" for name in (*route.query, "x", text))
                for target in (f"{path}?{asked}", f"{path}/{quote(text, safe='')}"):
                    response = await api.http.get(target, headers=HTML | {"Cookie": cookie})
                    page = _parts(response) if _kind(response) == "text/html" else None
                    wrong += [f"{described(response)}: {complaint}" for complaint in (page.errors if page else ())]
                    if response.status_code not in (*GOOD, 400) or TOTAL in response.text:
                        wrong.append(described(response))
    assert not wrong, "\n".join(wrong[:50])
