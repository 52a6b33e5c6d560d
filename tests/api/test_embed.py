"""The embeddable frame: the states of chosen public services, for pages of other sites."""

import re
from typing import Any

import psycopg

from tests.api.conftest import Api, Check, add_service, create_user, now, record, until

Db = psycopg.AsyncConnection[Any]


async def frame(api: Api, query: str = "", **headers: str) -> str:
    response = await api.http.get(f"/embed{query}", headers=headers)
    assert response.status_code == 200, response.text
    return response.text


def shown(html: str) -> list[tuple[str, str]]:
    """Returns the services in their order with their states."""
    return re.findall(r'href="/services/([^"]+)".*?<span class="state (\w+)">', html, re.DOTALL)


async def add_services(db: Db) -> None:
    for service, ms in (("shop", 100.0), ("search", None), ("vault", None)):
        await add_service(db, service, public=service != "vault")
        await record(db, [Check(service, now(), ms)])


async def test_all_public_services_or_the_chosen_ones_are_shown(api: Api, db: Db) -> None:
    await add_services(db)
    assert shown(await frame(api)) == [("search", "outage"), ("shop", "operational")]
    assert shown(await frame(api, "?services=shop,search")) == [("shop", "operational"), ("search", "outage")]
    assert shown(await frame(api, "?services=shop,%20shop,")) == [("shop", "operational")]
    assert "Some services are down" in await frame(api)
    assert "All systems operational" in await frame(api, "?services=shop")


async def test_private_services_are_ignored_like_unknown_ones(api: Api, db: Db) -> None:
    await add_services(db)
    private, missing = await frame(api, "?services=vault"), await frame(api, "?services=missing")
    assert private == missing
    assert "There is no service to show." in private
    assert shown(await frame(api, "?services=vault,shop")) == [("shop", "operational")]
    assert "vault" not in (await frame(api)).lower()


async def test_any_site_may_embed_the_frame_and_it_loads_nothing_from_other_hosts(api: Api, db: Db) -> None:
    await add_services(db)
    response = await api.http.get("/embed")
    assert "x-frame-options" not in response.headers
    assert response.headers["content-security-policy"] == (
        "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; img-src 'self' data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors *"
    )
    assert (
        len(
            re.findall(
                r'<script type="module" fetchpriority="high" src="/static/[^"]*embed[^"]*"></script>', response.text
            )
        )
        == 1
    )
    assert response.text.count("<script") == 1
    assert "<form" not in response.text
    assert '<noscript><meta http-equiv="refresh" content="60"></noscript>' in response.text
    links = re.findall(r"<a [^>]*>", response.text)
    assert len(links) == 3
    assert all('target="_blank" rel="noopener"' in link for link in links)


async def test_the_frame_is_the_same_for_every_client(api: Api, db: Db) -> None:
    """A browser with a session gets the same bytes as an anonymous client."""
    await add_services(db)
    plain = await frame(api, "?lang=en&theme=light")
    admin = await create_user(db)
    for headers in (
        {"Cookie": f"sla_session={admin.token}; theme=dark; language=ko"},
        {"Authorization": "Bearer nonsense"},
        {"Accept-Language": "ko"},
    ):
        response = await api.http.get("/embed?lang=en&theme=light", headers=headers)
        assert response.text == plain
        assert "set-cookie" not in response.headers


async def test_language_and_theme_are_chosen_by_the_query(api: Api, db: Db) -> None:
    await add_services(db)
    korean = await frame(api, "?lang=ko&theme=dark")
    assert '<html lang="ko" data-snapshot="live" data-theme="dark">' in korean
    assert "일부 서비스에 장애가 발생했습니다" in korean
    assert 'lang="ko"' in await frame(api, "", **{"Accept-Language": "ko-KR,ko;q=0.9"})
    assert "data-theme" not in await frame(api, "?theme=auto")
    for query in ("lang=xx", "theme=pink", "services=" + "x" * 7000):
        assert (await api.http.get(f"/embed?{query}")).status_code == 400, query


async def test_a_change_is_shown_at_the_next_load(api: Api, db: Db) -> None:
    await add_service(db, "shop")
    assert shown(await frame(api)) == [("shop", "unknown")]
    await record(db, [Check("shop", now(), None)])

    async def is_outage() -> bool:
        return shown(await frame(api)) == [("shop", "outage")]

    await until(is_outage)


async def test_without_checks_no_time_is_shown(api: Api, db: Db) -> None:
    empty = await frame(api)
    assert "There is no service to show." in empty and "<time" not in empty
    await add_service(db, "shop")

    async def shows_the_service() -> bool:
        return shown(await frame(api)) == [("shop", "unknown")]

    await until(shows_the_service)
    assert "<time" not in await frame(api)
