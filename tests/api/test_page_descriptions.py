"""What pages tell those who list them and who show links to them: right, and nothing of what is not public."""

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from tests.api.conftest import Api, add_service, create_user, running_api
from tests.api.incidents import Db, create

SITE_URL = "https://status.example.com"


class Head(HTMLParser):
    """The title, and by their name what <meta> and <link rel=canonical> say."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.said: dict[str, str] = {}
        self._in_title = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in_title = tag == "title"
        told: dict[str, Any] = dict(attrs)
        if tag == "meta" and (name := told.get("name") or told.get("property")):
            self.said[name + " " + told["media"] if "media" in told else name] = told["content"]
        elif tag == "link" and told["rel"] == "canonical":
            self.said["canonical"] = told["href"]

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.said["title"] = data
            self._in_title = False


async def head(api: Api, path: str, **headers: str) -> dict[str, str]:
    return Head((await api.http.get(path, headers={"Accept": "text/html", **headers})).text).said


@pytest.mark.one_engine
async def test_every_public_page_says_what_it_is_of(database: str, db: Db, tmp_path: Path) -> None:
    (logo := tmp_path / "logo.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    await add_service(db, "shop", name='Tom & "Jerry"')
    await add_service(db, "vault", name="Vault", public=False)
    async with running_api(database, site_url=SITE_URL, site_logo=logo, site_title="Acme") as api:
        incident = await create(api, await create_user(db), title="Down", affectedServices=["shop", "vault"])
        named = f"/incidents/{incident['id']}"
        expected = {
            "/": ("", "The status of 1 is unknown."),
            "/?x=y": ("", "incidents and planned maintenance"),
            "/history/": ("/history", "Past incidents"),
            "/uptime?service=shop&x=y": ("/uptime?service=shop", 'Tom & "Jerry": uptime day by day'),
            "/uptime?start=2024-01": ("/uptime?start=2024-01", "All systems: uptime day by day, January 2024"),
            "/services/shop": ("/services/shop", 'Tom & "Jerry": Unknown.'),
            named: (named, 'Affects: Tom & "Jerry".'),
        }
        for path, (address, words) in expected.items():
            said = await head(api, path)
            assert said["canonical"] == said["og:url"] == SITE_URL + (address or "/"), path
            assert words in said["description"] == said["og:description"], path
            assert "  " not in said["description"] and "vault" not in said["description"].lower(), path
            assert said["title"] == said["og:title"] and "Acme" in said["title"]
            assert (said["og:site_name"], said["og:image"].startswith(SITE_URL + "/static/")) == ("Acme", True)
            assert {"theme-color (prefers-color-scheme: light)", "theme-color (prefers-color-scheme: dark)"} <= set(
                said
            )
            assert "robots" not in said
        assert "theme-color" in await head(api, "/", Cookie="theme=dark")
        for path in ("/login", "/services/vault", "/missing"):
            said = await head(api, path)
            assert said["robots"] == "noindex" and not {"description", "og:title", "canonical"} & set(said), path


@pytest.mark.one_engine
async def test_without_its_address_a_page_makes_none_up(api: Api) -> None:
    said = await head(api, "/")
    assert said["description"].startswith("Public services appear here")
    assert not {"canonical", "og:url", "og:image"} & set(said)
