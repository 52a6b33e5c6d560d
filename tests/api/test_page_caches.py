"""Pages that are kept are everybody's: nothing in them is of one visitor, by an attacker, or private."""

import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import psycopg
import pytest

import sql
from sql import database
from tests.api.conftest import Api, Check, add_service, create_user, now, record, running_api
from tests.api.hostile_site import session_cookie
from tests.api.page_routes import PageRoute, Values, described, pages

Db = psycopg.AsyncConnection[Any]
HTML = {"Accept": "text/html"}
HIDDEN = ("xk-4711", "xk 4711", "vault-keeper", "INC-2026-0002", "00000000-0000-4000-8000-000000000002")
PRIVATE: dict[str, str] = {"service_id": "xk-4711", "incident_id": "INC-2026-0002"}
MISSING: dict[str, str] = {"service_id": "xk-0000", "incident_id": "INC-2026-0009"}
PUBLIC: Values = {"service_id": ["shop", "all-systems"], "incident_id": ["INC-2026-0001"]}
SITE = """
INSERT INTO incidents (id, title, severity, priority, author, public)
VALUES ('INC-2026-0001', 'Shop is down', 'high', 'P1', 'vault-keeper', true),
       ('INC-2026-0002', 'XK 4711 is stuck', 'high', 'P1', 'vault-keeper', false);
INSERT INTO incident_services
VALUES ('INC-2026-0001', 'shop'), ('INC-2026-0001', 'xk-4711'), ('INC-2026-0002', 'xk-4711');
INSERT INTO incident_comments (incident_id, author, text, public)
VALUES ('INC-2026-0001', 'vault-keeper', 'XK 4711 again', false), ('INC-2026-0001', 'vault-keeper', 'Sorry', true);
INSERT INTO maintenance_windows (id, title, affected_services, starts_at, ends_at, time_zone, public, author)
SELECT format('00000000-0000-4000-8000-%s', lpad(n::text, 12, '0'))::uuid, title, services::text[],
       now() + interval '1 hour', now() + interval '2 hours', 'UTC', public, 'vault-keeper'
FROM (VALUES (1, 'New disks', '{shop,xk-4711}', true), (2, 'XK 4711 rests', '{xk-4711}', false))
    AS planned (n, title, services, public);
INSERT INTO maintenance_occurrences SELECT id, starts_at, ends_at, affected_services FROM maintenance_windows
"""


@pytest.fixture
async def db(any_database: str) -> AsyncIterator[Db]:
    async with await sql.connect(any_database, application="attacker") as connection:
        await add_service(connection, "shop", group_name="Front")
        await add_service(connection, "xk-4711", name="XK 4711", group_name="XK 4711", tags=["xk-4711"], public=False)
        await record(connection, [Check("shop", now()), Check("xk-4711", now(), None)])
        for statement in SITE.split(";\n"):
            await connection.execute(statement.encode())
        yield connection


@pytest.fixture
async def api(any_database: str, db: Db) -> AsyncIterator[Api]:
    async with running_api(any_database) as running:
        yield running


def public_pages() -> list[PageRoute]:
    return [route for route in pages() if route.public]


async def ask(api: Api, path: str, headers: dict[str, str] | None = None) -> httpx.Response:
    return await api.http.get(path, headers=HTML | (headers or {}))


def assert_of_nobody(response: httpx.Response, *names: str) -> None:
    """That nothing of it is private, or of somebody who is logged in."""
    told = response.text.lower() + str(response.headers).lower()
    found = [name for name in (*HIDDEN, *names) if name.lower() in told]
    assert not found, f"{described(response)}: {found}"
    assert not re.search(r'name="csrf" value="\w', response.text), described(response)
    assert "set-cookie" not in response.headers, described(response)


async def test_nothing_private_is_in_any_page_badge_or_feed(api: Api) -> None:
    """Whatever is asked for, whether it is there or not."""
    for route in public_pages():
        for path in route.paths(PUBLIC):
            values = ["", *(f"?{name}={value}" for name in route.query for value in ("shop", "xk", "2026-11", "1"))]
            for query in values:
                assert_of_nobody(await ask(api, path + query))
    for path in ("/missing", "/console", "/console/services", "/static/x/y", "/openapi.json", "/docs", "/robots.txt"):
        assert_of_nobody(await ask(api, path))
    assert "Shop is down" in (await ask(api, "/feed.atom")).text  # there was something to be seen


def anonymous(response: httpx.Response, name: str) -> tuple[Any, ...]:
    """The answer without what must differ: the id that was asked for, moments, and numbers of requests."""
    changing = ("date", "x-request-id", "etag", "x-cache")
    text = re.sub(r"\d\d:\d\d(:\d\d)?", "TIME", response.text.replace(name, "ID"))
    headers = {key: value.replace(name, "ID") for key, value in response.headers.items() if key not in changing}
    return response.status_code, text, headers


def questions(route: PageRoute) -> Iterator[tuple[str, str, str, str]]:
    """A path that asks for what is private, the same for what does not exist, and the two ids."""
    for name in PRIVATE:
        private, missing = PRIVATE[name], MISSING[name]
        if f"{{{name}:" in route.path:
            for one, other in zip(*(route.paths({name: [asked]}) for asked in (private, missing)), strict=True):
                yield one, other, private, missing
        path = next(iter(route.paths(PUBLIC)))
        for query in route.query:
            yield f"{path}?{query}={private}", f"{path}?{query}={missing}", private, missing


