"""Maintenance windows over REST: valid and invalid fields, recurrence, and concurrent saves."""

import uuid
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest

from tests.api.conftest import Api, add_service, create_user, now
from tests.api.windows import DAY, HOUR, body, create_window, iso

pytestmark = pytest.mark.one_engine

Db = psycopg.AsyncConnection[Any]


async def test_a_window_is_created_read_moved_and_cancelled(api: Api, db: Db) -> None:
    await add_service(db, "shop")
    reporter = await create_user(db, "reporter")
    starts = now() + DAY
    planned = body(starts, description="Old ones are full")
    response = await api.http.post("/api/maintenance", json=planned, headers=reporter.headers)
    created = response.json()["maintenance"]
    assert {name: created[name] for name in planned} == planned
    assert (created["rrule"], created["timeZone"], created["public"], created["status"]) == (
        None,
        "UTC",
        True,
        "scheduled",
    )
    assert created["occurrences"] == [{"startsAt": iso(starts), "endsAt": iso(starts + 2 * HOUR)}]
    assert (created["createdBy"], created["version"]) == (reporter.username, 1)

    path = response.headers["location"]
    assert path == f"/api/maintenance/{created['id']}"
    public = created | {"createdBy": None}  # anonymous clients do not see names of users
    assert (await api.get(path))["maintenance"] == public
    assert (await api.get("/api/maintenance"))["maintenance"] == [public]

    later = iso(starts + DAY)
    response = await api.http.put(
        path, json={"startsAt": later, "endsAt": iso(starts + DAY + HOUR)}, headers=reporter.headers
    )
    moved = response.json()["maintenance"]
    assert moved["createdBy"] == reporter.username
    assert moved["occurrences"] == [{"startsAt": later, "endsAt": iso(starts + DAY + HOUR)}]
    assert (moved["title"], moved["version"]) == ("New disks", 2)

    assert (await api.http.delete(path, headers=reporter.headers)).status_code == 204
    assert (await api.http.get(path)).status_code == 404
    assert (await api.get("/api/maintenance"))["maintenance"] == []
    cursor = await db.execute("SELECT action FROM audit_entries WHERE object_type = 'maintenance' ORDER BY id")
    assert [action for (action,) in await cursor.fetchall()] == ["create", "update", "delete"]
    assert await (await db.execute("SELECT FROM maintenance_windows")).fetchall() == []


async def test_the_version_for_anonymous_clients_counts_public_changes_only(api: Api, db: Db) -> None:
    """A change of the private services of a window changes neither version nor time for anonymous clients, and sends
    them no event."""
    await add_service(db, "shop")
    await add_service(db, "ledger", public=False)
    reporter = await create_user(db, "reporter")
    created = await create_window(api, reporter, body(now() + DAY))
    path = f"/api/maintenance/{created['id']}"
    before = await api.http.get(path)

    response = await api.http.put(path, json={"affectedServices": ["ledger", "shop"]}, headers=reporter.headers)
    assert (response.json()["maintenance"]["affectedServices"], response.json()["maintenance"]["version"]) == (
        ["ledger", "shop"],
        2,
    )
    after = await api.http.get(path)
    assert (after.json(), after.headers["etag"]) == (before.json(), before.headers["etag"])
    assert (await api.get("/api/maintenance"))["maintenance"] == [before.json()["maintenance"]]
    rooms = "SELECT room FROM events WHERE event = 'maintenance-updated' ORDER BY seq"
    assert await (await db.execute(rooms)).fetchall() == [(None,), ("staff",)]

    await api.http.put(path, json={"title": "New racks"}, headers=reporter.headers)
    shown = (await api.get(path))["maintenance"]
    assert (shown["title"], shown["version"]) == ("New racks", 2)
    assert shown["updatedAt"] > created["updatedAt"]
    assert await (await db.execute(rooms)).fetchall() == [(None,), ("staff",), (None,)]


