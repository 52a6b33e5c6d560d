"""Incidents over REST: valid fields, numbers, templates, deletion and the audit log."""

from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest

from sla_monitor.formats.one_line import on_one_line
from tests.api.conftest import Api, User, add_service, create_user
from tests.api.incidents import (
    OUTAGE,
    Db,
    change,
    create,
    error_fields,
    get_incident,
    incident_events,
    public_incident,
    year,
)

pytestmark = pytest.mark.one_engine

HOSTILE = "<script>alert(1)</script> \u202e\u0007 \U0001f525 '; DROP TABLE incidents; --\r\n{{7*7}} %s"
INVALID: list[tuple[dict[str, Any], str]] = [
    ({"title": ""}, "title"),
    ({"title": "  \n"}, "title"),
    ({"title": "x" * 256}, "title"),
    ({"title": "a\u0000b"}, "title"),
    ({"title": "a\nb"}, "title"),
    ({"title": "\u001b[31m"}, "title"),
    ({"title": "a\u202egnp.exe"}, "title"),
    ({"title": "\u200b\u200d"}, "title"),
    ({"title": None}, "title"),
    ({"title": 5}, "title"),
    ({"description": "x" * 20001}, "description"),
    ({"description": "\u0000"}, "description"),
    ({"severity": "worst"}, "severity"),
    ({"severity": None}, "severity"),
    ({"priority": "P4"}, "priority"),
    ({"affectedServices": ["shop", "nothing"]}, "affectedServices[1]"),
    ({"affectedServices": ["shop", "shop"]}, "affectedServices[1]"),
    ({"affectedServices": ["shop", "Not a slug"]}, "affectedServices[1]"),
    ({"affectedServices": ["shop\u0000"]}, "affectedServices[0]"),
    ({"affectedServices": ["shop\n"]}, "affectedServices[0]"),
    ({"affectedServices": "shop"}, "affectedServices"),
    ({"affectedServices": None}, "affectedServices"),
    ({"affectedServices": [f"s{n}" for n in range(1001)]}, "affectedServices"),
    ({"reporter": "x" * 101}, "reporter"),
    ({"reporter": "\u0000"}, "reporter"),
    ({"reporter": "a\nb"}, "reporter"),
    ({"detectionCriteria": "x" * 20001}, "detectionCriteria"),
    ({"detectionCriteria": "\u0000"}, "detectionCriteria"),
    ({"public": "yes"}, "public"),
    ({"version": 7}, "version"),
    ({"author": "another user"}, "author"),
    ({"createdAt": "2026-01-01T00:00:00Z"}, "createdAt"),
]


async def test_an_incident_is_created_with_the_fields_of_front_ends(api: Api, db: Db, reporter: User) -> None:
    await add_service(db, "shop")
    body = OUTAGE | {"affectedServices": ["shop"]}
    response = await api.http.post("/api/incidents", json=body, headers=reporter.headers)
    incident = response.json()["incident"]
    assert (response.status_code, response.headers["location"]) == (201, f"/api/incidents/INC-{year()}-0001")
    assert {**incident, "createdAt": 0, "updatedAt": 0} == body | {
        "id": f"INC-{year()}-0001",
        "description": None,
        "status": "investigating",
        "reporter": reporter.username,
        "detectionCriteria": None,
        "postmortem": None,
        "public": True,
        "author": reporter.username,
        "createdAt": 0,
        "updatedAt": 0,
        "resolvedAt": None,
        "version": 1,
        "updateCount": 0,
        "updates": [],
    }
    created = datetime.fromisoformat(incident["createdAt"])
    assert incident["createdAt"].endswith("Z") and abs(datetime.now(UTC) - created) < timedelta(minutes=1)
    assert await get_incident(api, reporter, incident["id"]) == incident


async def test_an_incident_can_be_created_with_a_first_update(api: Api, reporter: User) -> None:
    incident = await create(api, reporter, update="We are looking")
    [update] = incident["updates"]
    assert (update["status"], update["description"]) == ("investigating", "We are looking")
    assert (update["author"], incident["version"]) == (reporter.username, 1)


