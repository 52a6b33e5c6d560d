"""Atom, RSS and JSON feeds, parsed by a feed reader (feedparser)."""

import json
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import feedparser
import psycopg
import pytest

import sql
from api.pages.well_known import GUESSED
from sla_monitor.formats.one_line import fits_one_line
from tests.api.conftest import Api, add_service, create_user, running_api, until
from tests.api.incidents import add_update, create

pytestmark = pytest.mark.one_engine

Db = psycopg.AsyncConnection[Any]
FORMATS = ("atom", "rss", "json")
ATOM = "{http://www.w3.org/2005/Atom}"
TYPES = {"atom": "application/atom+xml", "rss": "application/rss+xml", "json": "application/feed+json"}
HOURS = timedelta(hours=1)


async def text(api: Api, feed_format: str, query: str = "", **headers: str) -> str:
    """Returns the feed as text."""
    response = await api.http.get(f"/feed.{feed_format}{query}", headers=headers)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == f"{TYPES[feed_format]}; charset=utf-8"
    return response.text


async def read(api: Api, feed_format: str, query: str = "", **headers: str) -> Any:
    """Returns the feed as parsed by feedparser, which must report no errors. It does not support JSON feeds."""
    body = await text(api, feed_format, query, **headers)
    if feed_format == "json":
        return _as_xml(json.loads(body))
    read = feedparser.parse(body, sanitize_html=False, resolve_relative_uris=False)
    assert not read.bozo, read.get("bozo_exception")
    return read


def _as_xml(feed: Any) -> Any:
    """Returns a JSON feed as feedparser returns one of XML."""
    entries = [
        SimpleNamespace(
            id=item["id"],
            link=item["url"],
            title=item["title"],
            summary=item["content_html"],
            tags=[SimpleNamespace(term=tag) for tag in item["tags"]],
        )
        for item in feed["items"]
    ]
    return SimpleNamespace(feed=SimpleNamespace(title=feed["title"]), entries=entries)


def content_of(entry: Any) -> str:
    """Returns the HTML of an entry. Each format has its own element for it."""
    html: str = entry.content[0].value if hasattr(entry, "content") else entry.summary
    return html


async def announce(api: Api, db: Db, **fields: Any) -> Any:
    """Creates a maintenance window that begins in five hours."""
    admin = await create_user(db)
    start = datetime.now(UTC) + 5 * HOURS
    window = {"title": "New disks", "affectedServices": ["shop"], "startsAt": start.isoformat()}
    body = window | {"endsAt": (start + HOURS).isoformat()} | fields
    response = await api.http.post("/api/maintenance", json=body, headers=admin.headers)
    assert response.status_code == 201, response.text
    return response.json()["maintenance"]


async def test_incidents_are_listed_newest_first_with_their_updates(api: Api, db: Db) -> None:
    await add_service(db, "shop", name="Shop")
    admin = await create_user(db)
    first = await create(api, admin, title="First", affectedServices=["shop"], description="It is **down**.")
    second = await create(api, admin, title="Second")
    await add_update(api, admin, first["id"], "identified", "A *disk* is full.")
    for feed_format in FORMATS:

        async def has_update(feed_format: str = feed_format) -> bool:
            return "disk" in await text(api, feed_format)

        await until(has_update)
        feed = await read(api, feed_format)
        assert [entry.title for entry in feed.entries] == ["Second (Investigating)", "First (Identified)"]
        assert feed.entries[0].id.endswith(f"/incidents/{second['id']}")
        entry = feed.entries[1]
        assert entry.link == entry.id == f"http://127.0.0.1:{api.settings.api_port}/incidents/{first['id']}"
        content = content_of(entry)
        assert "<p>A <em>disk</em> is full.</p>" in content
        assert "<p>It is <strong>down</strong>.</p>" in content
        assert "Affected: Shop" in content
        assert content.index("disk") < content.index("down")
        assert [tag.term for tag in entry.tags] == ["Shop"]


async def test_the_time_of_an_entry_is_that_of_its_last_update(api: Api, db: Db) -> None:
    admin = await create_user(db)
    incident = await create(api, admin)
    before = await read(api, "atom")
    published = before.entries[0].published
    await add_update(api, admin, incident["id"], "resolved")

    async def is_resolved() -> bool:
        return "Resolved" in await text(api, "atom")

    await until(is_resolved)
    changed = (await api.get(f"/api/incidents/{incident['id']}"))["incident"]
    after = await read(api, "atom")
    assert after.entries[0].id == before.entries[0].id
    assert after.entries[0].published == published
    assert after.entries[0].updated == after.feed.updated == changed["updatedAt"][:19] + "Z"
    [item] = json.loads(await text(api, "json"))["items"]
    assert item["date_modified"] == changed["updatedAt"]
    assert item["date_published"] == changed["createdAt"]


async def test_maintenance_is_listed_with_its_times(api: Api, db: Db) -> None:
    await add_service(db, "shop", name="Shop")
    window = await announce(api, db, rrule="FREQ=DAILY;COUNT=20")
    private = await announce(api, db, title="Hidden work", public=False)
    feed = await read(api, "atom")
    [entry] = feed.entries
    assert entry.title == "Maintenance: New disks"
    assert entry.id == f"urn:uuid:{window['id']}"
    assert entry.content[0].value.count("<p>From ") == 5
    rss = await read(api, "rss")
    assert rss.entries[0].guidislink is False
    for feed_format in FORMATS:
        body = await text(api, feed_format)
        assert "Hidden work" not in body
        assert private["id"] not in body


