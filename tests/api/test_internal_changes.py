"""Internal incidents change no id, version or cached response that anonymous clients see."""

import re
from datetime import timedelta
from typing import Any

import pytest

from sla_monitor.settings.values import Limit
from tests.api.conftest import Api, create_user, now, running_api, until_events_processed
from tests.api.incidents import OUTAGE, add_update, change, create
from tests.api.people import Db
from tests.api.raw_clients import raw_client, received_events
from tests.api.service_pair import services

__all__ = ["services"]

pytestmark = pytest.mark.one_engine


async def test_internal_incidents_leave_no_gaps_in_public_ids(api: Api, db: Db) -> None:
    reporter = await create_user(db, "reporter")
    public = [(await create(api, reporter))["id"]]
    internal = [(await create(api, reporter, public=False))["id"] for _ in range(3)]
    public.append((await create(api, reporter))["id"])
    assert (await change(api, reporter, internal[0], public=True)).status_code == 200
    public.append((await create(api, reporter))["id"])
    year = public[0][4:8]
    assert public == [f"INC-{year}-000{number}" for number in (1, 2, 3)]
    assert len(set(internal)) == 3
    assert all(re.fullmatch(rf"INC-{year}-[1-9][0-9]{{8}}", number) for number in internal)


async def test_an_id_used_by_an_internal_incident_is_skipped(db: Db) -> None:
    """Internal incidents of earlier releases, and imported ones, may have an id of the public sequence."""
    statement = (
        "INSERT INTO incidents (id, title, severity, priority, public) VALUES (%s, 'Old', 'low', 'P3', %s) RETURNING id"
    )
    for given, public, stored in (
        ("INC-2020-0002", False, "INC-2020-0002"),
        ("INC-2020-123456789", True, "INC-2020-123456789"),
        ("INC-2020-0001", True, "INC-2020-0001"),
    ):
        assert await (await db.execute(statement, [given, public])).fetchone() == (stored,)
    cursor = await db.execute(
        "INSERT INTO incidents (title, severity, priority, created_at) "
        "VALUES ('Next', 'low', 'P3', '2020-06-01') RETURNING id"
    )
    assert await cursor.fetchone() == ("INC-2020-0003",)


async def test_ids_of_updates_and_comments_are_derived_from_the_time(api: Api, db: Db) -> None:
    """Ids of a sequence would reveal how many internal ones lie between two public ones."""
    reporter = await create_user(db, "reporter")
    shown, hidden = [await create(api, reporter, public=public) for public in (True, False)]
    for incident in (shown, hidden, hidden, shown):
        await add_update(api, reporter, incident["id"], "identified")
        for public in (False, True):
            path = f"/api/incidents/{incident['id']}/comments"
            body = {"text": "x", "public": public}
            assert (await api.http.post(path, json=body, headers=reporter.headers)).status_code == 201
    for table in ("incident_updates", "incident_comments"):
        rows = await (
            await db.execute(
                f"SELECT id, extract(epoch FROM created_at) * 1000000 FROM {table} ORDER BY created_at".encode()
            )
        ).fetchall()
        ids = [row[0] for row in rows]
        assert ids == sorted(set(ids)) and ids[-1] < 2**53, "JavaScript cannot represent larger integers exactly"
        assert all(abs(number - at) < 1_000_000 for number, at in rows), table


async def test_internal_changes_do_not_change_the_public_version(api: Api, db: Db) -> None:
    reporter = await create_user(db, "reporter")
    incident = await create(api, reporter, affectedServices=["shop", "vault"])
    path = f"/api/incidents/{incident['id']}"
    before = await api.http.get(path)
    async with raw_client(api, "ws") as anonymous, raw_client(api, "ws", reporter.token) as staff:
        for hidden in (
            {"affectedServices": ["shop"]},
            {"reporter": reporter.username},
            {"affectedServices": ["shop", "vault"]},
        ):
            assert (await change(api, reporter, incident["id"], **hidden)).status_code == 200
        staff_events, public_events = await received_events(db, staff, anonymous)
        assert staff_events and {event for event, _ in staff_events} == {"incident-updated"}
        assert public_events == []
        version = (await api.http.get(path, headers=reporter.headers)).json()["incident"]["version"]
        assert version > 2
        await until_events_processed(api, db)
        after = await api.http.get(path)
        assert (after.text, after.headers["etag"]) == (before.text, before.headers["etag"])
        assert after.json()["incident"]["version"] == 1

        assert (await change(api, reporter, incident["id"], title="Seen by all")).status_code == 200
        await add_update(api, reporter, incident["id"], "identified")
        assert (await change(api, reporter, incident["id"], affectedServices=["vault"])).status_code == 200
        _, public_events = await received_events(db, staff, anonymous)
        assert [event for event, _ in public_events if event != "marker"] == ["incident-updated"] * 3
        latest = (await api.get(path))["incident"]
        assert (latest["version"], latest["affectedServices"]) == (4, [])
        assert latest["updatedAt"] > before.json()["incident"]["updatedAt"]


