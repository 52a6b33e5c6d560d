"""Cached pages: one for each language and theme. They are compressed once. Events invalidate them at once, checks
later."""

import gzip
from datetime import timedelta

import anyio
import pytest

from api.cache import entries, keys
from api.cache.entries import Cacheable, CacheKey
from api.cache.memory import MAX_QUERY_ENTRIES
from sla_monitor.settings.values import Limit
from tests.api.conftest import Api, running_api
from tests.api.memory import EVERY_CHANGE, Slow, cache, request

PAGE = Cacheable("/a", EVERY_CHANGE, frozenset({"x"}), page=True)
LONG = b'<html data-snapshot="live">' + b"<p>the same again</p>" * 100


async def test_pages_are_cached_for_each_language() -> None:
    app = cache(slow := Slow(), PAGE)
    clients: list[dict[str, str]] = [
        {"accept_language": "ko-KR,ko;q=0.9,en;q=0.8"},
        {"cookie": "language=ko"},
        {},
        {"cookie": "language=xx"},
    ]
    for headers in clients:
        await request(app, "/a", b"", **headers)
    assert slow.requests == 2
    assert {key.language for key in app._store} == {"en", "ko"}


async def test_a_page_is_compressed_once_for_clients_that_accept_gzip() -> None:
    app = cache(slow := Slow(), PAGE)
    slow.body = LONG
    await request(app)
    _, plain, body = await request(app)
    _, packed, content = await request(app, accept_encoding="gzip, br")
    assert (body, gzip.decompress(content)) == (LONG, LONG)
    assert "content-encoding" not in plain and packed["content-encoding"] == "gzip"
    assert int(packed["content-length"]) == len(content) < len(LONG) / 5
    assert packed["etag"] == "W/" + plain["etag"]
    assert "Accept-Encoding" in packed["vary"] and slow.requests == 1
    for etag in (plain["etag"], packed["etag"]):
        assert (await request(app, accept_encoding="gzip", if_none_match=etag))[0] == 304


async def test_rest_is_never_compressed() -> None:
    """If-Match compares the ETags of REST byte by byte, and compression would change them."""
    app = cache(slow := Slow())
    slow.body = LONG
    for _ in range(2):
        assert "content-encoding" not in (await request(app, accept_encoding="gzip"))[1]


async def test_new_checks_invalidate_a_page_later_and_events_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    app = cache(slow := Slow(), PAGE)
    await request(app)
    app.invalidate("checks")
    assert (await request(app))[1]["x-cache"] == "HIT"
    monkeypatch.setattr(entries, "CHECKS_PAGE_MAX_AGE_S", 0.0)
    assert (await request(app))[1]["x-cache"] == "MISS"
    app.invalidate("event")
    assert (await request(app))[1]["x-cache"] == "MISS"
    assert slow.requests == 3


async def test_a_stale_page_is_marked_as_a_snapshot() -> None:
    app = cache(slow := Slow(), PAGE)
    slow.body = LONG
    await request(app)
    app.invalidate()
    slow.status = 503
    status, headers, body = await request(app, accept_encoding="gzip")
    assert (status, headers["x-cache"]) == (200, "STALE")
    assert body.startswith(b'<html data-snapshot="past">') and len(body) == len(LONG)
    assert "etag" not in headers, "a later request with If-None-Match must not get a 304"


@pytest.mark.parametrize("cookie", ["sla_session=x", "__Host-sla_session=x", "a=b; sla_session=x"])
async def test_personal_pages_are_not_cached_for_requests_with_a_session(cookie: str) -> None:
    app = cache(slow := Slow(), Cacheable("/a", EVERY_CHANGE, page=True, personal=True))
    for _ in range(2):
        assert "x-cache" not in (await request(app, cookie=cookie))[1]
    assert (slow.requests, len(app._store)) == (2, 0)
    assert "Cookie" in (await request(app))[1]["vary"]


ABSOLUTE = Cacheable("/a", EVERY_CHANGE, page=True, absolute=True)
PLAIN = Cacheable("/plain", EVERY_CHANGE)


async def test_pages_with_absolute_links_are_cached_for_each_host() -> None:
    app = cache(Slow(), ABSOLUTE)
    for host in ("localhost", "127.0.0.1", "localhost"):
        await request(app, host=host, x_forwarded_proto="https", x_forwarded_host="evil.example")
    assert set(app._store) == {CacheKey("/a", "", "en", None, host) for host in (b"localhost", b"127.0.0.1")}


