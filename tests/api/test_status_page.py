"""The status page `/`: its content in both languages, escaping, and caching."""

import gzip
import re
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest

from api.pages.day_strips import strip
from api.pages.status import groups
from api.uptime.status import StatusRow
from sla_monitor.texts.languages import texts
from tests.api.conftest import Api, Check, add_service, create_user, now, record, until
from tests.api.incidents import add_update, create
from tests.api.visitors import BROWSER, html

pytestmark = pytest.mark.one_day

Db = psycopg.AsyncConnection[Any]
NONE, ALL = "0" * 90, "1" * 90
TODAY = date(2026, 11, 24)


def test_consecutive_days_of_one_status_are_one_rectangle() -> None:
    known, degraded, failed = "0" + "1" * 89, "0" * 88 + "11", "0" * 89 + "1"
    rendered = strip(texts("en", "UTC"), known, degraded, failed, "99.50", TODAY)
    assert rendered.paths == [
        ("nd", "M0 .24h1V1h-1z"),
        ("o", "M1 .24h87V1h-87z"),
        ("po", "M88 .12h1V1h-1z"),
        ("mo", "M89 0h1V1h-1z"),
    ]
    assert rendered.words == "99.50% uptime in 90 days: 1 day with an outage, 1 day degraded, data since Aug 28."


@pytest.mark.parametrize(
    ("known", "uptime", "words"),
    [
        (ALL, "100.00", "100.00% uptime in 90 days: no day with problems."),
        (NONE, "-", "90 days without data."),
        ("1" * 80 + "0" * 10, "100.00", "100.00% uptime in 90 days: no day with problems, 10 days without data."),
        ("0" * 89 + "1", "100.00", "100.00% uptime in 90 days: no day with problems, data since Nov 24."),
    ],
)
def test_a_strip_has_a_description(known: str, uptime: str, words: str) -> None:
    assert strip(texts("en", "UTC"), known, NONE, NONE, uptime, TODAY).words == words


@pytest.mark.parametrize(("services", "opened"), [(100, [True, True]), (101, [True, False])])
def test_with_more_than_100_services_only_groups_with_problems_are_open(services: int, opened: list[bool]) -> None:
    today = date(2026, 11, 24)
    rows = [
        StatusRow(
            str(n), str(n), "A" if n < 9 else "B", "outage" if n == 0 else "operational", None, "-", "", "", "", today
        )
        for n in range(services)
    ]
    shown = groups(texts("en", "UTC"), rows)
    assert [group.open for group in shown] == opened
    assert [(group.name, group.state) for group in shown] == [("A", "outage"), ("B", "operational")]
    assert shown[0].summary == "1 of 9 not operational"


@pytest.mark.parametrize(("services", "at_once"), [(100, [50, 50]), (101, [40, 0]), (120, [40, 0])])
def test_with_many_services_only_the_first_rows_of_open_groups_are_outside_of_noscript(
    services: int, at_once: list[int]
) -> None:
    rows = [
        StatusRow(str(n), str(n), "A" if n < 50 else "B", "outage", None, "-", "", "", "", date(2026, 11, 24))
        for n in range(services)
    ]
    shown = groups(texts("en", "UTC"), rows)
    assert all(group.open for group in shown)
    assert [group.at_once for group in shown] == at_once


@pytest.mark.one_engine
async def test_each_row_is_in_the_page_once_inside_or_outside_of_noscript(api: Api, db: Db) -> None:
    async with db.transaction():
        for n in range(101):
            await add_service(db, f"node-{n:03}", name=f"Node {n:03}", group_name=f"Rack {n // 50}")
    await record(db, [Check(f"node-{n:03}", now() - timedelta(seconds=1), ms=None) for n in range(60)])
    page = await html(api)
    folded = re.findall("<noscript><ul.*?</noscript>", page, re.DOTALL)
    assert [len(re.findall("data-service=", part)) for part in folded] == [10, 50, 1]
    assert len(re.findall("data-service=", page)) == len(set(re.findall('data-service="(.*?)"', page))) == 101


