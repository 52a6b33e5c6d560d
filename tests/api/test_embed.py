"""The embedded frame: some services in a page of somebody else, and about nobody."""

import re
from typing import Any

import psycopg

from tests.api.conftest import Api, Check, add_service, now, record, someone, until

Db = psycopg.AsyncConnection[Any]


async def frame(api: Api, query: str = "", **headers: str) -> str:
    answer = await api.http.get(f"/embed{query}", headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.text


def shown(html: str) -> list[tuple[str, str]]:
    """The services in their order, with their states."""
    return re.findall(r'href="/services/([^"]+)".*?<span class="state (\w+)">', html, re.DOTALL)


async def furnish(db: Db) -> None:
    for service, ms in (("shop", 100.0), ("search", None), ("vault", None)):
        await add_service(db, service, public=service != "vault")
        await record(db, [Check(service, now(), ms)])


async def test_all_public_services_or_the_chosen_ones_are_shown(api: Api, db: Db) -> None:
    await furnish(db)
    assert shown(await frame(api)) == [("search", "outage"), ("shop", "operational")]
    assert shown(await frame(api, "?services=shop,search")) == [("shop", "operational"), ("search", "outage")]
    assert shown(await frame(api, "?services=shop,%20shop,")) == [("shop", "operational")]
    assert "Some services are down" in await frame(api)
    assert "All systems operational" in await frame(api, "?services=shop")


async def test_private_services_are_as_if_they_were_not_there(api: Api, db: Db) -> None:
    await furnish(db)
    private, missing = await frame(api, "?services=vault"), await frame(api, "?services=missing")
    assert private == missing
    assert "There is no service to show." in private
    assert shown(await frame(api, "?services=vault,shop")) == [("shop", "operational")]
    assert "vault" not in (await frame(api)).lower()


async def test_any_page_may_frame_it_and_it_loads_nothing_from_elsewhere(api: Api, db: Db) -> None:
    await furnish(db)
    answer = await api.http.get("/embed")
    assert "x-frame-options" not in answer.headers
    assert answer.headers["content-security-policy"] == (
        "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; img-src 'self' data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors *"
    )
    assert len(re.findall(r'<script type="module" src="/static/[^"]*embed[^"]*"></script>', answer.text)) == 1
    assert answer.text.count("<script") == 1
    assert "<form" not in answer.text
    assert '<noscript><meta http-equiv="refresh" content="60"></noscript>' in answer.text
    links = re.findall(r"<a [^>]*>", answer.text)
    assert len(links) == 3
    assert all('target="_blank" rel="noopener"' in link for link in links)


async def test_it_is_about_nobody(api: Api, db: Db) -> None:
    """The same bytes for a browser with a session and everything else."""
    await furnish(db)
    plain = await frame(api, "?lang=en&theme=light")
    admin = await someone(db)
    for headers in (
        {"Cookie": f"sla_session={admin.token}; theme=dark; language=ko"},
        {"Authorization": "Bearer nonsense"},
        {"Accept-Language": "ko"},
    ):
        answer = await api.http.get("/embed?lang=en&theme=light", headers=headers)
        assert answer.text == plain
        assert "set-cookie" not in answer.headers


async def test_language_and_theme_are_chosen_by_the_query(api: Api, db: Db) -> None:
    await furnish(db)
    korean = await frame(api, "?lang=ko&theme=dark")
    assert '<html lang="ko" data-snapshot="live" data-theme="dark">' in korean
    assert "일부 서비스에 장애가 발생했습니다" in korean
    assert 'lang="ko"' in await frame(api, "", **{"Accept-Language": "ko-KR,ko;q=0.9"})
    assert "data-theme" not in await frame(api, "?theme=auto")
    for query in ("lang=xx", "theme=pink", "services=" + "x" * 7000):
        assert (await api.http.get(f"/embed?{query}")).status_code == 400, query


async def test_a_change_is_shown_by_the_next_load(api: Api, db: Db) -> None:
    await add_service(db, "shop")
    assert shown(await frame(api)) == [("shop", "unknown")]
    await record(db, [Check("shop", now(), None)])

    async def told() -> bool:
        return shown(await frame(api)) == [("shop", "outage")]

    await until(told)


async def test_no_time_is_told_where_nothing_is_known(api: Api, db: Db) -> None:
    empty = await frame(api)
    assert "There is no service to show." in empty and "<time" not in empty
    await add_service(db, "shop")

    async def told() -> bool:
        return shown(await frame(api)) == [("shop", "unknown")]

    await until(told)
    assert "<time" not in await frame(api)
