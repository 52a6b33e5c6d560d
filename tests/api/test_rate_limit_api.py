"""RATE_LIMIT_API over HTTP: headers, counted and uncounted requests, proxies, and failures of the database."""

import ipaddress
from collections import Counter
from datetime import timedelta
from typing import Any

import anyio
import httpx
import psycopg
import pytest

from sla_monitor.settings.values import Limit
from tests.api.conftest import (
    Api,
    Check,
    add_service,
    create_user,
    now,
    record,
    running_api,
    until,
    until_events_processed,
)
from tests.api.relay import relay_before

pytestmark = pytest.mark.one_engine

Db = psycopg.AsyncConnection[Any]
DAY = timedelta(days=1)
FIVE = Limit(5, timedelta(minutes=15))
COUNTED = "/api/no-such-thing"
RATE_LIMIT = {"ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"}


def rate_limit_headers(response: httpx.Response) -> set[str]:
    return RATE_LIMIT & set(response.headers)


async def use_up(api: Api, times: int = 5, client: str | None = None) -> None:
    headers = {"x-forwarded-for": client} if client else {}
    for _ in range(times):
        assert (await api.http.get(COUNTED, headers=headers)).status_code == 404


async def test_requests_of_an_address_are_counted_in_the_headers(database: str) -> None:
    async with running_api(database, rate_limit_api=FIVE, client_urls=("http://front.example",)) as api:
        responses = [await api.http.get(COUNTED) for _ in range(5)]
        assert [response.headers["ratelimit-remaining"] for response in responses] == ["4", "3", "2", "1", "0"]
        refused = await api.http.get(COUNTED, headers={"origin": "http://front.example"})
        assert (refused.status_code, refused.json()["code"]) == (429, "RATE_LIMITED")
        assert rate_limit_headers(refused) == RATE_LIMIT
        assert 1 <= int(refused.headers["retry-after"]) <= 900
        assert refused.headers["cache-control"] == "no-store"
        assert refused.headers["x-content-type-options"] == "nosniff"
        exposed = refused.headers["access-control-expose-headers"].lower()
        assert all(name in exposed for name in (*RATE_LIMIT, "retry-after"))


async def test_every_method_is_counted(database: str, db: Db) -> None:
    viewer = await create_user(db, "viewer")
    async with running_api(database, rate_limit_api=Limit(6, timedelta(minutes=15))) as api:
        requests: list[tuple[str, str, dict[str, str], int]] = [
            ("GET", "/api/system-status", {}, 200),
            ("GET", "/api/services?details=true", viewer.headers, 403),
            ("GET", "/api/services?details=true", {}, 401),
            ("POST", "/api/services", {"Authorization": "Bearer nonsense"}, 401),
            ("HEAD", "/api/uptime/no-such-one", {}, 404),
            ("PUT", "/api/services", {}, 405),
        ]
        for remaining, (method, path, headers, status) in zip("543210", requests, strict=True):
            response = await api.http.request(method, path, headers=headers)
            assert (response.status_code, response.headers["ratelimit-remaining"]) == (status, remaining), path
        for method, path, headers, _ in requests[1:]:
            assert (await api.http.request(method, path, headers=headers)).status_code == 429, path


async def test_cached_responses_are_not_counted(database: str, db: Db) -> None:
    async with running_api(database, rate_limit_api=FIVE) as api:
        first = await api.http.get("/api/services")
        assert (first.headers["x-cache"], first.headers["ratelimit-remaining"]) == ("MISS", "4")
        for _ in range(20):
            hit = await api.http.get("/api/services")
            assert (hit.status_code, hit.headers["x-cache"], rate_limit_headers(hit)) == (200, "HIT", set())
            same = await api.http.get("/api/services", headers={"if-none-match": first.headers["etag"]})
            assert (same.status_code, rate_limit_headers(same)) == (304, set())
        assert (await api.http.get(COUNTED)).headers["ratelimit-remaining"] == "3"
        await use_up(api, 3)
        assert (await api.http.get(COUNTED)).status_code == 429
        assert (await api.http.get("/api/services")).headers["x-cache"] == "HIT"


