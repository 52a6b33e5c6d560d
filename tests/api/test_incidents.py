"""Incidents over REST: valid fields, visibility, the effects of a save, and concurrent saves."""

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import anyio
import httpx
import psycopg
import pytest

import sql
from sla_monitor.formats.one_line import on_one_line
from sla_monitor.settings.values import Limit
from tests.api.conftest import Api, User, add_service, create_user, running_api, until
from tests.api.incidents import (
    OUTAGE,
    Db,
    add_update,
    change,
    create,
    error_fields,
    get_incident,
    incident_events,
    public_incident,
    without_names,
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


def year() -> int:
    return datetime.now(UTC).year


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


@pytest.mark.one_day
async def test_only_users_see_internal_incidents_and_private_services(api: Api, db: Db, reporter: User) -> None:
    viewer = await create_user(db, "viewer")
    await add_service(db, "shop")
    await add_service(db, "vault", public=False)
    partly_public = await create(api, reporter, affectedServices=["vault", "shop"])
    internal = await create(api, reporter, public=False)
    for user, ids in ((None, [partly_public["id"]]), (viewer, [internal["id"], partly_public["id"]])):
        headers = {} if user is None else user.headers
        for path in ("/api/incidents", "/api/incidents?status=all"):
            assert [found["id"] for found in (await api.get(path, headers=headers))["incidents"]] == ids
        past = (await api.get("/api/incidents/past", headers=headers))["days"]
        assert [found["id"] for day in past for found in day["incidents"]] == ids
    assert (await public_incident(api, partly_public["id"], 1))["affectedServices"] == ["shop"]
    assert (await get_incident(api, viewer, partly_public["id"]))["affectedServices"] == ["shop", "vault"]
    assert (await api.http.get(f"/api/incidents/{internal['id']}")).status_code == 404
    assert (await get_incident(api, viewer, internal["id"]))["public"] is False
    assert (await api.get("/api/incidents?service=vault"))["incidents"] == []
    assert len((await api.get("/api/incidents?service=vault", headers=viewer.headers))["incidents"]) == 1


async def test_only_users_see_the_names_of_users(api: Api, db: Db, reporter: User) -> None:
    """Anonymous clients see the same incident without names of users. They see `reporter` if it is not the name of a
    user."""
    viewer, colleague = await create_user(db, "viewer"), await create_user(db, "reporter")
    incident = await create(api, reporter, update="We are looking")
    await add_update(api, colleague, incident["id"], "identified")
    path = f"/api/incidents/{incident['id']}"
    whole = await get_incident(api, viewer, incident["id"])
    assert (whole["author"], whole["reporter"]) == (reporter.username, reporter.username)
    assert [update["author"] for update in whole["updates"]] == [colleague.username, reporter.username]
    for where in (path, "/api/incidents", "/api/incidents?status=all", "/api/incidents/past"):
        shown = (await api.http.get(where)).text
        assert incident["id"] in shown
        assert not any(name in shown for name in (reporter.username, colleague.username)), where
    assert await public_incident(api, incident["id"], whole["version"]) == without_names(whole)
    for name in (reporter.username, colleague.username):
        assert (await api.get(f"/api/incidents?status=all&q={name}"))["incidents"] == []
    named = (await change(api, colleague, incident["id"], reporter="Service desk")).json()["incident"]
    assert (await public_incident(api, incident["id"], named["version"])) == without_names(named)
    assert without_names(named)["reporter"] == "Service desk"
    own_name = (await change(api, colleague, incident["id"], reporter=colleague.username.upper())).json()["incident"]
    assert (await public_incident(api, incident["id"], own_name["version"])) == without_names(own_name) | {
        "reporter": None
    }


async def test_only_users_see_the_name_of_a_token_and_its_owner(api: Api, db: Db) -> None:
    """The default of `reporter` is the name of the creator, cut to the length of the column. Both are hidden."""
    admin = await create_user(db)
    created = await api.http.post("/api/tokens", json={"name": "n" * 100, "role": "reporter"}, headers=admin.headers)
    headers = {"Authorization": f"Bearer {created.json()['secret']}"}
    response = await api.http.post("/api/incidents", json=OUTAGE | {"update": "x"}, headers=headers)
    incident = response.json()["incident"]
    assert incident["author"] == f"{admin.username}/{'n' * 100}"
    assert incident["reporter"] == incident["author"][:100]
    assert (await api.get(f"/api/incidents/{incident['id']}"))["incident"] == without_names(incident) | {
        "reporter": None
    }
    assert [admin.username in str(data) for _, room, data in await incident_events(db) if room == "anonymous"] == [
        False
    ]


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