async def test_a_recurring_window_follows_the_local_time_of_its_zone(api: Api, db: Db) -> None:
    await add_service(db, "shop")
    reporter = await create_user(db, "reporter")
    berlin = ZoneInfo("Europe/Berlin")
    sunday = datetime.now(berlin).replace(hour=2, minute=0, second=0, microsecond=0)
    sunday += timedelta(days=6 - sunday.weekday() + 7)
    created = await create_window(api, reporter, body(sunday, rrule="FREQ=WEEKLY;BYDAY=SU", timeZone="Europe/Berlin"))
    period = f"from={iso(sunday - DAY)}&to={iso(sunday + 399 * DAY)}"
    [listed] = (await api.get(f"/api/maintenance?{period}"))["maintenance"]
    window = (await api.get(f"/api/maintenance/{created['id']}?{period}"))["maintenance"]
    assert listed["occurrences"] == window["occurrences"][:50]
    starts = [datetime.fromisoformat(one["startsAt"]) for one in window["occurrences"]]
    assert len(starts) == 57
    assert {(at.astimezone(berlin).weekday(), at.astimezone(berlin).hour) for at in starts} <= {(6, 2), (6, 3)}
    assert len({at.hour for at in starts}) == 2  # summer and winter time
    assert created["rrule"] == "FREQ=WEEKLY;BYDAY=SU"


async def test_a_rule_is_stored_without_prefix_spaces_and_time_of_day(api: Api, db: Db) -> None:
    """BYHOUR and BYMINUTE must be the local time of the start of the window, and are not stored."""
    await add_service(db, "shop")
    reporter = await create_user(db, "reporter")
    seoul = ZoneInfo("Asia/Seoul")
    starts = (datetime.now(seoul) + 2 * DAY).replace(hour=4, minute=30, second=0, microsecond=0)
    pasted = "RRULE:FREQ=DAILY; INTERVAL=2; BYHOUR=4; BYMINUTE=30;"
    created = await create_window(api, reporter, body(starts, rrule=pasted, timeZone="Asia/Seoul"))
    assert created["rrule"] == "FREQ=DAILY;INTERVAL=2"
    path = f"/api/maintenance/{created['id']}"
    later = {"startsAt": iso(starts + HOUR), "endsAt": iso(starts + 2 * HOUR)}
    assert (await api.http.put(path, json=later, headers=reporter.headers)).status_code == 200
    response = await api.http.put(path, json={"rrule": "RRULE:FREQ=DAILY;BYHOUR=5"}, headers=reporter.headers)
    assert response.json()["maintenance"]["rrule"] == "FREQ=DAILY"
    response = await api.http.put(path, json={"rrule": "FREQ=DAILY;BYHOUR=4"}, headers=reporter.headers)
    assert response.status_code == 400
    [problem] = response.json()["details"]
    assert (problem["field"], "BYHOUR=5," in problem["message"]) == ("rrule", True)


async def test_any_utc_offset_is_accepted(api: Api, db: Db) -> None:
    await add_service(db, "shop")
    reporter = await create_user(db, "reporter")
    starts = datetime.now(UTC).replace(microsecond=0) + 2 * DAY
    far = timezone(timedelta(hours=23, minutes=59))  # PostgreSQL accepts less than 16 hours
    created = await create_window(api, reporter, body(starts) | {"startsAt": starts.astimezone(far).isoformat()})
    assert created["startsAt"] == iso(starts)
    period = {"from": starts.astimezone(far).isoformat()}
    assert [one["id"] for one in (await api.get("/api/maintenance", params=period))["maintenance"]] == [created["id"]]


