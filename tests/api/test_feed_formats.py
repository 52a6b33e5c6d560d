"""The documents of Atom, RSS and JSON feeds: required elements, hostile texts, errors, caching and links."""

import json
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any
from xml.etree import ElementTree

import psycopg
import pytest

from api.pages.well_known import GUESSED
from sla_monitor.formats.one_line import fits_one_line
from tests.api.conftest import Api, add_service, create_user, until
from tests.api.feed_documents import FORMATS, announce, content_of, read, text
from tests.api.incidents import add_update, create

pytestmark = pytest.mark.one_engine

Db = psycopg.AsyncConnection[Any]
ATOM = "{http://www.w3.org/2005/Atom}"


async def test_the_formats_have_the_elements_that_their_specifications_require(api: Api, db: Db) -> None:
    await add_service(db, "shop")
    await create(api, await create_user(db), affectedServices=["shop"])
    await announce(api, db)
    atom = ElementTree.fromstring((await text(api, "atom")).encode())
    for element in (atom, *atom.iter(f"{ATOM}entry")):
        for name in ("id", "title", "updated"):
            assert len(element.findall(f"{ATOM}{name}")) == 1, name
        updated = datetime.fromisoformat(element.findtext(f"{ATOM}updated") or "")
        assert updated.tzinfo is not None
    assert atom.find(f"{ATOM}author/{ATOM}name") is not None
    assert {link.get("rel") for link in atom.findall(f"{ATOM}link")} == {"self", "alternate"}
    ids = [entry.findtext(f"{ATOM}id") for entry in atom.iter(f"{ATOM}entry")]
    assert len(set(ids)) == len(ids) == 2

    rss = ElementTree.fromstring((await text(api, "rss")).encode())
    [channel] = rss
    assert (rss.tag, rss.get("version"), channel.tag) == ("rss", "2.0", "channel")
    assert all(channel.findtext(name) for name in ("title", "link", "description", "lastBuildDate"))
    for item in channel.iter("item"):
        assert parsedate_to_datetime(item.findtext("pubDate") or "").tzinfo is not None
        assert item.findtext("guid")

    feed = json.loads(await text(api, "json"))
    assert feed["version"] == "https://jsonfeed.org/version/1.1"
    assert {"title", "home_page_url", "feed_url", "language", "authors", "items"} <= set(feed)
    for found in feed["items"]:
        assert {"id", "url", "title", "content_html", "date_published", "date_modified"} <= set(found)


CONTROLS = "".join(chr(code) for code in (*range(1, 32), *range(127, 160), 0xFFFE, 0xFFFF, 0x10FFFF))
STRANGE = "".join(char for char in CONTROLS if fits_one_line(char))
HOSTILE = "</title>]]><script>alert(1)</script> &lt;b&gt; {{7*7}} <img src=x onerror=alert(1)> {title}"


@pytest.mark.parametrize("feed_format", FORMATS)
async def test_a_feed_is_valid_with_every_character_that_can_be_stored(api: Api, db: Db, feed_format: str) -> None:
    await add_service(db, "shop", name=f"Shop {STRANGE}")
    admin = await create_user(db)
    incident = await create(
        api, admin, title=f"a{STRANGE}b {HOSTILE}", description=f"{CONTROLS}{HOSTILE}", affectedServices=["shop"]
    )
    await add_update(
        api, admin, incident["id"], "resolved", f"{CONTROLS} {HOSTILE} [x](javascript:alert(1)) ![y](data:,)"
    )

    async def is_resolved() -> bool:
        return "Resolved" in await text(api, feed_format)

    await until(is_resolved)
    body = await text(api, feed_format)
    if feed_format != "json":
        ElementTree.fromstring(body.encode())
    [entry] = (await read(api, feed_format)).entries
    content = content_of(entry)
    assert "&lt;script&gt;" in content
    assert not [active for active in ("<script", "<img", 'javascript:alert(1)"') if active in content]
    if feed_format == "json":
        title = json.loads(body)["items"][0]["title"]
    else:
        title = (
            ElementTree.fromstring(body.encode()).findall(f".//{ATOM if feed_format == 'atom' else ''}title")[1].text
            or ""
        )
    assert HOSTILE.split(" ")[0] in title
    assert "{{7*7}}" in title
    assert "{title}" in title


@pytest.mark.parametrize("feed_format", FORMATS)
async def test_an_empty_feed_is_valid(api: Api, feed_format: str) -> None:
    feed = await read(api, feed_format)
    assert feed.entries == []
    assert feed.feed.title


@pytest.mark.parametrize("feed_format", FORMATS)
async def test_errors_of_feeds_are_json(api: Api, feed_format: str) -> None:
    for query, status, code in (("service=nope", 404, "NOT_FOUND"), ("lang=xx", 400, "VALIDATION_ERROR")):
        response = await api.http.get(f"/feed.{feed_format}?{query}", headers={"Accept": "text/html, */*"})
        assert (response.status_code, response.json()["code"]) == (status, code)


async def test_a_feed_is_revalidated_by_etag(api: Api) -> None:
    first = await api.http.get("/feed.atom")
    again = await api.http.get("/feed.atom", headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304


async def test_pages_link_to_the_feed(api: Api) -> None:
    link = '<link rel="alternate" type="application/atom+xml" title="SLA Monitor" href="/feed.atom">'
    assert link in (await api.http.get("/login")).text


async def test_robots_txt_favicon_and_guessed_addresses_exist(api: Api) -> None:
    robots = await api.http.get("/robots.txt")
    assert robots.status_code == 200
    assert robots.headers["content-type"].startswith("text/plain")
    assert {"Disallow: /console", "Disallow: /login"} <= set(robots.text.splitlines())
    icon = await api.http.get("/favicon.ico", follow_redirects=True)
    assert (icon.status_code, icon.headers["content-type"]) == (200, "image/svg+xml")
    for path, target in GUESSED.items():
        for guessed in (path, path + "/"):
            assert (await api.http.get(guessed)).headers["location"] == target
        found = await api.http.get(target, headers={"Accept": "text/html"}, follow_redirects=True)
        assert found.status_code == 200, path