async def test_unlimited_paths_and_preflight_requests_are_not_counted(database: str) -> None:
    async with running_api(database, rate_limit_api=FIVE, client_urls=("http://front.example",)) as api:
        await use_up(api)
        for path in ("/health", "/ready", "/metrics", "/docs", "/openapi.json"):
            response = await api.http.get(path)
            assert (response.status_code, rate_limit_headers(response)) == (200, set()), path
        preflight = {"origin": "http://front.example", "access-control-request-method": "POST"}
        assert (await api.http.options("/api/services", headers=preflight)).status_code == 204


@pytest.mark.parametrize(
    "path", ["//api/services?details=1", "/%61pi//services?details=1", "///api/services/?details=1"]
)
async def test_every_spelling_of_a_path_is_counted(database: str, path: str) -> None:
    async with running_api(database, rate_limit_api=FIVE) as api:
        await use_up(api)
        assert (await api.http.get(url(api, path))).status_code == 429


async def test_processes_share_their_counts(database: str) -> None:
    async with running_api(database, rate_limit_api=FIVE) as one, running_api(database, rate_limit_api=FIVE) as other:
        await use_up(one, 3)
        await use_up(other, 2)
        assert (await one.http.get(COUNTED)).status_code == 429
        assert (await other.http.get(COUNTED)).status_code == 429


PROXY = (ipaddress.ip_network("127.0.0.1/32"),)


async def test_a_429_is_never_sent_to_another_client(database: str) -> None:
    """Concurrent requests for one path get the response of one computation, which is counted once."""
    async with running_api(database, rate_limit_api=FIVE, trusted_proxies=PROXY) as api:
        await use_up(api, client="192.0.2.66")
        responses: dict[str, httpx.Response] = {}

        async def request(client: str) -> None:
            responses[client] = await api.http.get("/api/uptime/all-systems", headers={"x-forwarded-for": client})

        async with anyio.create_task_group() as tasks:
            for client in ("192.0.2.66", *(f"192.0.2.{n}" for n in range(8))):
                tasks.start_soon(request, client)
        # 200 if the computation of another client had begun before.
        assert responses.pop("192.0.2.66").status_code in (200, 429)
        assert {response.status_code for response in responses.values()} == {200}
        counted = [
            response.headers["ratelimit-remaining"] for response in responses.values() if rate_limit_headers(response)
        ]
        assert counted == ["4"]
        assert (await api.http.get("/api/uptime/all-systems")).headers["x-cache"] == "HIT"


@pytest.mark.engines("timescaledb", "postgresql")
async def test_over_the_limit_dashboards_are_still_served(database: str, db: Db) -> None:
    """Ten dashboards behind one address send requests at every change, far more than the limit."""
    await add_service(db, "shop")
    paths = ("/api/system-status", "/api/uptime/shop", "/api/uptime/all-systems")
    async with running_api(database, rate_limit_api=FIVE) as api:
        await until_events_processed(api, db)
        sources: Counter[str] = Counter()

        async def dashboard() -> None:
            for path in paths:
                response = await api.http.get(path)
                assert response.status_code == 200, response.text
                sources[response.headers["x-cache"]] += 1

        for number in range(6):
            await db.execute("UPDATE services SET name = %s", [f"Shop {number}"])
            await record(
                db, [Check("shop", now() - timedelta(seconds=60 * (6 - number)), None if number % 2 else 100.0)]
            )
            async with anyio.create_task_group() as tasks:
                for _ in range(10):
                    tasks.start_soon(dashboard)
        assert sources.total() == 180
        assert (await api.http.get(COUNTED)).status_code == 429, "not cached"


async def use_up_all(api: Api) -> None:
    """Sends requests until the limit is used up."""

    async def used_up() -> bool:
        return (await api.http.get(COUNTED)).status_code == 429

    await until(used_up)


