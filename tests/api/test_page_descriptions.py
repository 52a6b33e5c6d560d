"""Descriptions of pages for search engines and link previews: correct, and of public content only."""

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from tests.api.conftest import Api, add_service, create_user, running_api
from tests.api.incidents import Db, create

SITE_URL = "https://status.example.com"


class Head(HTMLParser):
    """The title, and the values of <meta> and <link rel=canonical> by name."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.values: dict[str, str] = {}
        self._in_title = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in_title = tag == "title"
        attributes: dict[str, Any] = dict(attrs)
        if tag == "meta" and (name := attributes.get("name") or attributes.get("property")):
            self.values[name + " " + attributes["media"] if "media" in attributes else name] = attributes["content"]
        elif tag == "link" and attributes["rel"] == "canonical":
            self.values["canonical"] = attributes["href"]

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.values["title"] = data
            self._in_title = False


async def head(api: Api, path: str, **headers: str) -> dict[str, str]:
    return Head((await api.http.get(path, headers={"Accept": "text/html", **headers})).text).values


@pytest.mark.one_engine
async def test_every_public_page_has_a_description_and_a_canonical_url(database: str, db: Db, tmp_path: Path) -> None:
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
            values = await head(api, path)
            assert values["canonical"] == values["og:url"] == SITE_URL + (address or "/"), path
            assert words in values["description"] == values["og:description"], path
            assert "  " not in values["description"] and "vault" not in values["description"].lower(), path
            assert values["title"] == values["og:title"] and "Acme" in values["title"]
            assert (values["og:site_name"], values["og:image"].startswith(SITE_URL + "/static/")) == ("Acme", True)
            assert {"theme-color (prefers-color-scheme: light)", "theme-color (prefers-color-scheme: dark)"} <= set(
                values
            )
            assert "robots" not in values
        assert "theme-color" in await head(api, "/", Cookie="theme=dark")
        for path in ("/login", "/services/vault", "/missing"):
            values = await head(api, path)
            assert values["robots"] == "noindex" and not {"description", "og:title", "canonical"} & set(values), path


@pytest.mark.one_engine
async def test_without_site_url_a_page_has_no_absolute_url(api: Api) -> None:
    values = await head(api, "/")
    assert values["description"].startswith("Public services appear here")
    assert not {"canonical", "og:url", "og:image"} & set(values)
