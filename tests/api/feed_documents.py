"""Reads Atom, RSS and JSON feeds with a feed reader (feedparser)."""

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import feedparser
import psycopg

from tests.api.conftest import Api, create_user

Db = psycopg.AsyncConnection[Any]
FORMATS = ("atom", "rss", "json")
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
