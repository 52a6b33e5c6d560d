"""Cached pages contain no data of one visitor, no text of an attacker, and no private content."""

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


async def get(api: Api, path: str, headers: dict[str, str] | None = None) -> httpx.Response:
    return await api.http.get(path, headers=HTML | (headers or {}))


def assert_public(response: httpx.Response, *names: str) -> None:
    """Checks that the response contains nothing private and nothing of a session."""
    content = response.text.lower() + str(response.headers).lower()
    found = [name for name in (*HIDDEN, *names) if name.lower() in content]
    assert not found, f"{described(response)}: {found}"
    assert not re.search(r'name="csrf" value="\w', response.text), described(response)
    assert "set-cookie" not in response.headers, described(response)


async def test_nothing_private_is_in_any_page_badge_or_feed(api: Api) -> None:
    """The pages are requested with several queries; some of them do not exist."""
    for route in public_pages():
        for path in route.paths(PUBLIC):
            values = ["", *(f"?{name}={value}" for name in route.query for value in ("shop", "xk", "2026-11", "1"))]
            for query in values:
                assert_public(await get(api, path + query))
    for path in ("/missing", "/console", "/console/services", "/static/x/y", "/openapi.json", "/docs", "/robots.txt"):
        assert_public(await get(api, path))
    assert "Shop is down" in (await get(api, "/feed.atom")).text  # the pages are not empty


def normalized(response: httpx.Response, name: str) -> tuple[Any, ...]:
    """Returns the response without the parts that must differ: the requested id, times and request ids."""
    changing = ("date", "x-request-id", "etag", "x-cache")
    text = re.sub(r"\d\d:\d\d(:\d\d)?", "TIME", response.text.replace(name, "ID"))
    headers = {key: value.replace(name, "ID") for key, value in response.headers.items() if key not in changing}
    return response.status_code, text, headers


def pairs(route: PageRoute) -> Iterator[tuple[str, str, str, str]]:
    """Yields a path to a private resource, the same path to a missing one, and the two ids."""
    for name in PRIVATE:
        private, missing = PRIVATE[name], MISSING[name]
        if f"{{{name}:" in route.path:
            for one, other in zip(*(route.paths({name: [value]}) for value in (private, missing)), strict=True):
                yield one, other, private, missing
        path = next(iter(route.paths(PUBLIC)))
        for query in route.query:
            yield f"{path}?{query}={private}", f"{path}?{query}={missing}", private, missing


@pytest.mark.one_day  # the compared pages contain dates
async def test_a_private_resource_cannot_be_distinguished_from_a_missing_one(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The responses are equal. The SQL queries are equal too, because a client could measure their duration."""
    queries: list[str] = []
    rows = database.rows

    async def record_query(pool: Any, name: str, *args: Any, **values: Any) -> Any:
        queries.append(name)
        return await rows(pool, name, *args, **values)

    monkeypatch.setattr(database, "rows", record_query)
    await get(api, "/")  # reads the time zone, which is then cached

    async def observed(path: str, name: str, form: str) -> tuple[Any, Any]:
        queries.clear()
        response = await api.http.get(path, headers={"Accept": form})
        return normalized(response, name), None if response.headers.get("x-cache") == "HIT" else sorted(queries)

    compared = 0
    for route in public_pages():
        for private, missing, name, other_name in pairs(route):
            for form in ("text/html", "*/*"):
                one, one_queries = await observed(private, name, form)
                other, other_queries = await observed(missing, other_name, form)
                assert one == other, private
                assert None in (one_queries, other_queries) or one_queries == other_queries, private
                compared += 1
    assert compared > 40


@pytest.mark.parametrize("first", ["anonymous", "an admin"])
async def test_a_page_of_one_user_is_not_sent_to_another_client(any_database: str, db: Db, first: str) -> None:
    boss, other = (
        await create_user(db, username="the-boss"),
        await create_user(db, "viewer", username="the-other"),
    )
    cookies = {"an admin": await session_cookie(boss), "a viewer": await session_cookie(other)}
    order = ["anonymous", "an admin", "a viewer", "anonymous", "an admin"]
    order = order if first == "anonymous" else order[1:]
    async with running_api(any_database) as api:
        for route in public_pages():
            for path in route.paths(PUBLIC):
                for client in order:
                    response = await get(api, path, {"Cookie": cookies[client]} if client in cookies else {})
                    if client == "anonymous":
                        assert_public(response, "the-boss", "the-other")
                    elif client == "a viewer":
                        assert "the-boss" not in response.text, described(response)
                    else:
                        assert "the-other" not in response.text, described(response)
                    if "the-" in response.text or 'name="csrf"' in response.text:
                        assert "x-cache" not in response.headers, described(response)
                        assert response.headers["cache-control"] == "no-store", described(response)


HOSTILE_HEADERS = {
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


async def test_headers_and_queries_of_one_client_are_not_in_the_pages_of_others(api: Api) -> None:
    for route in public_pages():
        for path in route.paths(PUBLIC):
            first = await get(api, path, HOSTILE_HEADERS)
            assert "evil.example" not in first.text + str(first.headers), described(first)
            plain = await get(api, path)
            assert "evil" not in plain.text + str(plain.headers), described(plain)
            assert "access-control-allow-origin" not in plain.headers
            await get(api, path + "?evil.example=evil.example&utm_source=evil.example")
            again = await get(api, path)
            assert "evil" not in again.text, described(again)
            assert 'data-theme="' not in again.text, described(again)


async def test_the_theme_of_one_client_is_not_in_the_pages_of_others(api: Api) -> None:
    for path in ("/", "/uptime", "/history", "/incidents/INC-2026-0001", "/services/shop", "/login", "/missing"):
        for _ in range(2):  # computed, then cached
            for theme in ("dark", "light"):
                response = await get(api, path, {"Cookie": f"theme={theme}"})
                assert f'data-theme="{theme}"' in response.text, described(response)
            assert 'data-theme="' not in (await get(api, path)).text, path


async def test_links_with_the_host_of_one_client_are_not_sent_to_others(api: Api) -> None:
    """A host name without a dot is accepted, and responses with absolute links are cached for each host."""
    for path in ("/feed.atom", "/feed.rss", "/feed.json", "/", "/embed", "/uptime", "/history"):
        await get(api, path, {"Host": "evil"})
        response = await get(api, path)
        assert "//evil" not in response.text, path


async def test_each_client_gets_the_page_in_its_language(api: Api) -> None:
    for route in public_pages():
        path = next(iter(route.paths(PUBLIC)))
        for headers, language in (
            ({"Accept-Language": "ko"}, "ko"),
            ({}, "en"),
            ({"Cookie": "language=ko"}, "ko"),
            ({"Accept-Language": "ko", "Cookie": "language=en"}, "en"),
        ):
            response = await get(api, path, headers)
            if (shown := re.search(r'<html lang="(\w+)"', response.text)) and route.path != "/docs":
                assert shown[1] == language, f"{described(response)}: {headers}"