async def test_services_are_grouped_with_state_uptime_and_days(api: Api, db: Db) -> None:
    await add_service(db, "shop", name="Shop", group_name="Sales")
    await add_service(db, "pay", name="Pay", group_name="Sales")
    await add_service(db, "mail", name="Mail")
    await add_service(db, "new", name="New")
    at = now() - timedelta(seconds=1)
    await record(db, [Check("shop", at), Check("pay", at, ms=None), Check("mail", at)])
    page = await html(api)
    [today] = set(re.findall(r'data-today="(.*?)"', page))
    place = 89 - (date.fromisoformat(today) - at.date()).days  # a new day may have begun
    assert "Some services are down" in page and "1 of 4 services is not operational." in page
    assert page.index('data-service="mail"') < page.index("Sales") < page.index('data-service="pay"')
    assert '<a href="/services/pay">Pay</a><span class="state outage">Outage</span>' in page
    assert '<span class="uptime">0.00%</span>' in page and '<span class="uptime">No data</span>' in page
    assert f'<path class="mo" d="M{place} 0h1V1h-1z"/>' in page
    assert f"0.00% uptime in 90 days: 1 day with an outage, data since {at:%b} {at.day}." in page
    assert f'datetime="{at:%Y-%m-%dT%H:%M:%SZ}"' in page


@pytest.mark.one_engine
async def test_an_empty_installation_links_to_the_form_for_services(api: Api) -> None:
    page = await html(api)
    assert "No services yet" in page and 'href="/console/services"' in page
    assert "data-service" not in page


async def test_the_page_is_available_in_both_languages(api: Api, db: Db) -> None:
    await add_service(db, "shop")
    await record(db, [Check("shop", now() - timedelta(seconds=1), ms=None)])
    page = await html(api, "ko")
    assert '<html lang="ko"' in page
    assert "일부 서비스에 장애가 발생했습니다" in page and "서비스 1개 중 1개가 정상이 아닙니다." in page
    assert "Some services are down" in await html(api, "en")


@pytest.mark.one_engine
async def test_public_incidents_and_maintenance_are_shown(api: Api, db: Db) -> None:
    await add_service(db, "shop", name="Shop")
    await add_service(db, "vault", name="Vault", public=False)
    reporter = await create_user(db, "reporter")
    running = await create(api, reporter, title="Running", affectedServices=["shop", "vault"])
    await add_update(api, reporter, running["id"], "identified", "It is the **cable**.")
    solved = await create(api, reporter, title="Solved")
    await add_update(api, reporter, solved["id"], "resolved", "Done.")
    await create(api, reporter, title="Internal", public=False)
    tomorrow, today = datetime.now(UTC) + timedelta(days=1), datetime.now(UTC) - timedelta(minutes=1)
    windows = (("New disks", True, tomorrow), ("Secret disks", False, tomorrow), ("New cables", True, today))
    for title, public, begins in windows:
        planned = {
            "title": title,
            "public": public,
            "affectedServices": ["shop", "vault"],
            "startsAt": begins.isoformat(),
            "endsAt": (begins + timedelta(hours=1)).isoformat(),
        }
        response = await api.http.post("/api/maintenance", json=planned, headers=reporter.headers)
        assert response.status_code == 201, response.text

    page = await until_html(api, "Done.")
    above, past = page.split('<section id="past"')
    above_services, below = above.split('<section id="services"')
    assert "<h3>New cables</h3>" in above_services and "<h3>New disks</h3>" in below
    assert '<a href="#upcoming">New disks</a>' in above_services
    assert f'<a href="/incidents/{running["id"]}">Running</a>' in above
    assert "It is the <strong>cable</strong>." in above and "Solved" not in above
    assert "New disks" in above and '<a href="/services/shop">Shop</a>' in above
    assert "Solved" in past and "Done." in past and "No incidents on the other days." in past
    assert "cable" not in past
    for hidden in ("vault", "Vault", "Internal", "Secret disks", reporter.username):
        assert hidden not in page, hidden