async def test_login_has_its_own_limit(database: str) -> None:
    """Pages have one too: a client over the limit of REST or of pages can still log in."""
    credentials = {"username": "unknown", "password": "a wrong password"}
    form = {"Accept": "text/html", "Origin": "http://127.0.0.1"}
    async with running_api(database, rate_limit_api=FIVE, rate_limit_pages=FIVE) as api:
        await use_up_all(api)
        for path in ("//api/auth/login", "/api/auth/login/"):
            assert (await api.http.post(url(api, path), json=credentials)).status_code == 401
        assert (await api.http.post("/api/auth/refresh", json={"refreshToken": "x"})).status_code == 401
        statuses = [(await api.http.post("/api/auth/login", json=credentials)).status_code for _ in range(3)]
        assert statuses == [401, 401, 429], "the limit of five attempts"

        async def used_up() -> bool:
            return (await api.http.get("/no-such-page", headers=form)).status_code == 429

        await until(used_up)
        assert (await api.http.get("/login", headers=form)).status_code == 200


def url(api: Api, path: str) -> str:
    """Returns the URL with `path` unchanged; httpx would normalise a relative one."""
    return f"http://127.0.0.1:{api.settings.api_port}{path}"


async def test_x_forwarded_for_counts_only_from_trusted_proxies(database: str, db: Db) -> None:
    async with running_api(database, rate_limit_api=FIVE) as api:
        for n in range(5):
            assert (await api.http.get(COUNTED, headers={"x-forwarded-for": f"192.0.2.{n}"})).status_code == 404
        for name in ("x-forwarded-for", "x-real-ip", "forwarded", "cf-connecting-ip", "true-client-ip"):
            assert (await api.http.get(COUNTED, headers={name: "192.0.2.99"})).status_code == 429
    await db.execute("TRUNCATE rate_limits")
    async with running_api(database, rate_limit_api=FIVE, trusted_proxies=PROXY) as api:
        for n in range(5):  # entries that the client has sent are left of the entry of the proxy
            forged = {"x-forwarded-for": f"192.0.2.{n}, 198.51.100.7"}
            assert (await api.http.get(COUNTED, headers=forged)).status_code == 404
        assert (await api.http.get(COUNTED, headers={"x-forwarded-for": "198.51.100.7"})).status_code == 429
        assert (await api.http.get(COUNTED, headers={"x-forwarded-for": "198.51.100.8"})).status_code == 404
        for n in range(5):  # a /64 network counts as one client
            await api.http.get(COUNTED, headers={"x-forwarded-for": f"2001:db8:1:2::{n}"})
        assert (await api.http.get(COUNTED, headers={"x-forwarded-for": "2001:db8:1:2:ffff::1"})).status_code == 429


async def test_nothing_is_refused_while_the_database_is_away(database: str, db: Db) -> None:
    async with relay_before(database) as relay, running_api(relay.url, rate_limit_api=Limit(2, DAY)) as api:
        await use_up(api, 1)
        await api.get("/api/services")
        assert (await api.http.get(COUNTED)).status_code == 429
        relay.cut()

        async def stale() -> bool:
            response = await api.http.get("/api/services")
            return bool(response.headers.get("x-cache") == "STALE")

        await until(stale)
        assert (await api.http.get(COUNTED)).status_code == 404
        assert (await api.http.get("/api/uptime/all-systems")).status_code == 503


async def test_nothing_is_refused_while_the_counts_cannot_be_stored(
    database: str, db: Db, caplog: pytest.LogCaptureFixture
) -> None:
    """The database responds but cannot count: on a standby, the unlogged table of the counts cannot be written."""
    async with running_api(database, rate_limit_api=FIVE) as api:
        await db.execute("ALTER TABLE rate_limits RENAME TO elsewhere")
        assert (await api.http.get(COUNTED)).status_code == 404
        assert (await api.http.get("/api/system-status")).status_code == 200
    assert any("cannot be counted" in record.message for record in caplog.records)


async def test_without_a_limit_nothing_is_counted(database: str, db: Db) -> None:
    async with running_api(database, rate_limit_api=None) as api:
        assert rate_limit_headers(await api.http.get(COUNTED)) == set()
    assert await (await db.execute("SELECT FROM rate_limits")).fetchall() == []
