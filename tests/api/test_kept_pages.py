"""Pages from memory: one in each language, compressed once, a little behind new checks and never behind an event."""

import gzip
from datetime import timedelta

import anyio
import pytest

from api.cache import entries, keys
from api.cache.entries import Cacheable, CacheKey
from api.cache.memory import MAX_QUERIES
from sla_monitor.settings.values import Limit
from tests.api.conftest import Api, running_api
from tests.api.memory import EVERY_CHANGE, Slow, ask, cache

PAGE = Cacheable("/a", EVERY_CHANGE, frozenset({"x"}), page=True)
LONG = b'<html data-snapshot="live">' + b"<p>the same again</p>" * 100


async def test_each_language_has_a_page_of_its_own() -> None:
    app = cache(slow := Slow(), PAGE)
    told: list[dict[str, str]] = [
        {"accept_language": "ko-KR,ko;q=0.9,en;q=0.8"},
        {"cookie": "language=ko"},
        {},
        {"cookie": "language=xx"},
    ]
    for headers in told:
        await ask(app, "/a", b"", **headers)
    assert slow.asked == 2
    assert {question.language for question in app._memory} == {"en", "ko"}


async def test_a_page_is_compressed_once_for_those_who_can_read_it() -> None:
    app = cache(slow := Slow(), PAGE)
    slow.body = LONG
    await ask(app)
    _, plain, body = await ask(app)
    _, packed, content = await ask(app, accept_encoding="gzip, br")
    assert (body, gzip.decompress(content)) == (LONG, LONG)
    assert "content-encoding" not in plain and packed["content-encoding"] == "gzip"
    assert int(packed["content-length"]) == len(content) < len(LONG) / 5
    assert packed["etag"] == "W/" + plain["etag"]
    assert "Accept-Encoding" in packed["vary"] and slow.asked == 1
    for etag in (plain["etag"], packed["etag"]):
        assert (await ask(app, accept_encoding="gzip", if_none_match=etag))[0] == 304


async def test_rest_is_never_compressed() -> None:
    """An ETag of REST is what If-Match takes, byte for byte."""
    app = cache(slow := Slow())
    slow.body = LONG
    for _ in range(2):
        assert "content-encoding" not in (await ask(app, accept_encoding="gzip"))[1]


async def test_new_checks_end_a_page_after_a_while_and_an_event_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    app = cache(slow := Slow(), PAGE)
    await ask(app)
    app.forget("checks")
    assert (await ask(app))[1]["x-cache"] == "HIT"
    monkeypatch.setattr(entries, "PAGE_REST_S", 0.0)
    assert (await ask(app))[1]["x-cache"] == "MISS"
    app.forget("event")
    assert (await ask(app))[1]["x-cache"] == "MISS"
    assert slow.asked == 3


async def test_the_last_snapshot_says_of_itself_that_it_is_one() -> None:
    app = cache(slow := Slow(), PAGE)
    slow.body = LONG
    await ask(app)
    app.forget()
    slow.status = 503
    status, headers, body = await ask(app, accept_encoding="gzip")
    assert (status, headers["x-cache"]) == (200, "STALE")
    assert body.startswith(b'<html data-snapshot="past">') and len(body) == len(LONG)
    assert "etag" not in headers, "nobody may be told later that nothing has changed since"


@pytest.mark.parametrize("cookie", ["sla_session=x", "__Host-sla_session=x", "a=b; sla_session=x"])
async def test_who_may_be_logged_in_is_given_nothing_that_is_kept(cookie: str) -> None:
    app = cache(slow := Slow(), Cacheable("/a", EVERY_CHANGE, page=True, personal=True))
    for _ in range(2):
        assert "x-cache" not in (await ask(app, cookie=cookie))[1]
    assert (slow.asked, len(app._memory)) == (2, 0)
    assert "Cookie" in (await ask(app))[1]["vary"]


ABSOLUTE = Cacheable("/a", EVERY_CHANGE, page=True, absolute=True)
PLAIN = Cacheable("/plain", EVERY_CHANGE)


async def test_what_names_its_own_address_is_kept_for_each() -> None:
    app = cache(Slow(), ABSOLUTE)
    for host in ("localhost", "127.0.0.1", "localhost"):
        await ask(app, host=host, x_forwarded_proto="https", x_forwarded_host="evil.example")
    assert set(app._memory) == {CacheKey("/a", "", "en", None, host) for host in (b"localhost", b"127.0.0.1")}


