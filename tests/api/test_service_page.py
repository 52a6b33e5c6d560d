"""/services/{id} without JavaScript: the figures of the API, and details for users."""

import html
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from api.pages.service import CACHEABLE
from sla_monitor.settings.values import Limit
from tests.api import incidents
from tests.api.conftest import Api, Check, add_service, create_user, now, record, running_api, until
from tests.api.page_parts import timeless
from tests.api.service_pages import HTML, as_browser, part, shown

pytestmark = pytest.mark.one_day

Db = psycopg.AsyncConnection[Any]
SECRET = "Vault <XK-4711>"


async def last_days(api: Api) -> list[Any]:
    """Returns the last 90 days as in the API."""
    return [day for month in (await api.get("/api/uptime/shop?months=4"))["months"] for day in month["details"]][-90:]


async def test_the_figures_are_those_of_the_api(api: Api, db: Db) -> None:
    await add_service(db, "shop", interval_seconds=3600)
    at = now() - timedelta(
        minutes=now().minute % 15 + 7
    )  # far from both ends of a quarter, which may end during the test
    checks = [
        Check("shop", at - timedelta(hours=n), ms=None if n in (30, 31) else 100.0 + n, interval_s=3600)
        for n in range(72)
    ]
    await record(db, checks)
    before, page, after = await last_days(api), await shown(api, "/services/shop"), await last_days(api)

    [embedded] = re.findall(r'<script type="application/json">(.*?)</script>\n  </div>', page)
    assert json.loads(embedded) in (before, after)

    status = (await api.get("/api/system-status"))["services"][0]
    uptimes = part(page, "uptimes")
    assert f"90 days {status['uptime']}% 2 h down" in uptimes
    assert "24 hours 100.00% No downtime" in uptimes

    window = {"from": (now() - timedelta(days=1)).isoformat(), "to": now().isoformat(), "step": "900"}
    times = await api.get("/api/response-times/shop", params=window)
    times_text = part(page, "times")
    end = re.findall(r"\w{3} \d+, \d{4}, \d\d:\d\d", times_text)[1]
    assert datetime.strptime(end, "%b %d, %Y, %H:%M").replace(tzinfo=UTC) <= now()  # not the end of its quarter
    assert f"median {times['p50']:.0f} ms, 95th percentile {times['p95']:.0f} ms" in times_text
    assert f"0 of {times['count']} checks failed." in times_text
    assert (
        page.count('<td class="number">1</td><td class="number">0</td></tr>') == len(times["series"]) == times["count"]
    )


async def test_data_for_scripts_is_that_of_the_api_and_limited_like_pages(database: str, db: Db) -> None:
    await add_service(db, "shop")
    await record(db, [Check("shop", now() - timedelta(hours=n), ms=100.0 + n) for n in range(1, 4)])
    window = {"from": (now() - timedelta(days=1)).isoformat(), "to": now().isoformat(), "step": "900"}
    once = Limit(1, timedelta(minutes=1))
    async with running_api(database, rate_limit_api=Limit(3, timedelta(minutes=1))) as api:
        before, days, after = await last_days(api), await api.get("/services/shop/days"), await last_days(api)
        assert days["service"] == {"id": "shop", "name": "Shop"} and days["days"] in (before, after)
        times = await api.get("/services/shop/response-times", params=window)
        assert times == await api.get("/api/response-times/shop", params=window) and times["count"] == 3
        assert [(await api.http.get("/api/templates")).status_code for _ in range(3)][-1] == 429
        user = await as_browser(await create_user(db, "viewer"))
        for path in ("/services/shop/days", "/services/shop/response-times?step=900"):
            first = await api.http.get(path)
            assert first.status_code == 200 and first.headers["x-cache"] in ("HIT", "MISS")
            assert "x-cache" not in (await api.http.get(path, headers=user)).headers
    async with running_api(database, rate_limit_pages=once) as api:
        assert [(await api.http.get(f"/services/{name}/days")).status_code for name in ("a", "b")] == [404, 429]
    refused = ("step=1000", "from=yesterday", "from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z")
    async with running_api(database) as api:
        for query in refused:
            responses = [
                await api.http.get(f"{path}?{query}")
                for path in ("/services/shop/response-times", "/api/response-times/shop")
            ]
            assert [response.status_code for response in responses] == [400, 400], query


def test_data_for_scripts_is_cached_like_pages() -> None:
    """New checks invalidate the data after the delay of pages. The data are not cached for requests with a session."""
    assert {route.path for route in CACHEABLE if route.page and route.personal} == {
        "/services/",
        "/services/*/days",
        "/services/*/response-times",
    }


async def test_missing_data_is_shown_as_such(api: Api, db: Db) -> None:
    await add_service(db, "shop")
    page = await shown(api, "/services/shop")
    assert "24 hours – No data yet 7 days – No data yet" in part(page, "uptimes")
    assert "Not checked yet" in part(page, "head")
    assert "No checks in the last 24 hours." in part(page, "times")
    assert "No outages recorded." in part(page, "outages")
    await record(db, [Check("shop", now())])
    await until(
        lambda: _has_uptimes(api, "/services/shop", r"24 hours 100\.00% No downtime Since today 7 days .* Since today")
    )
    await record(db, [Check("shop", now() - timedelta(days=10))])
    await until(
        lambda: _has_uptimes(
            api, "/services/shop", r"7 days 100\.00% No downtime 0\.0\d% known 30 days .* Since \w+ \d+, 20"
        )
    )