async def test_an_incident_that_becomes_public_has_public_version_1(api: Api, db: Db) -> None:
    reporter = await create_user(db, "reporter")
    incident = await create(api, reporter, public=False)
    for title in ("One", "Two", "Three"):
        await change(api, reporter, incident["id"], title=title)
    await change(api, reporter, incident["id"], public=True)
    shown = (await api.get(f"/api/incidents/{incident['id']}"))["incident"]
    assert (shown["version"], shown["title"]) == (1, "Three")


@pytest.mark.parametrize("level", ["info", "debug"])
async def test_x_cache_is_sent_with_log_level_debug_only(database: str, level: str) -> None:
    async with running_api(database, log_level=level, rate_limit_api=Limit(50, timedelta(minutes=1))) as api:
        for path in ("/api/services", "/api/incidents", "/api/system-status"):
            first, again = [await api.http.get(path) for _ in range(2)]
            if level == "debug":
                assert [response.headers["x-cache"] for response in (first, again)] == ["MISS", "HIT"]
                continue
            names = [sorted(response.headers) for response in (first, again)]
            assert names[0] == names[1] and not {"x-cache", "ratelimit-remaining"} & set(names[0])
        text = (await api.http.get("/metrics")).text
        assert 'sla_monitor_cacheable_responses_total{source="HIT"} 3.0' in text


CACHED = ("/api/incidents", "/api/incidents/past", "/api/services", "/history", "/")


async def test_internal_changes_invalidate_no_cached_response(api: Api, db: Db) -> None:
    """This includes the cache of the process that handles the change. A public change is in the response to the next
    request."""
    admin = await create_user(db)
    shown, hidden = [await create(api, admin, public=public) for public in (True, False)]
    page = f"/incidents/{shown['id']}"

    async def sources() -> set[str]:
        return {(await api.http.get(path)).headers["x-cache"] for path in (*CACHED, page)}

    async def change_by_admin(method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        response = await api.http.request(method, path, json=body, headers=admin.headers)
        assert response.status_code < 300, response.text
        return response.json() if response.content else None

    await until_events_processed(api, db)
    await sources()
    comments = f"/api/incidents/{shown['id']}/comments"
    window = {
        "title": "Internal",
        "startsAt": (now() + timedelta(days=1)).isoformat(),
        "endsAt": (now() + timedelta(days=2)).isoformat(),
        "affectedServices": ["vault"],
    }
    internal_changes: list[tuple[str, str, dict[str, Any] | None]] = [
        ("POST", "/api/incidents", OUTAGE | {"public": False}),
        ("PUT", f"/api/incidents/{hidden['id']}", {"title": "Still internal"}),
        ("POST", f"/api/incidents/{hidden['id']}/updates", {"status": "resolved", "description": "x"}),
        ("POST", comments, {"text": "internal"}),
        ("PUT", f"/api/incidents/{shown['id']}", {"affectedServices": ["vault"]}),
        ("PATCH", "/api/services/vault", {"name": "Another vault"}),
        ("POST", "/api/maintenance", window | {"public": False}),
        ("DELETE", f"/api/incidents/{hidden['id']}", None),
    ]
    for method, path, body in internal_changes:
        await change_by_admin(method, path, body)
        assert await sources() == {"HIT"}, (method, path)

    await change_by_admin("PUT", f"/api/incidents/{shown['id']}", {"title": "Seen at once"})
    assert "Seen at once" in (await api.http.get(page)).text
    remark = await change_by_admin("POST", comments, {"text": "For all", "public": True})
    assert "For all" in (await api.http.get(page)).text
    await change_by_admin("DELETE", f"{comments}/{remark['comment']['id']}")
    assert "For all" not in (await api.http.get(page)).text
    await change_by_admin("PATCH", "/api/services/shop", {"name": "Another shop"})
    assert "Another shop" in (await api.http.get("/api/services")).text