async def test_a_remembered_cache_key_depends_on_every_header(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache key of a repeated request is looked up by its headers, which are not parsed again."""
    monkeypatch.setattr(keys, "MAX_REMEMBERED", 5)
    app = cache(slow := Slow(), Cacheable("/a", EVERY_CHANGE, page=True, personal=True))
    slow.body = LONG

    async def get(host: str = "localhost", **more: str) -> tuple[int, dict[str, str], bytes]:
        return await request(app, "/a", b"", host=host, accept_encoding="gzip", **more)

    assert [(await get())[1]["x-cache"] for _ in range(2)] == ["MISS", "HIT"]
    _, headers, body = await get()
    assert (headers["x-cache"], headers["content-encoding"]) == ("HIT", "gzip")
    assert gzip.decompress(body) == LONG and slow.requests == 1
    assert (await request(app, host="localhost"))[2] == LONG
    assert (await get(if_none_match=headers["etag"]))[0] == 304
    assert "x-cache" not in (await get(authorization="Bearer x"))[1]
    assert "x-cache" not in (await get(cookie="sla_session=x"))[1]
    assert "x-cache" not in (await get(host="evil.example"))[1]
    assert slow.requests == 4
    for number in range(20):
        assert (await get(cookie=f"other={number}"))[1]["x-cache"] == "HIT"
        assert len(app._keys._remembered) <= 5


async def test_responses_with_made_up_hosts_evict_only_one_another() -> None:
    """Every name without a dot and every port is an accepted host."""
    app = cache(slow := Slow(), ABSOLUTE, PLAIN)
    await request(app, "/plain", host="localhost")
    for number in range(MAX_QUERY_ENTRIES + 20):
        await request(app, host=f"localhost:{number}")
        if number % 100 == 0:
            assert (await request(app, host=f"localhost:{number}"))[1]["x-cache"] == "HIT"
    assert [(await request(app, host="shop"))[1]["x-cache"] for _ in range(2)] == ["MISS", "HIT"]
    assert (await request(app, host="localhost:0"))[1]["x-cache"] == "MISS", "the least recently used host is evicted"
    assert sum(bool(key.host) for key in app._store) == MAX_QUERY_ENTRIES
    assert (await request(app, "/plain", host="localhost"))[1]["x-cache"] == "HIT", "other responses are not evicted"
    assert slow.requests == MAX_QUERY_ENTRIES + 20 + 3


async def test_with_site_url_the_host_is_not_part_of_the_key() -> None:
    app = cache(slow := Slow(), ABSOLUTE, site_url="https://status.example.com")
    for number in range(20):
        await request(app, host=f"localhost:{number}")
    assert (len(app._store), slow.requests) == (1, 1)


async def test_pages_are_cached_for_each_theme() -> None:
    app = cache(slow := Slow(), PAGE)
    for cookie in ("theme=dark", "a=b; theme=dark", "theme=light", "", "theme=auto", "theme=<x>"):
        await request(app, cookie=cookie)
    assert slow.requests == 3
    assert {key.theme for key in app._store} == {None, "dark", "light"}


async def test_immutable_files_are_cached_once() -> None:
    app = cache(slow := Slow(), Cacheable("/a", EVERY_CHANGE, page=True, immutable=True))
    visitors: list[dict[str, str]] = [{"accept_language": "ko"}, {"cookie": "theme=dark; language=ko"}, {}]
    for headers in visitors:
        _, received, _ = await request(app, "/a", b"", **headers)
        assert received["vary"] == "Accept-Encoding"
    assert slow.requests == 1


async def test_a_page_that_takes_longer_than_the_next_checks_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    app = cache(slow := Slow(), PAGE)
    slow.may_respond = anyio.Event()
    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(request, app)
            await anyio.wait_all_tasks_blocked()
            app.invalidate("checks")
        slow.may_respond.set()
    assert slow.requests == 1
    assert (await request(app))[1]["x-cache"] == "HIT"
    monkeypatch.setattr(entries, "CHECKS_PAGE_MAX_AGE_S", 0.0)
    assert (await request(app))[1]["x-cache"] == "MISS", "checks changed during the computation"


async def test_a_page_computed_before_an_event_is_not_stored() -> None:
    app = cache(slow := Slow(), PAGE)
    slow.may_respond = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(request, app)
        await anyio.wait_all_tasks_blocked()
        app.invalidate("event")
        slow.may_respond.set()
    assert len(app._store) == 0


@pytest.mark.parametrize(
    ("accepted", "packed"),
    [
        ("gzip", True),
        ("br, gzip;q=0.5", True),
        ("br;q=1, x-gzip", True),
        ("gzip;q=0", False),
        ("br, gzip ; Q=0.0", False),
        ("identity", False),
        ("gzip;q=x", False),
    ],
)
async def test_gzip_is_sent_only_where_it_is_accepted(accepted: str, packed: bool) -> None:
    app = cache(slow := Slow(), PAGE)
    slow.body = LONG
    assert ("content-encoding" in (await request(app, accept_encoding=accepted))[1]) is packed


@pytest.mark.one_engine
async def test_errors_of_cached_pages_are_json_or_html_as_accepted(api: Api) -> None:
    paths = ("/services/nope", "/incidents/INC-1999-0001", "/history?page=0")
    for path in (*paths, "/feed.json?service=nope"):
        for accept in ("*/*", "application/json"):
            response = await api.http.get(path, headers={"Accept": accept})
            assert response.json()["code"] in ("NOT_FOUND", "VALIDATION_ERROR"), path
    browser = {"Accept": "text/html", "Accept-Language": "ko", "Cookie": "theme=dark"}
    for path in paths:
        page = await api.http.get(path, headers=browser)
        assert page.text.startswith("<!doctype html>") and '<html lang="ko"' in page.text, path
        assert 'data-theme="dark"' in page.text, path


@pytest.mark.one_engine
async def test_concurrent_errors_are_json_or_html_as_accepted(api: Api) -> None:
    async def one(accept: str) -> None:
        response = await api.http.get("/services/nope", headers={"Accept": accept})
        assert response.headers["content-type"].partition(";")[0] == accept

    async with anyio.create_task_group() as tasks:
        for accept in ("text/html", "application/json") * 5:
            tasks.start_soon(one, accept)


@pytest.mark.one_engine
async def test_validation_errors_are_in_the_language_of_the_page(api: Api) -> None:
    problem = (await api.http.get("/history?page=0")).json()["details"][0]
    assert problem == {
        "field": "page",
        "message": "must be 1 or more",
        "code": "too_small",
        "parameters": {"least": 1},
    }
    page = (await api.http.get("/history?page=0", headers={"Accept": "text/html", "Accept-Language": "ko"})).text
    assert "<code>page</code>" in page and "Expected" not in page


@pytest.mark.one_engine
async def test_static_files_are_immutable(api: Api) -> None:
    path = asset_of((await api.http.get("/login")).text)
    response = await api.http.get(path)
    assert response.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert response.headers["content-type"].startswith("text/css")
    assert (await api.http.get(path)).headers["x-cache"] == "HIT"
    old = path.replace(path.split("/")[2], "0" * 16)
    for unknown in (old, path + "x", path.replace("app.css", "../templates/layout.html"), "/static/x/%2e%2e/site.py"):
        missing = await api.http.get(unknown)
        assert (missing.status_code, missing.headers["cache-control"]) == (404, "no-store"), unknown


def asset_of(html: str) -> str:
    return html.partition('<link rel="stylesheet" href="')[2].partition('"')[0]


@pytest.mark.one_engine
async def test_errors_are_pages_where_html_is_accepted(api: Api) -> None:
    for path, status in (("/nowhere", 404), ("/static/x/y", 404), ("/health/x", 404)):
        page = await api.http.get(path, headers={"Accept": "text/html", "Accept-Language": "ko"})
        assert (page.status_code, page.headers["content-type"]) == (status, "text/html; charset=utf-8")
        assert '<html lang="ko"' in page.text and "찾을 수 없습니다" in page.text
        assert (await api.http.get(path)).json()["code"] == "NOT_FOUND"
    rest = await api.http.get("/api/nowhere", headers={"Accept": "text/html"})
    assert rest.json()["code"] == "NOT_FOUND"


@pytest.mark.one_engine
async def test_hsts_is_sent_where_site_url_is_https(database: str) -> None:
    async with running_api(database, site_url="https://status.example.com") as api:
        responses = [await api.http.get(path) for path in ("/login", "/health", "/api/services", "/nowhere")]
        assert {response.headers["strict-transport-security"] for response in responses} == {"max-age=31536000"}
        assert (await api.http.get("/login", headers={"Host": "status.example.com"})).status_code == 200


@pytest.mark.one_engine
async def test_pages_have_their_own_rate_limit(database: str) -> None:
    minute = timedelta(minutes=1)
    async with running_api(database, rate_limit_pages=Limit(3, minute), rate_limit_api=Limit(1, minute)) as api:
        pages = [await api.http.get("/login", headers={"Accept": "text/html"}) for _ in range(4)]
        assert [response.status_code for response in pages] == [200, 200, 200, 429]
        assert "Too many requests" in pages[-1].text and int(pages[-1].headers["retry-after"]) > 0
        assert (await api.http.get(asset_of(pages[0].text))).status_code == 200
        assert (await api.http.get("/health")).status_code == 200
        assert [(await api.http.get("/api/templates")).status_code for _ in range(2)] == [401, 429]