async def test_invalid_windows_are_refused_by_field(api: Api, db: Db) -> None:
    await add_service(db, "shop")
    reporter = await create_user(db, "reporter")
    starts = datetime.now(UTC).replace(hour=2, minute=0, second=0, microsecond=0) + 2 * DAY
    invalid: list[tuple[dict[str, Any], str]] = [
        ({"title": " "}, "title"),
        ({"title": "a\nb"}, "title"),
        ({"title": "a\x00b"}, "title"),
        ({"title": "x" * 256}, "title"),
        ({"description": "\x00"}, "description"),
        ({"affectedServices": []}, "affectedServices"),
        ({"affectedServices": ["shop", "shop"]}, "affectedServices[1]"),
        ({"affectedServices": ["shop", "nothing"]}, "affectedServices[1]"),
        ({"affectedServices": ["shop\n"]}, "affectedServices[0]"),
        ({"startsAt": "tomorrow"}, "startsAt"),
        ({"startsAt": "2026-11-29T02:00:00"}, "startsAt"),
        ({"startsAt": "0001-01-01T00:00:00+14:00"}, "startsAt"),
        ({"startsAt": iso(starts - 10 * DAY), "endsAt": iso(starts - 9 * DAY)}, "startsAt"),
        ({"startsAt": iso(starts + 3000 * DAY), "endsAt": iso(starts + 3001 * DAY)}, "startsAt"),
        ({"endsAt": "9999-12-31T23:59:59-12:00"}, "endsAt"),
        ({"endsAt": iso(starts)}, "endsAt"),
        ({"endsAt": iso(starts + 31 * DAY)}, "endsAt"),
        ({"rrule": "FREQ=DAILY", "endsAt": iso(starts + DAY + HOUR)}, "endsAt"),
        ({"rrule": ""}, "rrule"),
        ({"rrule": "weekly"}, "rrule"),
        ({"rrule": "FREQ=SECONDLY"}, "rrule"),
        ({"rrule": "FREQ=DAILY;BYDAY=" + "MO," * 200 + "MO"}, "rrule"),
        ({"rrule": "FREQ=DAILY\x00"}, "rrule"),
        ({"rrule": "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"}, "startsAt"),
        ({"rrule": "FREQ=DAILY;UNTIL=20200101"}, "startsAt"),
        ({"timeZone": "Mars/Olympus"}, "timeZone"),
        ({"timeZone": "../etc/passwd"}, "timeZone"),
        ({"timeZone": "Europe"}, "timeZone"),
        ({"timeZone": "localtime"}, "timeZone"),
        ({"timeZone": "a\x00b"}, "timeZone"),
        ({"version": 7}, "version"),
        ({"createdBy": "me"}, "createdBy"),
    ]
    created = await create_window(api, reporter, body(starts))
    for fields, field in invalid:
        responses = [
            await api.http.post("/api/maintenance", json=body(starts) | fields, headers=reporter.headers),
            await api.http.put(f"/api/maintenance/{created['id']}", json=fields, headers=reporter.headers),
        ]
        for response in responses:
            assert response.status_code == 400, (fields, response.text)
            assert response.json()["details"][0]["field"] == field, (fields, response.text)
    assert (await api.get(f"/api/maintenance/{created['id']}", headers=reporter.headers))["maintenance"] == created


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("from=yesterday", "from"),
        ("from=1795442400", "from"),
        ("from=2026-11-29T02:00:00", "from"),
        ("from=9999-12-31T23:59:59Z", "from"),
        ("to=0001-01-01T00:00:00%2B14:00", "to"),
        ("from=2026-11-29T02:00:00Z&to=2026-11-28T02:00:00Z", "to"),
        ("from=2026-11-29T02:00:00Z&to=2029-11-28T02:00:00Z", "to"),
    ],
)
async def test_an_invalid_period_is_refused_by_field(api: Api, query: str, field: str) -> None:
    response = await api.http.get(f"/api/maintenance?{query}")
    assert response.status_code == 400
    assert response.json()["details"][0]["field"] == field


async def test_the_user_who_saves_later_gets_the_current_window(api: Api, db: Db) -> None:
    await add_service(db, "shop")
    reporter = await create_user(db, "reporter")
    created = await create_window(api, reporter, body(now() + DAY))
    path = f"/api/maintenance/{created['id']}"
    tag = (await api.http.get(path)).headers["etag"]
    assert tag.startswith('"1-')
    first = await api.http.put(path, json={"title": "First"}, headers=reporter.headers | {"If-Match": tag})
    assert first.status_code == 200
    second = await api.http.put(path, json={"title": "Second"}, headers=reporter.headers | {"If-Match": tag})
    assert second.status_code == 412
    assert (second.json()["code"], second.json()["maintenance"]["title"]) == ("CONFLICT", "First")
    third = await api.http.put(
        path, json={"title": "Third"}, headers=reporter.headers | {"If-Match": second.headers["etag"]}
    )
    assert third.status_code == 200
    unchanged = await api.http.get(path, headers=reporter.headers | {"If-None-Match": third.headers["etag"]})
    assert unchanged.status_code == 304


@pytest.mark.parametrize("window_id", ["nothing", "%00", str(uuid.UUID(int=0))])
async def test_a_missing_window_is_a_404(api: Api, db: Db, window_id: str) -> None:
    admin = await create_user(db)
    path = f"/api/maintenance/{window_id}"
    assert (await api.http.get(path)).status_code == 404
    assert (await api.http.put(path, json={"title": "x"}, headers=admin.headers)).status_code == 404
    assert (await api.http.delete(path, headers=admin.headers)).status_code == 404