async def test_the_next_occurrences_come_before_those_of_the_past_week(api: Api, db: Db) -> None:
    await add_service(db, "shop")
    await announce(api, db, rrule="FREQ=DAILY;COUNT=8")
    shift = timedelta(days=5, hours=23)
    await db.execute(
        "UPDATE maintenance_occurrences SET starts_at = starts_at - %s, ends_at = ends_at - %s", [shift] * 2
    )
    row = await (await db.execute(sql.query("feeds/maintenance"), {"service_id": None, "limit": 9})).fetchone()
    expected = """
        (SELECT starts_at FROM maintenance_occurrences WHERE ends_at <= now() ORDER BY starts_at DESC LIMIT 3)
        UNION ALL
        SELECT starts_at FROM maintenance_occurrences WHERE ends_at > now()
        ORDER BY starts_at
    """
    starts = [start for (start,) in await (await db.execute(expected)).fetchall()]
    assert len(starts) == 5 and row is not None and starts in row


async def test_maintenance_is_listed_until_a_week_after_its_end(api: Api, db: Db) -> None:
    await add_service(db, "shop")
    window = await announce(api, db)
    for days, entries in ((6, 1), (8, 0)):
        await db.execute(
            "UPDATE maintenance_occurrences SET starts_at = now() - %s - interval '1 hour', ends_at = now() - %s",
            [timedelta(days=days)] * 2,
        )
        # A change that visitors see invalidates the cached feed.
        change = "UPDATE maintenance_windows SET version = version + 1, title = title || '!' WHERE id = %s"
        await db.execute(change, [window["id"]])

        async def has_entries(entries: int = entries) -> bool:
            return len((await read(api, "atom")).entries) == entries

        await until(has_entries)


async def test_a_service_has_its_own_feed(api: Api, db: Db) -> None:
    for service in ("shop", "search", "vault"):
        await add_service(db, service, name=service.title(), public=service != "vault")
    admin = await create_user(db)
    for service in ("shop", "search", "vault"):
        await create(api, admin, title=f"Trouble of {service}", affectedServices=[service])
    await announce(api, db, affectedServices=["search", "vault"])
    for feed_format in FORMATS:
        feed = await read(api, feed_format, "?service=search")
        assert [entry.title for entry in feed.entries] == [
            "Maintenance: New disks",
            "Trouble of search (Investigating)",
        ]
        assert [tag.term for tag in feed.entries[0].tags] == ["Search"]
        assert feed.feed.title == "SLA Monitor: incidents and maintenance of Search"
        for name in ("vault", "missing", "all-systems", "Vault", "%00"):
            assert (await api.http.get(f"/feed.{feed_format}?service={name}")).status_code == 404
    assert "Vault" not in await text(api, "atom")


async def test_feeds_contain_no_internal_incidents_and_no_user_names(api: Api, db: Db) -> None:
    admin = await create_user(db, username="vault-keeper")
    await create(api, admin, title="Hidden", public=False)
    await create(api, admin, title="Shown")
    for feed_format in FORMATS:
        body = await text(api, feed_format)
        assert "Shown" in body
        assert "Hidden" not in body
        assert "vault-keeper" not in body


@pytest.mark.parametrize("feed_format", FORMATS)
async def test_links_are_absolute_and_start_with_the_requested_host_or_site_url(
    database: str, api: Api, feed_format: str
) -> None:
    home = f"http://127.0.0.1:{api.settings.api_port}"
    assert f"{home}/feed.{feed_format}?lang=ko" in await text(api, feed_format, "?lang=ko&unknown=1")
    assert "http://status.local/feed" not in await text(api, feed_format)
    other = await api.http.get(f"/feed.{feed_format}", headers={"Host": "localhost:1234"})
    assert "http://localhost:1234/feed" in other.text
    assert home not in other.text
    async with running_api(database, site_url="https://status.example.com") as public_api:
        body = await text(public_api, feed_format)
        assert f"https://status.example.com/feed.{feed_format}" in body
        assert "127.0.0.1" not in body


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


@pytest.mark.parametrize("feed_format", FORMATS)
async def test_the_language_is_chosen_by_the_query_or_the_browser(api: Api, db: Db, feed_format: str) -> None:
    await create(api, await create_user(db), title="Down")
    korean = await read(api, feed_format, "?lang=ko")
    assert korean.entries[0].title == "Down (조사 중)"
    assert korean.feed.title == "SLA Monitor: 인시던트 및 점검"
    assert (await read(api, feed_format, "", **{"Accept-Language": "ko"})).entries[0].title == "Down (조사 중)"
    assert (await read(api, feed_format, "?lang=en", **{"Accept-Language": "ko"})).entries[
        0
    ].title == "Down (Investigating)"
    assert (await api.http.get(f"/feed.{feed_format}?lang=xx")).status_code == 400


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


async def test_a_feed_has_the_fifty_newest_incidents(api: Api, db: Db) -> None:
    for number in range(51):
        await db.execute(
            "INSERT INTO incidents (title, severity, priority, author) VALUES (%s, 'low', 'P3', 'x')", [f"No. {number}"]
        )
    titles = [entry.title for entry in (await read(api, "atom")).entries]
    assert len(titles) == 50
    assert titles[0] == "No. 50 (Investigating)"


@pytest.mark.parametrize("feed_format", FORMATS)
async def test_an_empty_feed_is_valid(api: Api, feed_format: str) -> None:
    feed = await read(api, feed_format)
    assert feed.entries == []
    assert feed.feed.title


async def test_the_time_of_an_empty_feed_is_that_of_the_installation(api: Api, db: Db) -> None:
    """The time is the same in every process and after a restart."""
    cursor = await db.execute("SELECT min(applied_at) FROM schema_versions")
    [installed_at] = await cursor.fetchone() or [None]
    assert (await read(api, "atom")).feed.updated == f"{installed_at:%Y-%m-%dT%H:%M:%SZ}"


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
