"""/ping/{key}: reports of heartbeat services, their limits, and the key in the administration."""

import asyncio
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from sla_monitor.settings.values import limit
from tests.api.conftest import Api, User, create_user, running_api

Db = psycopg.AsyncConnection[Any]
JOB = {"id": "backup", "name": "Backup", "type": "heartbeat", "intervalSeconds": 3600}


@pytest.fixture
async def admin(db: Db) -> User:
    return await create_user(db, "admin")


async def create_job(api: Api, admin: User, **fields: Any) -> dict[str, Any]:
    """Creates the service and returns its heartbeat as admins see it, with the key."""
    created = await api.http.post("/api/services", json=JOB | fields, headers=admin.headers)
    assert created.status_code == 201, created.text
    return await job_of(api, admin)


async def job_of(api: Api, admin: User) -> dict[str, Any]:
    response = await api.http.get("/api/services/backup/heartbeat", headers=admin.headers)
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


async def checks(db: Db) -> list[tuple[Any, ...]]:
    cursor = await db.execute("SELECT severity::text, error_message FROM checks ORDER BY scheduled_at")
    return await cursor.fetchall()


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
async def test_a_report_is_a_check(api: Api, db: Db, admin: User, method: str) -> None:
    key = (await create_job(api, admin))["pingKey"]
    response = await api.http.request(method, f"/ping/{key}")
    assert (response.status_code, response.text) == (200, "" if method == "HEAD" else "OK")
    assert response.headers["cache-control"] == "no-store"
    assert await checks(db) == [("o", None)]
    cursor = await db.execute("SELECT state::text FROM service_states WHERE service_id = 'backup'")
    assert await cursor.fetchall() == [("operational",)]


async def test_start_log_failure_and_exit_codes_can_be_reported(api: Api, db: Db, admin: User) -> None:
    key = (await create_job(api, admin))["pingKey"]
    for event in ("start", "log", "fail", "0", "7", "start"):
        assert (await api.http.post(f"/ping/{key}/{event}", content=f"{event} it was")).text == "OK"
    assert await checks(db) == [
        ("mo", "the job reported a failure: fail it was"),
        ("o", None),
        ("mo", "the job ended with exit code 7: 7 it was"),
    ]
    job = await job_of(api, admin)
    assert (job["lastEvent"], job["lastText"]) == ("start", "start it was")
    assert job["startedAt"] == job["lastPingAt"]
    assert job["dueAt"] < job["lateAt"]


@pytest.mark.parametrize("event", ["stop", "256", "-1", "1000", "٣", "start/x", "1.5"])
async def test_an_unknown_event_is_not_found(api: Api, db: Db, admin: User, event: str) -> None:
    key = (await create_job(api, admin))["pingKey"]
    assert (await api.http.get(f"/ping/{key}/{event}")).status_code == 404
    assert await checks(db) == []


@pytest.mark.parametrize("key", ["00000000-0000-4000-8000-000000000000", "backup", "x" * 5000, "%00", "null", "0"])
async def test_an_unknown_key_is_not_found(api: Api, admin: User, key: str) -> None:
    await create_job(api, admin)
    for path in (f"/ping/{key}", f"/ping/{key}/fail"):
        response = await api.http.get(path)
        assert response.status_code == 404, response.text
        assert "backup" not in response.text


async def test_the_stored_text_of_a_report_is_cleaned_and_bounded(api: Api, db: Db, admin: User) -> None:
    key = (await create_job(api, admin))["pingKey"]
    response = await api.http.post(f"/ping/{key}/fail", content=b"\xff\x00\x1b[31m<script>\n" + b"x" * 1_000_000)
    assert response.status_code == 200, response.text
    [(severity, message)] = await checks(db)
    assert (severity, message) == ("mo", "the job reported a failure: ���[31m<script>")
    assert len((await job_of(api, admin))["lastText"]) == 10_000


async def test_concurrent_reports_are_separate_checks(api: Api, db: Db, admin: User) -> None:
    key = (await create_job(api, admin))["pingKey"]
    responses = await asyncio.gather(*(api.http.get(f"/ping/{key}") for _ in range(8)))
    assert {response.status_code for response in responses} == {200}
    assert await checks(db) == [("o", None)] * 8


async def test_a_new_key_replaces_the_old_one(api: Api, db: Db, admin: User) -> None:
    old = (await create_job(api, admin))["pingKey"]
    assert (await api.http.get(f"/ping/{old}")).status_code == 200
    rotated = await api.http.post("/api/services/backup/heartbeat/key", json={}, headers=admin.headers)
    assert rotated.status_code == 200, rotated.text
    new = rotated.json()["pingKey"]
    assert new != old and rotated.json()["lastPingAt"] is not None
    assert (await api.http.get(f"/ping/{old}")).status_code == 404
    assert (await api.http.get(f"/ping/{new}")).status_code == 200
    cursor = await db.execute(
        "SELECT action, object_id, before, after FROM audit_entries WHERE object_type = 'heartbeat'"
    )
    assert await cursor.fetchall() == [("rotate", "backup", None, None)]


async def test_the_key_of_a_deleted_service_is_not_found(api: Api, admin: User) -> None:
    key = (await create_job(api, admin))["pingKey"]
    assert (await api.http.delete("/api/services/backup", headers=admin.headers)).status_code == 204
    assert (await api.http.get(f"/ping/{key}")).status_code == 404


async def test_the_key_is_shown_to_admins_only(api: Api, db: Db, admin: User) -> None:
    key = (await create_job(api, admin))["pingKey"]
    reporter = await create_user(db, "reporter")
    for path in ("/api/services/backup/heartbeat", "/api/services/backup"):
        assert (await api.http.get(path)).status_code == 401
        assert (await api.http.get(path, headers=reporter.headers)).status_code == 403
    for path in ("/api/services", "/api/system-status", "/services/backup", "/", "/feed.atom"):
        assert key not in (await api.http.get(path, headers=reporter.headers)).text
    cursor = await db.execute("SELECT coalesce(string_agg(coalesce(after::text, ''), ' '), '') FROM audit_entries")
    assert key not in str(await cursor.fetchall())


async def test_reports_are_limited(database: str, db: Db, admin: User) -> None:
    async with running_api(database, rate_limit_pings=limit("3/1m")) as api:
        key = (await create_job(api, admin))["pingKey"]
        responses = [await api.http.get(f"/ping/{key}") for _ in range(4)]
        assert [response.status_code for response in responses] == [200, 200, 200, 429]
        assert int(responses[-1].headers["retry-after"]) > 0
        unknown = [await api.http.get(f"/ping/{uuid4()}") for _ in range(4)]
        assert [response.status_code for response in unknown] == [404, 404, 404, 429]
    assert len(await checks(db)) == 3


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"cron": "nonsense"}, "cron"),
        ({"cron": "0 0 30 2 *"}, "cron"),
        ({"timeZone": "Mars/Base"}, "timeZone"),
        ({"graceSeconds": 0}, "graceSeconds"),
        ({"graceSeconds": 86_400}, "graceSeconds"),
        ({"endpointUrl": "http://a.example/"}, "endpointUrl"),
    ],
)
async def test_invalid_fields_are_refused_by_name(api: Api, admin: User, fields: dict[str, Any], field: str) -> None:
    refused = await api.http.post("/api/services", json=JOB | fields, headers=admin.headers)
    assert refused.status_code == 400, refused.text
    assert field in [problem["field"] for problem in refused.json()["details"]], refused.text
