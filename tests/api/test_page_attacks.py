"""Hostile texts in every page, badge and feed: none of them runs.

The routes are read from the application, so that new pages are tested too.
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
EXPECTED_STATUSES = (200, 303, 404)
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
    """The parts of all pages of one route, for all clients."""

    def __init__(self) -> None:
        self.elements: set[tuple[str, frozenset[str]]] = set()
        self.most: dict[tuple[str, frozenset[str]], int] = defaultdict(int)

    def add(self, page: Parts) -> None:
        self.elements |= page.elements
        for element, count in page.active.items():
            self.most[element] = max(self.most[element], count)


async def render(api: Api, data: SiteData) -> AsyncIterator[tuple[PageRoute, httpx.Response]]:
    """Requests every page as an anonymous client if it is public, and as an admin if it depends on the session."""
    admin = HTML | {"Cookie": await session_cookie(data.admin)}
    for route in pages():
        clients = ([HTML] if route.public else []) + ([admin] if route.browser else [])
        for path in route.paths(data.values):
            for headers in clients:
                yield route, await api.http.get(path, headers=headers)


def differences(response: httpx.Response, like: Rendered) -> Iterator[str]:
    """Yields the differences from the page with harmless texts: other elements, or more active ones."""
    if "set-cookie" in response.headers:
        yield "sets a cookie"
    if TOTAL in response.text:
        yield "a template ran"
    if (page := _parts(response)) is not None:
        yield from page.errors
        yield from (f"unexpected: {element}" for element in page.elements - like.elements if element[0] not in MARKDOWN)
        yield from (f"{n} times {element}" for element, n in page.active.items() if n > like.most[element])
    yield from (f"in HTML of a feed: {errors}" for html in _enclosed(response) for errors in parts(html).errors)


def _parts(response: httpx.Response) -> Parts | None:
    kind = _kind(response)
    if kind == "text/html":
        return parts(response.text)
    if kind.endswith("xml"):
        elements = ElementTree.fromstring(response.content).iter()
        return Parts(frozenset((element.tag, frozenset(element.keys())) for element in elements), Counter(), [])
    return None


def _enclosed(response: httpx.Response) -> list[str]:
    """Returns the HTML that a feed contains."""
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
    """The parts of the pages with harmless texts, by route."""
    found: dict[str, Rendered] = defaultdict(Rendered)
    errors: list[str] = []
    async with site(any_engine, HARMLESS, "Plain") as (api, data):
        async for route, response in render(api, data):
            if response.status_code not in EXPECTED_STATUSES:
                errors.append(described(response))
            elif (page := _parts(response)) is not None:
                errors += [f"{described(response)}: {difference}" for difference in page.errors]
                found[route.path].add(page)
    assert not errors, "\n".join(dict.fromkeys(errors))
    return found


async def test_hostile_texts_of_the_database_run_in_no_page(any_engine: Server, harmless: dict[str, Rendered]) -> None:
    errors: list[str] = []
    async with site(any_engine, HOSTILE, TITLE) as (api, data):
        async for route, response in render(api, data):
            errors += [
                f"{described(response)}: {difference}" for difference in differences(response, harmless[route.path])
            ]
            if response.status_code not in EXPECTED_STATUSES:
                errors.append(described(response))
    assert not errors, "\n".join(errors[:50])


async def test_hostile_texts_of_the_address_run_in_no_page(any_engine: Server) -> None:
    """Filters, links to the page in another language, and error pages show parts of the address."""
    errors: list[str] = []
    async with site(any_engine, HARMLESS[:1], TITLE) as (api, data):
        cookie = await session_cookie(data.admin)
        for route in pages():
            path = next(iter(route.paths(data.values)))
            for text in REFLECTED:
                query = "&".join(f"{quote(name)}={quote(text)}" for name in (*route.query, "x", text))
                for target in (f"{path}?{query}", f"{path}/{quote(text, safe='')}"):
                    response = await api.http.get(target, headers=HTML | {"Cookie": cookie})
                    page = _parts(response) if _kind(response) == "text/html" else None
                    errors += [f"{described(response)}: {difference}" for difference in (page.errors if page else ())]
                    if response.status_code not in (*EXPECTED_STATUSES, 400) or TOTAL in response.text:
                        errors.append(described(response))
    assert not errors, "\n".join(errors[:50])
