"""The timeline of an incident over REST: updates, changed statuses, and its length."""

from typing import Any

import psycopg
import pytest

from tests.api.conftest import Api, User, create_user
from tests.api.incidents import (
    Db,
    add_update,
    change,
    create,
    error_fields,
    get_incident,
    incident_events,
    without_names,
)

pytestmark = pytest.mark.one_engine


async def test_updates_set_the_status_and_are_never_changed(api: Api, db: Db, reporter: User) -> None:
    colleague = await create_user(db, "reporter")
    incident_id = (await create(api, reporter))["id"]
    written: list[Any] = []
    for user, status in (
        (reporter, "monitoring"),
        (colleague, "resolved"),
        (reporter, "identified"),
        (reporter, "identified"),
    ):
        update = await add_update(api, user, incident_id, status, f"now {status}")
        assert (update["author"], update["status"]) == (user.username, status)
        written.insert(0, update)
        incident = await get_incident(api, reporter, incident_id)
        assert (incident["updates"], incident["status"]) == (written, status)
        assert (incident["resolvedAt"] is not None) == (status == "resolved")
        assert incident["version"] == len(written) + 1
    for statement in ("UPDATE incident_updates SET description = ''", "DELETE FROM incident_updates"):
        with pytest.raises(psycopg.errors.RestrictViolation):
            await db.execute(statement.encode())
    assert (await get_incident(api, reporter, incident_id))["updates"] == written


async def test_the_etag_of_an_added_update_is_valid_for_the_next_save(api: Api, reporter: User) -> None:
    incident_id = (await create(api, reporter))["id"]
    body = {"status": "identified", "description": "x"}
    added = await api.http.post(f"/api/incidents/{incident_id}/updates", json=body, headers=reporter.headers)
    assert (await change(api, reporter, incident_id, added.headers["etag"], title="New")).status_code == 200
    assert (await change(api, reporter, incident_id, added.headers["etag"], title="Newer")).status_code == 412


INVALID_UPDATES: list[tuple[Any, str]] = [
    ({"description": "x"}, "status"),
    ({"status": "resolved"}, "description"),
    ({"status": "resolved", "description": ""}, "description"),
    ({"status": "resolved", "description": "x" * 20001}, "description"),
    ({"status": "resolved", "description": "\u0000"}, "description"),
    ({"status": "gone", "description": "x"}, "status"),
    ({"status": "resolved", "description": "x", "author": "y"}, "author"),
    ({"status": "resolved", "description": "x", "createdAt": "2020-01-01T00:00:00Z"}, "createdAt"),
]


async def test_an_invalid_update_is_refused_by_field(api: Api, reporter: User) -> None:
    for body, field in INVALID_UPDATES:
        incident = await create(api, reporter)
        response = await api.http.post(f"/api/incidents/{incident['id']}/updates", json=body, headers=reporter.headers)
        assert field in error_fields(response)
        assert await get_incident(api, reporter, incident["id"]) == incident


async def test_a_changed_status_is_added_to_the_timeline(api: Api, reporter: User) -> None:
    incident_id = (await create(api, reporter))["id"]
    resolved = (await change(api, reporter, incident_id, status="resolved", title="Was down")).json()["incident"]
    assert (resolved["version"], resolved["resolvedAt"] is not None) == (2, True)
    [update] = resolved["updates"]
    assert (update["status"], update["description"], update["author"]) == ("resolved", "", reporter.username)
    edited = (await change(api, reporter, incident_id, postmortem="Because")).json()["incident"]
    assert edited["resolvedAt"] == resolved["resolvedAt"]
    reopened = (await change(api, reporter, incident_id, status="investigating")).json()["incident"]
    assert (reopened["resolvedAt"], len(reopened["updates"])) == (None, 2)


async def test_a_timeline_has_at_most_500_updates(api: Api, db: Db, reporter: User) -> None:
    incident_id = (await create(api, reporter))["id"]
    await db.execute(
        "INSERT INTO incident_updates (incident_id, status, description) "
        "SELECT %s, 'monitoring', 'still' FROM generate_series(1, 500)",
        [incident_id],
    )
    body = {"status": "resolved", "description": "x"}
    full = await api.http.post(f"/api/incidents/{incident_id}/updates", json=body, headers=reporter.headers)
    assert (full.status_code, full.json()["code"]) == (409, "CONFLICT")
    assert (await change(api, reporter, incident_id, status="resolved")).status_code == 409
    assert (await change(api, reporter, incident_id, title="Long")).status_code == 200


@pytest.mark.one_day
async def test_only_a_single_incident_has_its_whole_timeline(api: Api, db: Db, reporter: User) -> None:
    incident_id = (await create(api, reporter))["id"]
    await db.execute(
        "INSERT INTO incident_updates (incident_id, status, description) "
        "SELECT %s, 'monitoring', n::text FROM generate_series(1, 30) AS n",
        [incident_id],
    )
    whole = (await change(api, reporter, incident_id, title="Long")).json()["incident"]
    assert [update["description"] for update in whole["updates"]] == [str(n) for n in range(30, 0, -1)]
    assert await get_incident(api, reporter, incident_id) == whole
    newest = whole | {"updates": whole["updates"][:20]}
    assert whole["updateCount"] == 30
    assert (await api.get("/api/incidents", headers=reporter.headers))["incidents"] == [newest]
    assert (await api.get("/api/incidents/past", headers=reporter.headers))["days"][0]["incidents"] == [newest]
    assert (await change(api, reporter, incident_id, '"1"', title="Late")).json()["incident"] == newest
    assert [data["incident"] for _, room, data in (await incident_events(db))[-2:]] == [newest, without_names(newest)]
