"""Changes of incidents over REST: the effects of a save, versions, and concurrent saves."""

from datetime import datetime
from functools import partial
from typing import Any

import anyio
import httpx
import pytest

from tests.api.conftest import Api, User, add_service, until
from tests.api.incidents import (
    OUTAGE,
    Db,
    change,
    create,
    error_fields,
    get_incident,
    incident_events,
    public_incident,
    without_names,
)

pytestmark = pytest.mark.one_engine


async def test_a_change_affects_only_the_given_fields(api: Api, db: Db, reporter: User) -> None:
    for service in ("shop", "search"):
        await add_service(db, service)
    before = await create(api, reporter, affectedServices=["shop"], description="a", detectionCriteria="b")
    changes: dict[str, Any] = {
        "title": "Slow",
        "description": "c",
        "severity": "low",
        "priority": "P3",
        "affectedServices": ["search"],
        "reporter": "Ana",
        "detectionCriteria": "d",
        "postmortem": "e",
        "public": False,
    }
    expected = before
    for version, (name, value) in enumerate(changes.items(), 2):
        response = await change(api, reporter, before["id"], **{name: value})
        assert response.status_code == 200, response.text
        expected = expected | {name: value, "version": version, "updatedAt": response.json()["incident"]["updatedAt"]}
        assert response.json() == {"incident": expected}
        assert await get_incident(api, reporter, before["id"]) == expected
    for name in ("description", "reporter", "detectionCriteria", "postmortem"):
        cleared = await change(api, reporter, before["id"], **{name: None})
        assert cleared.json()["incident"][name] is None
    assert datetime.fromisoformat(expected["updatedAt"]) > datetime.fromisoformat(before["updatedAt"])


async def test_a_save_without_a_change_creates_no_version_and_sends_no_event(api: Api, db: Db, reporter: User) -> None:
    await add_service(db, "shop")
    incident = await create(api, reporter, affectedServices=["shop"])
    same: dict[str, Any] = {
        name: incident[name] for name in (*OUTAGE, "description", "status", "reporter", "postmortem", "public")
    }
    events = await incident_events(db)
    for body in ({}, same):
        response = await change(api, reporter, incident["id"], **body)
        assert (response.status_code, response.json()) == (200, {"incident": incident})
    assert await incident_events(db) == events
    assert await public_incident(api, incident["id"], 1) == without_names(incident)


async def test_the_user_who_saves_later_gets_the_current_incident(api: Api, db: Db, reporter: User) -> None:
    incident = await create(api, reporter)
    path = f"/api/incidents/{incident['id']}"
    tag = (await api.http.get(path)).headers["etag"]
    first = await change(api, reporter, incident["id"], tag, title="Mine")
    second = await change(api, reporter, incident["id"], tag, title="Theirs")
    assert (first.status_code, second.status_code) == (200, 412)
    assert second.json() == {
        "error": "Another user saved first",
        "code": "CONFLICT",
        "incident": first.json()["incident"],
    }
    assert second.headers["etag"] == first.headers["etag"] != tag
    assert (await get_incident(api, reporter, incident["id"]))["title"] == "Mine"
    again = await change(api, reporter, incident["id"], second.headers["etag"], title="Theirs")
    assert (again.status_code, again.json()["incident"]["version"]) == (200, 3)
    unconditional = await change(api, reporter, incident["id"], title="No If-Match")
    assert unconditional.status_code == 200
    late = await api.http.post(
        f"{path}/updates",
        json={"status": "resolved", "description": "x"},
        headers=reporter.headers | {"If-Match": tag},
    )
    assert (late.status_code, late.json()["incident"]["updates"]) == (412, [])


async def test_only_one_of_concurrent_saves_of_one_version_succeeds(api: Api, db: Db, reporter: User) -> None:
    """A lock on the row blocks the saves until at least two wait for it."""
    incident = await create(api, reporter)
    responses: list[httpx.Response] = []

    async def save(n: int) -> None:
        responses.append(await change(api, reporter, incident["id"], '"1-0"', title=f"By {n}"))

    async def waiting() -> bool:
        await db.execute("SELECT pg_stat_clear_snapshot()")  # otherwise a transaction sees the first state only
        cursor = await db.execute(
            "SELECT count(*) >= 2 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return await cursor.fetchone() == (True,)

    async with anyio.create_task_group() as tasks, db.transaction():
        await db.execute("SELECT FROM incidents FOR UPDATE")
        for n in range(4):
            tasks.start_soon(save, n)
        await until(waiting)
    assert sorted(response.status_code for response in responses) == [200] + [412] * 3
    [saved] = [response.json()["incident"] for response in responses if response.status_code == 200]
    assert await get_incident(api, reporter, incident["id"]) == saved
    assert all(response.json()["incident"] == saved for response in responses)


IF_MATCH: list[tuple[str, int]] = [
    ("*", 200),
    ('"1"', 200),
    ('"1-abc"', 200),
    ('W/"1-abc"', 200),
    ('"7-abc", "1-abc"', 200),
    ('"2-abc"', 412),
    ('"another-tag"', 412),
    ('"' + "9" * 300 + '"', 412),
    ("1", 400),
    ('"1', 400),
    ("", 400),
    (",", 400),
]


async def test_if_match_accepts_the_current_version_only(api: Api, reporter: User) -> None:
    for if_match, status in IF_MATCH:
        incident = await create(api, reporter)
        response = await change(api, reporter, incident["id"], if_match, title="New")
        assert response.status_code == status, response.text
        if status == 400:
            assert error_fields(response) == ["If-Match"]


async def test_a_client_with_the_current_version_gets_a_304(api: Api, db: Db, reporter: User) -> None:
    await add_service(db, "vault", public=False)
    incident = await create(api, reporter, affectedServices=["vault"])
    path = f"/api/incidents/{incident['id']}"
    tags = {}

    async def is_new(path: str, headers: dict[str, str]) -> bool:
        return (await api.http.get(path, headers=headers)).status_code == 200

    for headers in ({}, reporter.headers):
        tag = (await api.http.get(path, headers=headers)).headers["etag"]
        tags[tag] = headers
        unchanged = await api.http.get(path, headers=headers | {"If-None-Match": tag})
        assert (unchanged.status_code, unchanged.content, unchanged.headers["etag"]) == (304, b"", tag)
    assert len(tags) == 2  # users and anonymous clients get different ETags
    await change(api, reporter, incident["id"], title="New")
    for tag, headers in tags.items():
        await until(partial(is_new, path, headers | {"If-None-Match": tag}))
