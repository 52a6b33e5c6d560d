"""Incidents by day of the reporting time zone: GET /api/incidents/past, the counts of the calendar, and the view
incident_history."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.api.conftest import Api, User, add_service, midday
from tests.api.incidents import Db, add_update, create, error_fields, import_incidents
from tests.sql.batches import set_clock

pytestmark = pytest.mark.one_quarter


async def create_at(api: Api, db: Db, user: User, at: datetime, **columns: Any) -> str:
    """Creates an incident that began at this time and returns its id."""
    incident_id: str = (await create(api, user, **columns))["id"]
    await db.execute("UPDATE incidents SET created_at = %s WHERE id = %s", [at, incident_id])
    return incident_id


@pytest.mark.one_engine
async def test_every_day_is_listed_newest_first(api: Api, db: Db, reporter: User) -> None:
    today = datetime.now(await midday(db)).date()
    response = await api.get("/api/incidents/past")
    assert [day["date"] for day in response["days"]] == [(today - timedelta(days=n)).isoformat() for n in range(10)]
    assert response["pagination"] == {"page": 1, "limit": 10, "total": 30, "totalPages": 3}
    listed = [
        day["date"]
        for page in (1, 2, 3)
        for day in (await api.get(f"/api/incidents/past?days=8&page={page}&limit=3"))["days"]
    ]
    assert listed == [(today - timedelta(days=n)).isoformat() for n in range(8)]
    beyond = await api.get("/api/incidents/past?days=8&page=4&limit=3")
    assert (beyond["days"], beyond["pagination"]["totalPages"]) == ([], 3)


@pytest.mark.one_engine
@pytest.mark.parametrize("zone", ["UTC", "Asia/Kathmandu", "America/Santiago"])
async def test_an_incident_is_listed_on_the_local_day_it_began(api: Api, db: Db, reporter: User, zone: str) -> None:
    await db.execute("UPDATE installation SET time_zone = %s", [zone])
    local = ZoneInfo(zone)
    day = datetime.now(local).date() - timedelta(days=3)
    midnight = datetime.combine(day, time(), local)
    before = await create_at(api, db, reporter, midnight - timedelta(seconds=1))
    first = await create_at(api, db, reporter, midnight)
    second = await create_at(api, db, reporter, datetime.combine(day, time(23, 59, 59), local))
    await add_update(api, reporter, first, "resolved")
    days = (await api.get("/api/incidents/past?days=9"))["days"]
    found = {shown["date"]: [incident["id"] for incident in shown["incidents"]] for shown in days if shown["incidents"]}
    assert found == {day.isoformat(): [second, first], (day - timedelta(days=1)).isoformat(): [before]}


@pytest.mark.one_engine
async def test_a_day_begins_at_the_first_of_two_midnights(api: Api, db: Db, reporter: User) -> None:
    """In Havana clocks went back from 01:00 to 00:00 on 2026-11-01, so midnight came at 04:00 and at 05:00 UTC."""
    await db.execute("UPDATE installation SET time_zone = 'America/Havana'")
    await set_clock(db, datetime(2026, 11, 3, 12, tzinfo=UTC))
    between = await create_at(api, db, reporter, datetime(2026, 11, 1, 4, 30, tzinfo=UTC))
    before = await create_at(api, db, reporter, datetime(2026, 11, 1, 3, 59, tzinfo=UTC))
    days = (await api.get("/api/incidents/past?days=5"))["days"]
    found = {shown["date"]: [incident["id"] for incident in shown["incidents"]] for shown in days if shown["incidents"]}
    assert found == {"2026-11-01": [between], "2026-10-31": [before]}
    listed = (await api.get("/api/incidents?status=all&from=2026-11-01"))["incidents"]
    assert [incident["id"] for incident in listed] == [between]
    listed = (await api.get("/api/incidents?status=all&to=2026-10-31"))["incidents"]
    assert [incident["id"] for incident in listed] == [before]
    history = await (await db.execute("SELECT day FROM incident_history ORDER BY created_at")).fetchall()
    assert history == [(date(2026, 10, 31),), (date(2026, 11, 1),)]


@pytest.mark.one_engine
async def test_a_cut_off_response_is_marked_as_truncated(api: Api, db: Db) -> None:
    await import_incidents(db, 1001)
    await db.execute("UPDATE incidents SET created_at = now()")
    response = await api.get("/api/incidents/past")
    assert (len(response["days"][0]["incidents"]), response["truncated"]) == (1000, True)
    await db.execute("DELETE FROM incidents WHERE id = 'INC-2020-100001'")
    response = await api.get("/api/incidents/past?limit=1")
    assert (len(response["days"][0]["incidents"]), response["truncated"]) == (1000, False)


@pytest.mark.one_engine
async def test_an_invalid_window_is_refused_by_name(api: Api) -> None:
    for name, value in ("days", "0"), ("days", "3661"), ("page", "0"), ("limit", "101"), ("days", "x"):
        assert error_fields(await api.http.get(f"/api/incidents/past?{name}={value}")) == [name]


async def counts(api: Api, service: str, since: date) -> list[int]:
    months = (await api.get(f"/api/uptime/{service}?months=2"))["months"]
    details = [day for month in months for day in month["details"]]
    return [day["incidents"] for day in details if day["date"] >= since.isoformat()]


async def test_the_calendar_counts_the_incidents_open_on_a_day(api: Api, db: Db, reporter: User) -> None:
    for service in ("shop", "search"):
        await add_service(db, service)
    noon = datetime.now(await midday(db)).replace(minute=0) - timedelta(days=4)
    over = await create_at(api, db, reporter, noon, affectedServices=["shop"])
    await db.execute(
        "UPDATE incidents SET status = 'resolved', resolved_at = %s WHERE id = %s", [noon + timedelta(days=1), over]
    )
    await create_at(api, db, reporter, noon + timedelta(days=2), affectedServices=["shop", "search"])
    await create_at(api, db, reporter, noon, affectedServices=["shop"], public=False)
    await create_at(api, db, reporter, noon + timedelta(days=3))
    assert await counts(api, "shop", noon.date()) == [1, 1, 1, 1, 1]
    assert await counts(api, "search", noon.date()) == [0, 0, 1, 1, 1]
    assert await counts(api, "all-systems", noon.date()) == [1, 1, 1, 2, 2]


@pytest.mark.parametrize("zone", ["UTC", "America/Havana"])
async def test_the_calendar_counts_days_from_local_midnight_to_midnight(
    api: Api, db: Db, reporter: User, zone: str
) -> None:
    """An incident resolved at midnight does not count for the new day. One that began at midnight counts, also if it
    was resolved at once."""
    await db.execute("UPDATE installation SET time_zone = %s", [zone])
    today = datetime.now(ZoneInfo(zone)).date()
    midnights = [datetime.combine(today - timedelta(days=n), time(), ZoneInfo(zone)) for n in range(5)]
    for begun, resolved in ((midnights[4], midnights[2]), (midnights[3], midnights[3]), (midnights[1], midnights[1])):
        incident_id = await create_at(api, db, reporter, begun)
        await db.execute(
            "UPDATE incidents SET status = 'resolved', resolved_at = %s WHERE id = %s", [resolved, incident_id]
        )
    open_for_years = await create_at(api, db, reporter, midnights[4] - timedelta(days=1000))
    assert await counts(api, "all-systems", today - timedelta(days=4)) == [2, 3, 1, 2, 1]
    await db.execute("DELETE FROM incidents WHERE id = %s", [open_for_years])


async def test_incident_history_has_the_day_and_the_duration(api: Api, db: Db, reporter: User) -> None:
    await add_service(db, "shop")
    begun = datetime(2026, 3, 1, 23, 30, tzinfo=UTC)
    incident_id = await create_at(api, db, reporter, begun, affectedServices=["shop"])
    await add_update(api, reporter, incident_id, "identified")
    await add_update(api, reporter, incident_id, "resolved")
    await db.execute("UPDATE incidents SET resolved_at = %s", [begun + timedelta(minutes=5)])
    await db.execute("UPDATE installation SET time_zone = 'Asia/Seoul'")
    cursor = await db.execute(
        "SELECT incident_id, day, status, open_seconds::int, updates, affected_services, identified_at IS NOT NULL "
        "FROM incident_history"
    )
    assert await cursor.fetchall() == [(incident_id, date(2026, 3, 2), "resolved", 300, 2, ["shop"], True)]