async def test_invalid_fields_are_named_and_nothing_is_stored(api: Api, db: Db, reporter: User) -> None:
    await add_service(db, "shop")
    incident = await create(api, reporter)
    events = await incident_events(db)
    for invalid, field in INVALID:
        response = await api.http.post("/api/incidents", json=OUTAGE | invalid, headers=reporter.headers)
        assert field in error_fields(response), invalid
        assert field in error_fields(await change(api, reporter, incident["id"], **invalid)), invalid
    for missing in OUTAGE:
        body = {name: value for name, value in OUTAGE.items() if name != missing}
        assert error_fields(await api.http.post("/api/incidents", json=body, headers=reporter.headers)) == [missing]
    for invalid, field in (
        ({"status": "fixed"}, "status"),
        ({"postmortem": "\u0000"}, "postmortem"),
        ({"update": "x"}, "update"),
    ):
        assert field in error_fields(await change(api, reporter, incident["id"], **invalid)), invalid
    for invalid, field in (
        ({"update": "\u0000"}, "update"),
        ({"update": ""}, "update"),
        ({"status": "resolved"}, "status"),
    ):
        assert field in error_fields(
            await api.http.post("/api/incidents", json=OUTAGE | invalid, headers=reporter.headers)
        ), invalid
    assert await get_incident(api, reporter, incident["id"]) == incident
    assert (await api.get("/api/incidents", headers=reporter.headers))["incidents"] == [incident]
    assert await incident_events(db) == events


async def test_texts_are_stored_unchanged(api: Api, reporter: User) -> None:
    line = on_one_line(HOSTILE, " ")
    texts = {"title": line, "description": HOSTILE, "detectionCriteria": HOSTILE, "reporter": line}
    incident = await create(api, reporter, **texts, update=HOSTILE)
    changed = await change(api, reporter, incident["id"], postmortem=HOSTILE)
    assert changed.status_code == 200
    shown = await get_incident(api, reporter, incident["id"])
    assert {name: shown[name] for name in (*texts, "postmortem")} == texts | {"postmortem": HOSTILE}
    assert shown["updates"][0]["description"] == HOSTILE


@pytest.mark.one_day
async def test_numbers_are_consecutive_and_unique(api: Api, db: Db, reporter: User) -> None:
    async with anyio.create_task_group() as tasks:
        for _ in range(12):
            tasks.start_soon(create, api, reporter)
        tasks.start_soon(api.http.post, "/api/incidents")
    cursor = await db.execute("SELECT id FROM incidents ORDER BY id")
    assert [row[0] for row in await cursor.fetchall()] == [f"INC-{year()}-{n:04}" for n in range(1, 13)]
    await db.execute("UPDATE incident_numbers SET last = 9999")
    assert (await create(api, reporter))["id"] == f"INC-{year()}-10000"
    assert (await get_incident(api, reporter, f"INC-{year()}-10000"))["version"] == 1


async def test_the_year_of_an_id_is_that_of_the_reporting_time_zone(db: Db) -> None:
    await db.execute("UPDATE installation SET time_zone = 'Pacific/Auckland'")
    statement = (
        "INSERT INTO incidents (title, severity, priority, created_at) "
        "VALUES ('Old', 'low', 'P3', %s::timestamptz) RETURNING id, author"
    )
    cursor = await db.execute(statement, ["2025-12-31T12:00:00Z"])
    assert await cursor.fetchone() == ("INC-2026-0001", "analyst")
    cursor = await db.execute(statement, ["2025-12-31T10:00:00Z"])
    assert await cursor.fetchone() == ("INC-2025-0001", "analyst")


async def test_the_number_of_an_imported_incident_is_not_used_again(db: Db) -> None:
    statement = "INSERT INTO incidents (id, title, severity, priority) VALUES (%s, 'Old', 'low', 'P3') RETURNING id"
    for imported, number in ((f"INC-{year()}-0007", 7), (f"INC-{year()}-0003", 3), (None, 8)):
        cursor = await db.execute(statement, [imported])
        assert await cursor.fetchone() == (f"INC-{year()}-{number:04}",)


async def test_a_missing_incident_is_a_404(api: Api, db: Db) -> None:
    admin = await create_user(db, "admin")
    for missing in (f"INC-{year()}-0001", "nothing", "INC%00", "INC-2026-99999999999", "%ED%A0%80"):
        path = f"/api/incidents/{missing}"
        assert (await api.http.get(path)).status_code == 404, missing
        for method, url, body in (
            ("PUT", path, {}),
            ("DELETE", path, None),
            ("POST", f"{path}/updates", {"status": "resolved", "description": "x"}),
        ):
            response = await api.http.request(method, url, json=body, headers=admin.headers)
            assert (response.status_code, response.json()["code"]) == (404, "NOT_FOUND"), (method, url)


async def test_an_incident_starts_from_a_template(api: Api, reporter: User) -> None:
    start = {"title": "Slow", "severity": "low", "priority": "P3", "affectedServices": [], "update": "We are looking"}
    created = await api.http.post("/api/templates", json={"name": "Slow", "data": start}, headers=reporter.headers)
    template = created.json()["data"]["id"]
    response = await api.http.post(
        "/api/incidents", json={"template": template, "title": "Slow today"}, headers=reporter.headers
    )
    incident = response.json()["incident"]
    assert (incident["title"], incident["severity"], incident["priority"]) == ("Slow today", "low", "P3")
    assert [update["description"] for update in incident["updates"]] == ["We are looking"]
    without_update = await create(api, reporter, template=template, update=None)
    assert (without_update["title"], without_update["updates"]) == (OUTAGE["title"], [])
    for unknown in ("nothing", "\u0000", "00000000-0000-0000-0000-000000000000"):
        response = await api.http.post("/api/incidents", json={"template": unknown}, headers=reporter.headers)
        assert error_fields(response) == ["template"]


