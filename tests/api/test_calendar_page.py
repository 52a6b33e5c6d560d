"""/uptime without JavaScript: the figures of the API, and pages of earlier and later months."""

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest

from api.pages.calendar import MonthGrid, Paging, first_month, grids, months_later, paging
from api.rest.errors import ApiError
from api.uptime.calendar import DayRow
from tests.api.conftest import Api, Check, add_service, now, record, until_events_processed
from tests.api.page_parts import timeless

pytestmark = pytest.mark.one_day

Db = psycopg.AsyncConnection[Any]
TODAY = date(2026, 11, 24)
CELL = re.compile(
    r'<td class="day (?P<status>\w+)" id="[^"]+" tabindex="-1" data-date="(?P<date>[^"]+)" data-status="(?P=status)" '
    r'data-uptime="(?P<uptime>[^"]+)" data-downtime="(?P<downtimeSeconds>\d+)" data-checks="(?P<checks>\d+)" '
    r'data-incidents="(?P<incidents>\d+)"'
)


def test_months_are_whole_weeks_that_begin_on_sunday() -> None:
    october = date(2026, 10, 1)  # a Thursday
    days = [DayRow(october, october + timedelta(days=n), "o", "100.00", 1, 0, 0) for n in range(31)]
    [month] = grids([DayRow(october, None, "o", "99.90", 31, 0, 0), *days])
    assert month == MonthGrid(october, "99.90", month.weeks)
    assert [len(week) for week in month.weeks] == [7] * 5
    assert month.weeks[0] == [None] * 4 + days[:3]
    assert month.weeks[-1] == days[24:]


@pytest.mark.parametrize(
    ("month", "count", "other"),
    [
        (date(2026, 11, 1), 2, date(2027, 1, 1)),
        (date(2026, 1, 31), -1, date(2025, 12, 1)),
        (date(2026, 12, 1), -60, date(2021, 12, 1)),
    ],
)
def test_adding_months_crosses_years(month: date, count: int, other: date) -> None:
    assert months_later(month, count) == other


@pytest.mark.parametrize(
    ("start", "first"),
    [
        ("", date(2026, 9, 1)),
        ("2026-02", date(2026, 2, 1)),
        ("2026-11", date(2026, 9, 1)),  # there are no pages of the future
        ("9999-12", date(2026, 9, 1)),
        ("2001-01", date(2021, 11, 1)),  # five years can be shown
        ("0001-01", date(2021, 11, 1)),
    ],
)
def test_a_start_outside_the_range_becomes_the_nearest_month(start: str, first: date) -> None:
    assert first_month(start, TODAY) == first


@pytest.mark.parametrize(
    "start", ["2026", "2026-13", "2026-00", "0000-01", "2026-1", "26-11-1", "today", "２０２６-01"]
)
def test_an_invalid_month_is_an_error(start: str) -> None:
    with pytest.raises(ApiError, match="start: must be a month such as"):
        first_month(start, TODAY)


def test_the_pages_cover_the_whole_range() -> None:
    assert paging(date(2026, 9, 1), TODAY) == Paging("2026-09", "2026-06", None)
    assert paging(date(2026, 8, 1), TODAY) == Paging("2026-08", "2026-05", "2026-09")
    assert paging(date(2022, 1, 1), TODAY) == Paging("2022-01", "2021-11", "2022-04")
    assert paging(date(2021, 11, 1), TODAY) == Paging("2021-11", None, "2022-02")


@pytest.mark.parametrize("service", ["all-systems", "shop"])
async def test_the_calendar_shows_the_figures_of_the_api(api: Api, db: Db, service: str) -> None:
    await add_service(db, "shop")
    await add_service(db, "pay")
    await add_service(db, "hidden", public=False)
    at = now() - timedelta(days=1)
    checks = [Check("shop", at - timedelta(minutes=n), ms=None if n == 2 else 90.0) for n in range(10)]
    await record(db, [*checks, Check("pay", at, slow=True), Check("hidden", at, ms=None)])
    calendar = await api.get(f"/api/uptime/{service}?months=3")
    page = (await api.http.get(f"/uptime?service={service}")).text
    shown = [found.groupdict() for found in CELL.finditer(page)]
    days = [day for month in calendar["months"] for day in month["details"]]
    assert shown == [{name: str(value) for name, value in day.items()} for day in days]
    assert [month["uptime"] for month in calendar["months"]] == [
        uptime.replace("%", "").replace("No data", "-") for uptime in re.findall(r"</span>([\d.]+%|No data)</p>", page)
    ]
    assert page.count('aria-current="date"') == 1
    assert "hidden" not in re.sub(r'aria-hidden|type="hidden"|\bhidden>', "", page)


async def test_a_day_has_a_description_for_screen_readers(api: Api, db: Db) -> None:
    await add_service(db, "shop")
    at = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(hours=12)
    await record(db, [Check("shop", at + timedelta(minutes=n), ms=None if n == 0 else 9.0) for n in range(4)])
    words = {
        "en": ": Outage, Downtime 1 min, Uptime 75.00%, 4 checks</span>",
        "ko": ": 장애, 중단 시간 1분, 가동률 75.00%, 확인 4회</span>",
    }
    for language, description in words.items():
        response = await api.http.get("/uptime?service=shop", headers={"accept-language": language})
        assert description in response.text
        assert f'<html lang="{language}"' in response.text


@pytest.mark.one_engine
async def test_names_of_services_are_escaped(api: Api, db: Db) -> None:
    await add_service(db, "shop", name="<script>alert(1)</script>\"'&")
    page = (await api.http.get("/uptime?service=shop")).text
    assert "<script>alert" not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;&#34;&#39;&amp;") >= 3


@pytest.mark.one_engine
async def test_a_private_service_is_not_found(api: Api, db: Db) -> None:
    await add_service(db, "shop", public=False)
    html = {"accept": "text/html"}
    private = await api.http.get("/uptime?service=shop", headers=html)
    missing = await api.http.get("/uptime?service=ship", headers=html)
    assert (private.status_code, missing.status_code) == (404, 404)
    assert timeless(private.text).replace("shop", "ship") == timeless(missing.text)
    assert (await api.http.get("/uptime?start=yesterday", headers=html)).status_code == 400


@pytest.mark.one_engine
async def test_links_lead_to_earlier_and_later_months(api: Api, db: Db) -> None:
    await add_service(db, "shop")
    page = (await api.http.get("/uptime?service=shop")).text
    [earlier] = re.findall(r'rel="prev"[^>]* href="([^"]+)"', page)
    assert 'rel="next"' not in page
    page = (await api.http.get(earlier.replace("&amp;", "&"))).text
    assert 'rel="next"' in page
    assert '<option value="shop" selected>' in page
    assert '<input type="hidden" name="start"' in page  # the links to other services keep the months


@pytest.mark.one_engine
async def test_the_page_is_cached_until_something_changes(api: Api, db: Db) -> None:
    await add_service(db, "shop")
    await until_events_processed(api, db)
    await api.http.get("/uptime")
    assert (await api.http.get("/uptime")).headers["x-cache"] == "HIT"
    assert (await api.http.get("/uptime?nonsense=1")).headers["x-cache"] == "HIT"
    assert (await api.http.get("/uptime", headers={"accept-language": "ko"})).headers["x-cache"] == "MISS"