@pytest.mark.one_day  # the two pages are compared with the dates in them
async def test_what_is_private_cannot_be_told_from_what_does_not_exist(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not by the answer, nor by what the database is asked for, which takes its time."""
    asked: list[str] = []
    rows = database.rows

    async def noted(pool: Any, name: str, *args: Any, **values: Any) -> Any:
        asked.append(name)
        return await rows(pool, name, *args, **values)

    monkeypatch.setattr(database, "rows", noted)
    await ask(api, "/")  # from now on the time zone is known

    async def seen(path: str, name: str, form: str) -> tuple[Any, Any]:
        asked.clear()
        response = await api.http.get(path, headers={"Accept": form})
        return anonymous(response, name), None if response.headers.get("x-cache") == "HIT" else sorted(asked)

    compared = 0
    for route in public_pages():
        for private, missing, name, other_name in questions(route):
            for form in ("text/html", "*/*"):
                one, queries = await seen(private, name, form)
                other, other_queries = await seen(missing, other_name, form)
                assert one == other, private
                assert None in (queries, other_queries) or queries == other_queries, private
                compared += 1
    assert compared > 40


@pytest.mark.parametrize("first", ["a stranger", "an admin"])
async def test_a_page_of_somebody_is_given_to_nobody_else(any_database: str, db: Db, first: str) -> None:
    boss, other = (
        await create_user(db, username="the-boss"),
        await create_user(db, "viewer", username="the-other"),
    )
    cookies = {"an admin": await session_cookie(boss), "a viewer": await session_cookie(other)}
    order = ["a stranger", "an admin", "a viewer", "a stranger", "an admin"]
    order = order if first == "a stranger" else order[1:]
    async with running_api(any_database) as api:
        for route in public_pages():
            for path in route.paths(PUBLIC):
                for who in order:
                    response = await ask(api, path, {"Cookie": cookies[who]} if who in cookies else {})
                    if who == "a stranger":
                        assert_of_nobody(response, "the-boss", "the-other")
                    elif who == "a viewer":
                        assert "the-boss" not in response.text, described(response)
                    else:
                        assert "the-other" not in response.text, described(response)
                    if "the-" in response.text or 'name="csrf"' in response.text:
                        assert "x-cache" not in response.headers, described(response)
                        assert response.headers["cache-control"] == "no-store", described(response)


POISON = {
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Port": "666",
    "X-Forwarded-Prefix": "/evil.example",
    "X-Forwarded-Server": "evil.example",
    "X-Host": "evil.example",
    "X-Original-URL": "/evil.example",
    "X-Rewrite-URL": "/evil.example",
    "Forwarded": "host=evil.example;proto=https",
    "Referer": "http://evil.example/",
    "User-Agent": "evil.example",
    "Origin": "http://evil.example",
    "Accept-Language": 'en;q=1, evil.example"><script>',
    "Cookie": "theme=dark; language=evil.example; evil.example=evil.example",
    "Accept": "evil.example/html, text/html",
    "Range": "bytes=0-10",
    "Accept-Encoding": "evil.example",
}


async def test_nobody_puts_anything_into_what_others_are_given(api: Api) -> None:
    for route in public_pages():
        for path in route.paths(PUBLIC):
            first = await ask(api, path, POISON)
            assert "evil.example" not in first.text + str(first.headers), described(first)
            plain = await ask(api, path)
            assert "evil" not in plain.text + str(plain.headers), described(plain)
            assert "access-control-allow-origin" not in plain.headers
            await ask(api, path + "?evil.example=evil.example&utm_source=evil.example")
            again = await ask(api, path)
            assert "evil" not in again.text, described(again)
            assert 'data-theme="' not in again.text, described(again)


async def test_the_chosen_look_is_that_of_who_chose_it(api: Api) -> None:
    for path in ("/", "/uptime", "/history", "/incidents/INC-2026-0001", "/services/shop", "/login", "/missing"):
        for _ in range(2):  # made, and from memory
            for theme in ("dark", "light"):
                response = await ask(api, path, {"Cookie": f"theme={theme}"})
                assert f'data-theme="{theme}"' in response.text, described(response)
            assert 'data-theme="' not in (await ask(api, path)).text, path


async def test_each_name_of_the_site_has_its_own_feed(api: Api) -> None:
    """A bare name is let in; what it is answered is not for others."""
    for path in ("/feed.atom", "/feed.rss", "/feed.json", "/", "/embed", "/uptime", "/history"):
        await ask(api, path, {"Host": "evil"})
        response = await ask(api, path)
        assert "//evil" not in response.text, path


async def test_a_language_is_not_given_to_those_who_read_another(api: Api) -> None:
    for route in public_pages():
        path = next(iter(route.paths(PUBLIC)))
        for headers, language in (
            ({"Accept-Language": "ko"}, "ko"),
            ({}, "en"),
            ({"Cookie": "language=ko"}, "ko"),
            ({"Accept-Language": "ko", "Cookie": "language=en"}, "en"),
        ):
            response = await ask(api, path, headers)
            if (told := re.search(r'<html lang="(\w+)"', response.text)) and route.path != "/docs":
                assert told[1] == language, f"{described(response)}: {headers}"
