"""Drafts: an unsaved form is stored and offered to its user only."""

from typing import Any

import psycopg
import pytest

from tests.api.conftest import Api, User, create_user
from tests.api.incidents import Db, change, create, error_fields, incident_events

pytestmark = pytest.mark.one_engine


def deep(levels: int) -> Any:
    data: Any = {}
    for _ in range(levels - 1):
        data = {"x": data}
    return data


async def test_the_latest_draft_is_stored_and_offered_to_its_user(api: Api, db: Db, reporter: User) -> None:
    colleague = await create_user(db, "reporter")
    incident_id = (await create(api, reporter))["id"]
    path = f"/api/incidents/{incident_id}/draft"
    assert (await api.http.get(path, headers=reporter.headers)).status_code == 404
    await api.http.put(path, json={"data": {"title": "T"}, "baseVersion": 1}, headers=reporter.headers)
    data = {"title": "Ti\U0001f525", "list": [1, 2.5, None, {"a": "<b>"}]}
    response = await api.http.put(path, json={"data": data}, headers=reporter.headers)
    draft = response.json()["draft"]
    assert (response.status_code, draft) == (
        200,
        {"incidentId": incident_id, "data": data, "baseVersion": 1, "savedAt": draft["savedAt"]},
    )
    assert (await api.get(path, headers=reporter.headers)) == {"draft": draft}
    assert (await api.get("/api/drafts", headers=reporter.headers)) == {"drafts": [draft]}
    assert (await api.get("/api/drafts", headers=colleague.headers)) == {"drafts": []}
    assert (await api.http.get(path, headers=colleague.headers)).status_code == 404
    assert (await incident_events(db))[-1] == (
        "auto-save",
        f"incident-{incident_id}",
        {"incidentId": incident_id, "data": data, "timestamp": draft["savedAt"]},
    )


async def test_a_draft_ends_when_its_user_saves(api: Api, db: Db, reporter: User) -> None:
    colleague = await create_user(db, "reporter")
    incident_id = (await create(api, reporter))["id"]
    path = f"/api/incidents/{incident_id}/draft"
    for user in (reporter, colleague):
        await api.http.put(path, json={"data": {}}, headers=user.headers)
    stale = await change(api, reporter, incident_id, '"9-0"', title="New")
    assert (stale.status_code, (await api.http.get(path, headers=reporter.headers)).status_code) == (412, 200)
    await change(api, reporter, incident_id, title="New")
    assert (await api.http.get(path, headers=reporter.headers)).status_code == 404
    assert (await api.http.delete(path, headers=colleague.headers)).status_code == 204
    assert (await api.http.delete(path, headers=colleague.headers)).status_code == 404


async def test_a_draft_of_a_version_before_the_last_save_is_refused(api: Api, db: Db, reporter: User) -> None:
    colleague = await create_user(db, "reporter")
    incident_id = (await create(api, reporter))["id"]
    path = f"/api/incidents/{incident_id}/draft"
    await change(api, reporter, incident_id, title="New")
    events = await incident_events(db)

    async def save_draft(user: User, version: int | None) -> int:
        body = {"data": {"title": "Ne"}, "baseVersion": version}
        return (await api.http.put(path, json=body, headers=user.headers)).status_code

    assert await save_draft(reporter, 1) == 409
    assert await incident_events(db) == events
    assert (await api.http.get(path, headers=reporter.headers)).status_code == 404
    assert (await api.get("/api/drafts", headers=reporter.headers)) == {"drafts": []}
    assert (await api.http.delete(path, headers=reporter.headers)).status_code == 404
    assert await save_draft(colleague, 1) == 200
    for version in (2, 1, None):
        assert await save_draft(reporter, version) == 200
    await change(api, reporter, incident_id, title="Newer")
    assert await save_draft(reporter, None) == 200


INVALID: list[tuple[Any, str]] = [
    ({}, "data"),
    ({"data": []}, "data"),
    ({"data": {"x": "\u0000"}}, "data"),
    ({"data": {"\u0000": 1}}, "data"),
    ({"data": {"x": "y" * 65536}}, "data"),
    ({"data": deep(33)}, "data"),
    ({"data": {"x": [1e300] * 9000}}, "data"),
    ({"data": {}, "baseVersion": 0}, "baseVersion"),
    ({"data": {}, "baseVersion": 2**31}, "baseVersion"),
    ({"data": {}, "userId": "x"}, "userId"),
]


async def test_an_invalid_draft_is_refused(api: Api, reporter: User) -> None:
    for body, field in INVALID:
        incident_id = (await create(api, reporter))["id"]
        path = f"/api/incidents/{incident_id}/draft"
        assert field in error_fields(await api.http.put(path, json=body, headers=reporter.headers))
        assert (await api.http.get(path, headers=reporter.headers)).status_code == 404


async def test_a_draft_at_the_limits_is_stored(api: Api, reporter: User) -> None:
    incident_id = (await create(api, reporter))["id"]
    for data in (deep(32), {"x": "y" * (65536 - 8)}, {"x": "\u0007\u202e\ufffe"}):
        response = await api.http.put(
            f"/api/incidents/{incident_id}/draft", json={"data": data}, headers=reporter.headers
        )
        assert response.status_code == 200, response.text
        assert response.json()["draft"]["data"] == data


async def test_a_draft_of_a_missing_incident_is_a_404(api: Api, db: Db, reporter: User) -> None:
    for missing in ("INC-2026-0001", "nothing", "INC%00"):
        path = f"/api/incidents/{missing}/draft"
        for method, body in ("GET", None), ("PUT", {"data": {}}), ("DELETE", None):
            assert (await api.http.request(method, path, json=body, headers=reporter.headers)).status_code == 404
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        await db.execute("SELECT save_draft('INC-2026-0001', %s, '{}', NULL, 'socket')", [reporter.user_id])