async def _has_uptimes(api: Api, path: str, pattern: str) -> bool:
    return re.search(pattern, part(await shown(api, path), "uptimes")) is not None


@pytest.mark.one_engine
async def test_open_public_incidents_of_the_service_are_shown(api: Api, db: Db) -> None:
    await add_service(db, "shop")
    await add_service(db, "pay")
    reporter = await create_user(db, "reporter")
    await incidents.create(api, reporter, title="Shop <down>", affectedServices=["shop"])
    await incidents.create(api, reporter, title="Pay is slow", affectedServices=["pay"])
    internal = await incidents.create(api, reporter, title="Internal", affectedServices=["shop"], public=False)
    over = await incidents.create(api, reporter, title="It is over", affectedServices=["shop"])
    await incidents.add_update(api, reporter, over["id"], "resolved")
    page = await shown(api, "/services/shop")
    assert "Shop &lt;down&gt;" in page
    assert [title for title in ("Pay is slow", "Internal", "It is over") if title in page] == []
    assert f'href="/incidents/{internal["id"]}"' in await shown(api, "/services/shop", await create_user(db, "viewer"))


@pytest.mark.one_engine
async def test_texts_are_escaped_in_both_languages(api: Api, db: Db) -> None:
    hostile = "<script>alert(1)</script>\"'&"
    await add_service(db, "shop", name=hostile, description=hostile, group_name=hostile)
    for language, state in (("en", "Unknown"), ("ko", "확인 불가")):
        page = await shown(api, "/services/shop", language=language)
        assert f'<html lang="{language}"' in page
        assert "<script>alert" not in page
        # title, group, heading, description, and the descriptions for link previews
        assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;&#34;&#39;&amp;") == 7
        assert state in part(page, "head")


async def test_only_users_see_a_private_service(api: Api, db: Db) -> None:
    await add_service(db, "vault", name=SECRET, public=False)
    await record(db, [Check("vault", now() - timedelta(hours=1))])
    for path in ("/services/{}", "/services/{}?page=2", "/services/{}/days", "/services/{}/response-times"):
        for headers in (HTML, {}):
            private = await api.http.get(path.format("vault"), headers=headers)
            missing = await api.http.get(path.format("fault"), headers=headers)
            assert (private.status_code, missing.status_code) == (404, 404)
            assert timeless(private.text).replace("vault", "fault") == timeless(missing.text)
            varying = {"x-request-id", "content-length", "date"}
            assert set(private.headers.items()) - set(missing.headers.items()) <= {
                item for item in private.headers.items() if item[0] in varying
            }
    for role in ("viewer", "admin"):
        user = await create_user(db, role)
        page = await shown(api, "/services/vault", user)
        assert "Private: only logged-in users" in page
        assert "/badges/vault" not in page
        assert "/api/" not in page
        times = await api.get("/services/vault/response-times", headers=await as_browser(user))
        assert (times["count"], times["series"][0]["p50"]) == (1, 100.0)
        days = (await api.get("/services/vault/days", headers=await as_browser(user)))["days"]
        assert [len(days), sum(day["checks"] for day in days)] == [90, 1]
    gone = {"cookie": "sla_session=nonsense"}
    assert (await api.http.get("/services/vault", headers=HTML | gone)).status_code == 404


@pytest.mark.one_engine
async def test_code_for_badges_has_the_requested_host(api: Api, db: Db) -> None:
    await add_service(db, "shop")
    other = await api.http.get("/services/shop", headers=HTML | {"host": "status:80"})
    assert "http://status:80/badges/shop/status.svg" in other.text
    page = html.unescape(await shown(api, "/services/shop"))
    address = f"http://127.0.0.1:{api.settings.api_port}"
    for kind in ("status", "uptime", "response"):
        url = f"{address}/badges/shop/{kind}.svg"
        assert f"<code>{url}</code>" in page
        assert f"[![shop {kind}]({url})]({address}/services/shop)" in page
        assert f'<a href="{address}/services/shop"><img src="{url}" alt="shop {kind}"></a>' in page


async def test_the_public_page_is_cached_until_something_changes(api: Api, db: Db) -> None:
    await add_service(db, "shop")
    await until(lambda: _has_source(api, "HIT"))
    assert (
        "x-cache" not in (await api.http.get("/services/shop", headers=await as_browser(await create_user(db)))).headers
    )
    await record(db, [Check("shop", now())])
    assert "Operational" in part(await _fresh(api), "head")


async def _has_source(api: Api, source: str) -> bool:
    return (await api.http.get("/services/shop")).headers["x-cache"] == source


async def _fresh(api: Api) -> str:
    await until(lambda: _has_operational(api))
    return await shown(api, "/services/shop")


async def _has_operational(api: Api) -> bool:
    return "state operational" in (await api.http.get("/services/shop")).text
