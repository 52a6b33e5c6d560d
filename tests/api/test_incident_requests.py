"""Repeated requests with one idempotency key, and the limit of new incidents."""

from datetime import timedelta
from functools import partial

import anyio
import httpx
import pytest

import sql
from sla_monitor.settings.values import Limit
from tests.api.conftest import Api, User, create_user, running_api
from tests.api.incidents import (
    OUTAGE,
    Db,
    change,
    create,
    error_fields,
    year,
)

pytestmark = pytest.mark.one_engine


async def test_requests_with_one_idempotency_key_create_one_incident(api: Api, db: Db, reporter: User) -> None:
    headers = reporter.headers | {"Idempotency-Key": "a-key"}
    responses: list[httpx.Response] = []

    async def create_with_key() -> None:
        responses.append(await api.http.post("/api/incidents", json=OUTAGE, headers=headers))

    async with anyio.create_task_group() as tasks:
        for _ in range(6):
            tasks.start_soon(create_with_key)
    await change(api, reporter, f"INC-{year()}-0001", title="Changed since")
    reordered = dict(reversed(OUTAGE.items()))
    responses.append(await api.http.post("/api/incidents", json=reordered, headers=headers))
    assert {(response.status_code, response.json()["incident"]["id"]) for response in responses} == {
        (201, f"INC-{year()}-0001")
    }
    assert sum("idempotent-replayed" in response.headers for response in responses) == 6
    assert responses[-1].json()["incident"]["title"] == "Changed since"
    other = await api.http.post("/api/incidents", json=OUTAGE | {"title": "Other"}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (409, "CONFLICT")
    colleague = await create_user(db, "reporter")
    theirs = await api.http.post("/api/incidents", json=OUTAGE, headers=headers | colleague.headers)
    assert theirs.json()["incident"]["id"] == f"INC-{year()}-0002"
    await db.execute("DELETE FROM incidents")
    gone = await api.http.post("/api/incidents", json=OUTAGE, headers=headers)
    assert gone.status_code == 409


async def test_the_idempotency_key_of_a_failed_request_can_be_used_again(api: Api, reporter: User) -> None:
    headers = reporter.headers | {"Idempotency-Key": "a-key"}
    failed = await api.http.post("/api/incidents", json=OUTAGE | {"affectedServices": ["nothing"]}, headers=headers)
    repeated = await api.http.post("/api/incidents", json=OUTAGE, headers=headers)
    assert (failed.status_code, repeated.status_code) == (400, 201)
    for key in ("", "x" * 256, "a\tb", "\u00e9"):
        raw = reporter.headers | {"Idempotency-Key": key.encode("latin-1")}
        assert error_fields(await api.http.post("/api/incidents", json=OUTAGE, headers=raw)) == ["Idempotency-Key"]  # type: ignore[arg-type]


async def test_idempotency_keys_are_deleted_after_a_day(db: Db) -> None:
    await db.execute(
        "INSERT INTO idempotency_keys (actor_id, key, request_hash, created_at) "
        "SELECT gen_random_uuid(), hours::text, '', now() - make_interval(hours => hours) "
        "FROM unnest('{23,25}'::int[]) AS hours"
    )
    await db.execute(sql.query("housekeeping/prune_idempotency"))
    cursor = await db.execute("SELECT key FROM idempotency_keys")
    assert await cursor.fetchall() == [("23",)]


async def test_new_incidents_are_limited_per_user_and_repeated_requests_are_not(
    database: str, db: Db, reporter: User
) -> None:
    async with running_api(database, rate_limit_incidents=Limit(2, timedelta(minutes=1))) as api:
        headers = reporter.headers | {"Idempotency-Key": "a-key"}
        statuses = [(await api.http.post("/api/incidents", json=OUTAGE, headers=headers)).status_code for _ in range(5)]
        assert statuses == [201] * 5
        await create(api, reporter)
        refused = await api.http.post("/api/incidents", json=OUTAGE, headers=reporter.headers)
        assert (refused.status_code, refused.json()["code"]) == (429, "RATE_LIMITED")
        assert int(refused.headers["retry-after"]) <= 60
        await create(api, await create_user(db, "reporter"))


async def test_only_created_incidents_count_against_the_limit(database: str, db: Db, reporter: User) -> None:
    async with running_api(database, rate_limit_incidents=Limit(3, timedelta(minutes=1))) as api:
        for invalid in {"affectedServices": ["nothing"]}, {"template": "nothing"}, {"title": ""}:
            response = await api.http.post("/api/incidents", json=OUTAGE | invalid, headers=reporter.headers)
            assert response.status_code == 400
        headers = reporter.headers | {"Idempotency-Key": "a-key"}
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(partial(api.http.post, "/api/incidents", json=OUTAGE, headers=headers))
        await db.execute("ALTER TABLE incidents ADD CONSTRAINT refuses_title CHECK (title <> 'Refused')")
        failed = await api.http.post("/api/incidents", json=OUTAGE | {"title": "Refused"}, headers=reporter.headers)
        assert failed.status_code == 500
        for _ in range(2):
            await create(api, reporter)
        assert (await api.http.post("/api/incidents", json=OUTAGE, headers=reporter.headers)).status_code == 429
