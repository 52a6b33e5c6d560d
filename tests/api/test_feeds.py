"""Atom, RSS and JSON feeds, parsed by a feed reader (feedparser)."""

import json
from datetime import timedelta
from typing import Any

import psycopg
import pytest

import sql
from tests.api.conftest import Api, add_service, create_user, running_api, until
from tests.api.feed_documents import FORMATS, announce, content_of, read, text
from tests.api.incidents import add_update, create

pytestmark = pytest.mark.one_engine

Db = psycopg.AsyncConnection[Any]


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


async def test_a_feed_has_the_fifty_newest_incidents(api: Api, db: Db) -> None:
    for number in range(51):
        await db.execute(
            "INSERT INTO incidents (title, severity, priority, author) VALUES (%s, 'low', 'P3', 'x')", [f"No. {number}"]
        )
    titles = [entry.title for entry in (await read(api, "atom")).entries]
    assert len(titles) == 50
    assert titles[0] == "No. 50 (Investigating)"


async def test_the_time_of_an_empty_feed_is_that_of_the_installation(api: Api, db: Db) -> None:
    """The time is the same in every process and after a restart."""
    cursor = await db.execute("SELECT min(applied_at) FROM schema_versions")
    [installed_at] = await cursor.fetchone() or [None]
    assert (await read(api, "atom")).feed.updated == f"{installed_at:%Y-%m-%dT%H:%M:%SZ}"