@pytest.mark.one_engine
async def test_texts_are_escaped(api: Api, db: Db) -> None:
    evil = "<script>alert(1)</script>"
    await add_service(db, "shop", name=evil, group_name=evil)
    reporter = await create_user(db, "reporter")
    incident = await create(api, reporter, title=evil, affectedServices=["shop"])
    await add_update(
        api,
        reporter,
        incident["id"],
        "identified",
        f"{evil} [x](javascript:alert(2)) [y](https://y.example/) ![z](http://z)",
    )
    page = await until_html(api, "y.example")
    assert "<script>alert" not in page and "&lt;script&gt;alert(1)" in page
    assert 'href="javascript' not in page and "<img" not in page.split("<main")[1]
    assert '<a href="https://y.example/" rel="nofollow noopener noreferrer">y</a>' in page


async def test_a_private_service_is_not_on_the_page(api: Api, db: Db) -> None:
    await add_service(db, "shop")
    await add_service(db, "vault", name="Treasure", group_name="Cellar", public=False)
    await record(db, [Check("vault", now() - timedelta(seconds=1), ms=None)])
    page = await html(api)
    assert not [hidden for hidden in ("vault", "Treasure", "Cellar") if hidden in page]
    assert "The status of 1 is unknown." in page  # the shop; the vault is not counted


async def test_the_page_is_cached_until_something_changes(api: Api, db: Db) -> None:
    await add_service(db, "shop", name="Shop")
    await record(db, [Check("shop", now() - timedelta(minutes=2))])
    await until_html(api, "state operational")
    await until(lambda: _is_hit(api))
    # A check without a change of state invalidates the page after a delay, an event at once.
    await record(db, [Check("shop", now() - timedelta(minutes=1))])
    assert await _is_hit(api)
    await record(db, [Check("shop", now() - timedelta(seconds=1), ms=None)])
    await until_html(api, "state outage")
    await db.execute("UPDATE services SET public = false")
    await until_html(api, "No services yet")


@pytest.mark.one_engine
async def test_other_paths_are_not_cached(api: Api) -> None:
    await html(api)
    for path in ("/ready", "/metrics", "/console"):
        response = await api.http.get(path, headers=BROWSER)
        assert "x-cache" not in response.headers, path


@pytest.mark.one_engine
async def test_the_page_is_compressed_to_less_than_10_kb(api: Api, db: Db) -> None:
    for n in range(50):
        await add_service(db, f"service-{n}", group_name=f"Group {n // 10}")
    async with api.http.stream("GET", "/", headers=BROWSER | {"Accept-Encoding": "gzip"}) as response:
        packed = b"".join([part async for part in response.aiter_raw()])
    assert response.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed).count(b"data-service=") == 50
    assert len(packed) < 10_000


@pytest.mark.one_engine
async def test_only_long_lists_have_a_filter(api: Api, db: Db) -> None:
    for n in range(15):
        await add_service(db, f"service-{n}")
    assert 'id="filter"' not in await html(api)
    await add_service(db, "one-more")
    await until_html(api, 'id="filter"')


@pytest.mark.one_engine
async def test_without_scripts_the_page_reloads_itself(api: Api) -> None:
    assert '<noscript><meta http-equiv="refresh" content="60"></noscript>' in await html(api)


async def _is_hit(api: Api) -> bool:
    response = await api.http.get("/", headers=BROWSER)
    return response.headers["x-cache"] == "HIT"


async def until_html(api: Api, text: str) -> str:
    """Returns the page when it contains `text`. Waits for the response cache, which is invalidated by an event."""
    page = [""]

    async def has_text() -> bool:
        page[0] = await html(api)
        return text in page[0]

    await until(has_text)
    return page[0]