async def test_who_asks_in_known_words_is_still_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has been asked in the very same words is answered by a shorter way."""
    monkeypatch.setattr(keys, "MAX_WORDINGS", 5)
    app = cache(slow := Slow(), Cacheable("/a", EVERY_CHANGE, page=True, personal=True))
    slow.body = LONG

    async def asks(host: str = "localhost", **more: str) -> tuple[int, dict[str, str], bytes]:
        return await ask(app, "/a", b"", host=host, accept_encoding="gzip", **more)

    assert [(await asks())[1]["x-cache"] for _ in range(2)] == ["MISS", "HIT"]
    _, headers, body = await asks()
    assert (headers["x-cache"], headers["content-encoding"]) == ("HIT", "gzip")
    assert gzip.decompress(body) == LONG and slow.asked == 1
    assert (await ask(app, host="localhost"))[2] == LONG
    assert (await asks(if_none_match=headers["etag"]))[0] == 304
    assert "x-cache" not in (await asks(authorization="Bearer x"))[1]
    assert "x-cache" not in (await asks(cookie="sla_session=x"))[1]
    assert "x-cache" not in (await asks(host="evil.example"))[1]
    assert slow.asked == 4
    for number in range(20):
        assert (await asks(cookie=f"other={number}"))[1]["x-cache"] == "HIT"
        assert len(app._questions._wordings) <= 5


async def test_made_up_names_keep_no_other_one_out() -> None:
    """Every bare name and every port is one that is answered to. Eight that were in use left no room for a new one."""
    app = cache(slow := Slow(), ABSOLUTE, PLAIN)
    await ask(app, "/plain", host="localhost")
    for number in range(MAX_QUERIES + 20):
        await ask(app, host=f"localhost:{number}")
        if number % 100 == 0:
            assert (await ask(app, host=f"localhost:{number}"))[1]["x-cache"] == "HIT"
    assert [(await ask(app, host="shop"))[1]["x-cache"] for _ in range(2)] == ["MISS", "HIT"]
    assert (await ask(app, host="localhost:0"))[1]["x-cache"] == "MISS", "those that are not asked for make room"
    assert sum(bool(question.host) for question in app._memory) == MAX_QUERIES
    assert (await ask(app, "/plain", host="localhost"))[1]["x-cache"] == "HIT", "they drive out nothing else"
    assert slow.asked == MAX_QUERIES + 20 + 3


async def test_with_site_url_it_is_the_same_under_every_name() -> None:
    app = cache(slow := Slow(), ABSOLUTE, site_url="https://status.example.com")
    for number in range(20):
        await ask(app, host=f"localhost:{number}")
    assert (len(app._memory), slow.asked) == (1, 1)


async def test_each_look_has_a_page_of_its_own() -> None:
    app = cache(slow := Slow(), PAGE)
    for cookie in ("theme=dark", "a=b; theme=dark", "theme=light", "", "theme=auto", "theme=<x>"):
        await ask(app, cookie=cookie)
    assert slow.asked == 3
    assert {question.theme for question in app._memory} == {None, "dark", "light"}


async def test_a_file_is_one_for_all() -> None:
    app = cache(slow := Slow(), Cacheable("/a", EVERY_CHANGE, page=True, immutable=True))
    visitors: list[dict[str, str]] = [{"accept_language": "ko"}, {"cookie": "theme=dark; language=ko"}, {}]
    for headers in visitors:
        _, told, _ = await ask(app, "/a", b"", **headers)
        assert told["vary"] == "Accept-Encoding"
    assert slow.asked == 1


async def test_a_page_that_takes_longer_than_the_next_checks_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    app = cache(slow := Slow(), PAGE)
    slow.go = anyio.Event()
    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(ask, app)
            await anyio.wait_all_tasks_blocked()
            app.forget("checks")
        slow.go.set()
    assert slow.asked == 1
    assert (await ask(app))[1]["x-cache"] == "HIT"
    monkeypatch.setattr(entries, "PAGE_REST_S", 0.0)
    assert (await ask(app))[1]["x-cache"] == "MISS", "it was old when it landed"


async def test_a_page_from_before_an_event_is_never_kept() -> None:
    app = cache(slow := Slow(), PAGE)
    slow.go = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask, app)
        await anyio.wait_all_tasks_blocked()
        app.forget("event")
        slow.go.set()
    assert len(app._memory) == 0


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
async def test_nobody_is_sent_what_they_refuse(accepted: str, packed: bool) -> None:
    app = cache(slow := Slow(), PAGE)
    slow.body = LONG
    assert ("content-encoding" in (await ask(app, accept_encoding=accepted))[1]) is packed


@pytest.mark.one_engine
async def test_an_error_of_a_kept_page_is_told_as_it_was_asked_for(api: Api) -> None:
    paths = ("/services/nope", "/incidents/INC-1999-0001", "/history?page=0")
    for path in (*paths, "/feed.json?service=nope"):
        for accept in ("*/*", "application/json"):
            answer = await api.http.get(path, headers={"Accept": accept})
            assert answer.json()["code"] in ("NOT_FOUND", "VALIDATION_ERROR"), path
    person = {"Accept": "text/html", "Accept-Language": "ko", "Cookie": "theme=dark"}
    for path in paths:
        page = await api.http.get(path, headers=person)
        assert page.text.startswith("<!doctype html>") and '<html lang="ko"' in page.text, path
        assert 'data-theme="dark"' in page.text, path


@pytest.mark.one_engine
async def test_who_asks_otherwise_at_the_same_moment_is_told_otherwise(api: Api) -> None:
    async def one(accept: str) -> None:
        answer = await api.http.get("/services/nope", headers={"Accept": accept})
        assert answer.headers["content-type"].partition(";")[0] == accept

    async with anyio.create_task_group() as tasks:
        for accept in ("text/html", "application/json") * 5:
            tasks.start_soon(one, accept)


@pytest.mark.one_engine
async def test_what_is_wrong_is_named_as_it_was_asked_and_said_in_ones_language(api: Api) -> None:
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
async def test_what_pages_load_is_kept_by_browsers_for_good(api: Api) -> None:
    path = asset_of((await api.http.get("/login")).text)
    answer = await api.http.get(path)
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["content-type"].startswith("text/css")
    assert (await api.http.get(path)).headers["x-cache"] == "HIT"
    old = path.replace(path.split("/")[2], "0" * 16)
    for gone in (old, path + "x", path.replace("app.css", "../templates/layout.html"), "/static/x/%2e%2e/site.py"):
        missing = await api.http.get(gone)
        assert (missing.status_code, missing.headers["cache-control"]) == (404, "no-store"), gone


def asset_of(html: str) -> str:
    return html.partition('<link rel="stylesheet" href="')[2].partition('"')[0]


@pytest.mark.one_engine
async def test_an_error_is_a_page_for_those_who_asked_for_one(api: Api) -> None:
    for path, status in (("/nowhere", 404), ("/static/x/y", 404), ("/health/x", 404)):
        page = await api.http.get(path, headers={"Accept": "text/html", "Accept-Language": "ko"})
        assert (page.status_code, page.headers["content-type"]) == (status, "text/html; charset=utf-8")
        assert '<html lang="ko"' in page.text and "찾을 수 없습니다" in page.text
        assert (await api.http.get(path)).json()["code"] == "NOT_FOUND"
    rest = await api.http.get("/api/nowhere", headers={"Accept": "text/html"})
    assert rest.json()["code"] == "NOT_FOUND"


@pytest.mark.one_engine
async def test_transport_security_is_demanded_where_the_site_has_it(database: str) -> None:
    async with running_api(database, site_url="https://status.example.com") as api:
        answers_given = [await api.http.get(path) for path in ("/login", "/health", "/api/services", "/nowhere")]
        assert {answer.headers["strict-transport-security"] for answer in answers_given} == {"max-age=31536000"}
        assert (await api.http.get("/login", headers={"Host": "status.example.com"})).status_code == 200


@pytest.mark.one_engine
async def test_pages_have_a_limit_of_their_own(database: str) -> None:
    minute = timedelta(minutes=1)
    async with running_api(database, rate_limit_pages=Limit(3, minute), rate_limit_api=Limit(1, minute)) as api:
        told = [await api.http.get("/login", headers={"Accept": "text/html"}) for _ in range(4)]
        assert [answer.status_code for answer in told] == [200, 200, 200, 429]
        assert "Too many requests" in told[-1].text and int(told[-1].headers["retry-after"]) > 0
        assert (await api.http.get(asset_of(told[0].text))).status_code == 200
        assert (await api.http.get("/health")).status_code == 200
        assert [(await api.http.get("/api/templates")).status_code for _ in range(2)] == [401, 429]