async def test_admins_delete_an_incident_with_its_updates_comments_and_drafts(api: Api, db: Db, reporter: User) -> None:
    admin = await create_user(db, "admin")
    await add_service(db, "shop")
    incident_id = (await create(api, reporter, affectedServices=["shop"], update="x"))["id"]
    path = f"/api/incidents/{incident_id}"
    await api.http.post(f"{path}/comments", json={"text": "x"}, headers=reporter.headers)
    await api.http.put(f"{path}/draft", json={"data": {}}, headers=reporter.headers)
    refused = await api.http.delete(path, headers=reporter.headers)
    gone = await api.http.delete(path, headers=admin.headers)
    assert (refused.status_code, gone.status_code, gone.content) == (403, 204, b"")
    assert (await api.http.get(path, headers=admin.headers)).status_code == 404
    assert (await incident_events(db))[-1] == ("incident-deleted", None, {"incidentId": incident_id})
    assert (await create(api, reporter))["id"] == f"INC-{year()}-0002"


async def test_a_deleted_service_remains_in_its_incidents_for_users(api: Api, db: Db, reporter: User) -> None:
    admin = await create_user(db, "admin")
    for service in ("shop", "search", "mail"):
        await add_service(db, service)
    incident = await create(api, reporter, affectedServices=["shop", "search"])
    events = await incident_events(db)
    assert (await api.http.delete("/api/services/shop", headers=admin.headers)).status_code == 204
    assert await get_incident(api, reporter, incident["id"]) == incident
    assert await incident_events(db) == events
    assert (await api.get("/api/incidents?service=shop", headers=admin.headers))["incidents"] == [incident]
    assert (await api.get("/api/incidents?service=shop"))["incidents"] == []
    changed = await change(api, reporter, incident["id"], affectedServices=["mail", "shop"])
    assert changed.json()["incident"]["affectedServices"] == ["mail", "shop"]
    assert (await public_incident(api, incident["id"], 2))["affectedServices"] == ["mail"]
    assert error_fields(await change(api, reporter, incident["id"], affectedServices=["shop", "gone"])) == [
        "affectedServices[1]"
    ]
    await change(api, reporter, incident["id"], affectedServices=[])
    assert error_fields(await change(api, reporter, incident["id"], affectedServices=["shop"])) == [
        "affectedServices[0]"
    ]


async def test_the_deletion_of_a_user_is_one_entry_in_the_audit_log(api: Api, db: Db, reporter: User) -> None:
    viewer = await create_user(db, "viewer")
    await add_service(db, "shop")
    incident_id = (await create(api, reporter))["id"]
    start = {"title": "Slow", "severity": "low", "priority": "P3", "affectedServices": []}
    begins = datetime.now(UTC) + timedelta(days=1)
    window = {"title": "Work", "affectedServices": ["shop"], "startsAt": begins.isoformat()}
    window["endsAt"] = (begins + timedelta(hours=1)).isoformat()
    for path, body in (
        (f"/api/incidents/{incident_id}/comments", {"text": "x"}),
        ("/api/templates", {"name": "Slow", "data": start}),
        ("/api/maintenance", window),
    ):
        response = await api.http.post(path, json=body, headers=reporter.headers)
        assert response.status_code == 201, response.text
    incident = await get_incident(api, viewer, incident_id)
    cursor = await db.execute("SELECT max(id) FROM audit_entries")
    last = await cursor.fetchone()
    await db.execute("DELETE FROM users WHERE id = %s", [reporter.user_id])
    cursor = await db.execute("SELECT object_type FROM audit_entries WHERE id > %s", last)
    assert await cursor.fetchall() == [("user",)]
    assert await get_incident(api, viewer, incident_id) == incident


async def test_changes_of_incidents_are_in_the_audit_log(api: Api, db: Db, reporter: User) -> None:
    await add_service(db, "shop")
    incident_id = (await create(api, reporter, affectedServices=["shop"]))["id"]
    await change(api, reporter, incident_id, title="New", affectedServices=[])
    cursor = await db.execute(
        "SELECT actor, action, before, after FROM audit_entries WHERE object_id = %s AND action = 'update' ORDER BY id",
        [incident_id],
    )
    assert await cursor.fetchall() == [
        (reporter.username, "update", None, {"affected_services": ["shop"]}),
        (reporter.username, "update", {"title": "Down"}, {"title": "New"}),
        (reporter.username, "update", {"affected_services": ["shop"]}, None),
    ]
