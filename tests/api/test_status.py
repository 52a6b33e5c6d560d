"""The public status over REST: services, their states, the last 90 days, and the calendar."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest

from api.uptime.calendar import DayRow, calendar
from api.uptime.status import ServiceState, day_statuses, overall
from tests.api.conftest import Api, Check, add_service, now, record

pytestmark = pytest.mark.one_day

Db = psycopg.AsyncConnection[Any]


@pytest.mark.parametrize(
    ("states", "worst"),
    [
        ([], "operational"),
        (["operational", "operational"], "operational"),
        (["operational", "degraded"], "degraded"),
        (["degraded", "outage", "unknown"], "outage"),
        (["operational", "unknown"], "operational"),
        (["unknown", "unknown"], "degraded"),
        (["maintenance"], "operational"),
        (["maintenance", "outage"], "outage"),
        (["maintenance", "unknown"], "degraded"),
    ],
)
def test_the_overall_status_is_the_worst_known_state(states: list[ServiceState], worst: str) -> None:
    assert overall(states) == worst


def test_each_day_has_its_worst_status() -> None:
    assert day_statuses(known="1110", degraded="0110", failed="0010") == ["o", "po", "mo", "nd"]


def test_a_month_is_padded_to_whole_weeks_that_begin_on_sunday() -> None:
    # 1 November 2026 is a Sunday and the month has 30 days: nothing before, five cells after.
    november = date(2026, 11, 1)
    rows = [DayRow(november, None, "o", "100.00", 30, 0, 0)]
    rows += [DayRow(november, november + timedelta(days=n), "o", "100.00", 1, 0, 0) for n in range(30)]
    # 1 October 2026 is a Thursday: four cells before.
    october = date(2026, 10, 1)
    rows += [DayRow(october, None, "nd", "-", 0, 0, 0), DayRow(october, october, "nd", "-", 0, 0, 0)]
    first, second = calendar(rows)
    assert (first.name, len(first.days), first.days[:2], first.days[-5:]) == (
        "November 2026",
        35,
        ["o", "o"],
        ["e"] * 5,
    )
    assert second.days == ["e"] * 4 + ["nd", "e", "e"]


async def test_an_empty_installation_has_no_services(api: Api) -> None:
    status = await api.get("/api/system-status")
    assert status["overallStatus"] == "operational"
    assert status["services"] == []
    assert datetime.fromisoformat(status["lastUpdated"]) <= datetime.now(UTC)
    assert await api.get("/api/services") == {"services": [{"id": "all-systems", "name": "All Systems"}]}


async def test_the_status_of_services_under_both_paths(api: Api, db: Db) -> None:
    await add_service(db, "shop", name="Shop")
    await add_service(db, "pay", name="Pay")
    await add_service(db, "hidden", public=False)
    at = now() - timedelta(seconds=1)  # today, unless the test runs within three seconds of midnight
    checks = [Check("shop", at), Check("pay", at - timedelta(seconds=1), ms=None), Check("hidden", at, ms=None)]
    await record(db, checks)

    response = await api.http.get("/api/system-status", headers={"cache-control": "no-cache"})
    status = response.json()
    assert list(status) == ["overallStatus", "lastUpdated", "services", "maintenance"]
    assert status["overallStatus"] == "outage"
    assert status["lastUpdated"] == at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    pay, shop = status["services"]
    assert list(shop) == ["id", "name", "status", "uptime", "uptimeData"]
    assert (pay["id"], pay["status"], pay["uptime"], pay["uptimeData"][-1]) == ("pay", "outage", "0.00", "mo")
    assert (shop["status"], shop["uptime"], shop["uptimeData"]) == ("operational", "100.00", ["nd"] * 89 + ["o"])
    assert (await api.get("/api/system/status")) == status
    names = [{"id": "pay", "name": "Pay"}, {"id": "shop", "name": "Shop"}]
    assert (await api.get("/api/services"))["services"][1:] == names
    assert (await api.get("/api/system/services"))["services"][1:] == names
    assert "hidden" not in response.text


async def test_a_service_that_is_paused_or_was_never_checked_is_unknown(api: Api, db: Db) -> None:
    await add_service(db, "new")
    await add_service(db, "paused")
    await record(db, [Check("paused", now())])
    await db.execute("UPDATE services SET enabled = false WHERE id = 'paused'")
    status = await api.get("/api/system-status")
    assert [(service["id"], service["status"]) for service in status["services"]] == [
        ("new", "unknown"),
        ("paused", "unknown"),
    ]
    assert status["overallStatus"] == "degraded"
    assert status["services"][0]["uptime"] == "-"


async def test_the_calendar_counts_days_of_the_reporting_time_zone(api: Api, db: Db) -> None:
    await add_service(db, "shop")
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    noon = today - timedelta(hours=12)
    minutes = [noon + timedelta(minutes=n) for n in range(10)]
    await record(db, [Check("shop", at, ms=None if n in (4, 5) else 90.0) for n, at in enumerate(minutes)])

    response = await api.get("/api/uptime/shop?months=2")
    assert response["service"] == {"id": "shop", "name": "Shop"}
    assert len(response["months"]) == 2
    details = {day["date"]: day for month in response["months"] for day in month["details"]}
    yesterday = details[noon.date().isoformat()]
    assert yesterday == {
        "date": noon.date().isoformat(),
        "status": "mo",
        "uptime": "80.00",
        "checks": 10,
        "downtimeSeconds": 120,
        "incidents": 0,
    }
    assert max(details) == datetime.now(UTC).date().isoformat()
    for month in response["months"]:
        assert len(month["days"]) % 7 == 0
        assert set(month["days"]) <= {"o", "po", "mo", "nd", "e"}
    assert sum(day != "e" for month in response["months"] for day in month["days"]) == len(details)


async def test_all_systems_has_the_status_of_the_worst_public_service(api: Api, db: Db) -> None:
    for service in ("good", "bad"):
        await add_service(db, service)
    await add_service(db, "private", public=False)
    at = now() - timedelta(seconds=1)
    await record(db, [Check("good", at), Check("bad", at, slow=True), Check("private", at, ms=None)])
    response = await api.get("/api/uptime/all-systems?months=1")
    assert response["service"] == {"id": "all-systems", "name": "All Systems"}
    with_checks = [day for day in response["months"][0]["details"] if day["checks"]]
    assert [(day["status"], day["checks"], day["incidents"]) for day in with_checks] == [("po", 2, 0)]


async def test_start_date_sets_the_first_month(api: Api, db: Db) -> None:
    await add_service(db, "shop")
    response = await api.get("/api/uptime/shop?months=3&startDate=2024-02-17")
    assert [month["name"] for month in response["months"]] == ["February 2024", "March 2024", "April 2024"]
    assert len(response["months"][0]["details"]) == 29
    future = await api.get("/api/uptime/shop?months=1&startDate=2099-05-01")
    assert set(future["months"][0]["days"]) == {"e"}
    assert (future["months"][0]["details"], future["months"][0]["uptime"]) == ([], "-")


async def test_a_private_service_looks_like_a_missing_one(api: Api, db: Db) -> None:
    await add_service(db, "private", public=False)
    for path in ("/api/uptime/{}", "/api/response-times/{}"):
        private = await api.http.get(path.format("private"))
        unknown = await api.http.get(path.format("no-such-one"))
        assert private.status_code == unknown.status_code == 404
        assert private.content == unknown.content
