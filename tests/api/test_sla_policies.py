"""SLA policies over REST: versions, validity, conflicts, roles and the audit log."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import anyio
import httpx
import pytest

from tests.api.conftest import Api, User, add_service, create_user, until
from tests.api.people import Db
from tests.api.test_sla_figures import add_policy
from tests.sql.batches import set_clock

pytestmark = pytest.mark.one_engine

NOON = datetime(2026, 11, 15, 12, tzinfo=UTC)
TOMORROW = "2026-11-16"
PATH = "/api/sla/policies"
TERMS = {"name": "Standard", "target": 99.9, "timeZone": "UTC"}
EVERYTHING = {"scope": "everything", **TERMS}
HOURS = [{"days": [1, 2, 3, 4, 5], "from": "08:00", "until": "20:00"}]


@pytest.fixture
async def admin(db: Db) -> User:
    """An admin. The clock of the database stands at NOON."""
    user = await create_user(db)
    await set_clock(db, NOON)
    return user


async def send(
    api: Api, user: User, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
) -> httpx.Response:
    return await api.http.request(method, path, json=body, headers={**user.headers, **(headers or {})})


async def create(api: Api, user: User, **fields: Any) -> Any:
    response = await send(api, user, "POST", PATH, {**EVERYTHING, **fields})
    assert response.status_code == 201, response.text
    return response.json()["policy"]


async def change(api: Api, user: User, policy: Any, **fields: Any) -> Any:
    response = await send(api, user, "PUT", f"{PATH}/{policy['id']}", fields)
    assert response.status_code == 200, response.text
    return response.json()["policy"]


def problems(response: httpx.Response) -> list[tuple[str, str]]:
    assert response.status_code == 400, response.text
    return [(problem["field"], problem["code"]) for problem in response.json()["details"]]


async def test_a_new_policy_has_its_first_version_from_tomorrow_and_the_defaults(api: Api, admin: User) -> None:
    body = {"scope": "tag", "subject": "gold", "name": "Gold", "target": 99.95}
    response = await send(api, admin, "POST", PATH, body)
    policy = response.json()["policy"]
    assert response.headers["location"] == f"{PATH}/{policy['id']}"
    assert (policy["scope"], policy["subject"], policy["version"]) == ("tag", "gold", 1)
    assert policy["current"] is None
    [version] = policy["versions"]
    assert policy["future"] == version
    assert version == {
        "version": 1,
        "validFrom": TOMORROW,
        "ended": False,
        "name": "Gold",
        "target": 99.95,
        "period": "month",
        "rollingDays": None,
        "timeZone": "UTC",
        "serviceHours": None,
        "holidayCalendar": None,
        "maintenance": "excluded",
        "announcedMinutes": 0,
        "degradedWeight": 0.0,
        "unknown": "excluded",
        "shortestOutageSeconds": 0,
        "quorum": "majority",
        "quorumLocations": None,
        "leastCoverage": 0.0,
        "responseTimeObjective": None,
        "credits": None,
        "groupMethod": "worst",
        "author": admin.username,
        "recordedAt": "2026-11-15T12:00:00.000Z",
    }


async def test_all_terms_are_stored(api: Api, admin: User) -> None:
    await send(api, admin, "PUT", "/api/sla/holidays/Korea", {"days": []})
    terms = {
        "name": "Gold",
        "validFrom": "2000-01-01",
        "target": 99.9875,
        "period": "rolling",
        "rollingDays": 28,
        "timeZone": "Asia/Seoul",
        "serviceHours": [*HOURS, {"days": [6], "from": "00:00", "until": "24:00"}],
        "holidayCalendar": "Korea",
        "maintenance": "counted",
        "announcedMinutes": 120,
        "degradedWeight": 0.125,
        "unknown": "down",
        "shortestOutageSeconds": 60,
        "quorum": "number",
        "quorumLocations": 2,
        "leastCoverage": 98.5,
        "responseTimeObjective": {"ms": 300, "share": 99.5},
        "credits": [{"below": 99.9, "credit": 10.0}, {"below": 99.0, "credit": 25.0}],
        "groupMethod": "mean",
    }
    policy = await create(api, admin, **terms)
    assert {name: policy["current"][name] for name in terms} == terms
    assert (await api.get(f"{PATH}/{policy['id']}", headers=admin.headers))["policy"] == policy


async def test_tomorrow_and_the_current_version_follow_the_zone_of_the_policy(api: Api, db: Db, admin: User) -> None:
    await set_clock(db, datetime(2026, 11, 15, 16, tzinfo=UTC))  # 01:00 on the 16th in Seoul
    seoul = await create(api, admin, timeZone="Asia/Seoul")
    assert seoul["future"]["validFrom"] == "2026-11-17"
    await set_clock(db, datetime(2026, 11, 16, 15, tzinfo=UTC))  # midnight
    policy = (await api.get(f"{PATH}/{seoul['id']}", headers=admin.headers))["policy"]
    assert (policy["current"]["version"], policy["future"]) == (1, None)


async def test_a_change_adds_a_version_and_keeps_the_other_terms(api: Api, admin: User) -> None:
    policy = await create(api, admin, validFrom="2026-01-01", serviceHours=HOURS, degradedWeight=0.5)
    changed = await change(api, admin, policy, target=99.5, validFrom="2026-12-01")
    assert [version["version"] for version in changed["versions"]] == [2, 1]
    assert (changed["version"], changed["current"], changed["future"]["target"]) == (2, policy["current"], 99.5)
    assert (changed["future"]["serviceHours"], changed["future"]["degradedWeight"]) == (HOURS, 0.5)
    again = await change(api, admin, policy, target=99.0)  # from tomorrow: version 2 never applies
    assert (again["future"]["version"], again["future"]["validFrom"]) == (3, TOMORROW)
    [listed] = (await api.get(PATH, headers=admin.headers))["policies"]
    assert listed == {name: value for name, value in again.items() if name != "versions"}
    assert len(again["versions"]) == 3


async def test_a_later_version_begins_tomorrow_at_the_earliest(api: Api, admin: User) -> None:
    policy = await create(api, admin)
    path = f"{PATH}/{policy['id']}"
    response = await send(api, admin, "PUT", path, {"validFrom": "2026-11-15"})
    assert problems(response) == [("validFrom", "from_day")]
    assert response.json()["details"][0]["parameters"] == {"first": TOMORROW}
    assert problems(await send(api, admin, "DELETE", f"{path}?from=2026-11-15")) == [("from", "from_day")]
    assert problems(await send(api, admin, "DELETE", f"{path}?from=2026-02-30")) == [("from", "day")]
    assert problems(await send(api, admin, "DELETE", f"{path}?from=2101-01-01")) == [("from", "years")]
    assert len((await api.get(path, headers=admin.headers))["policy"]["versions"]) == 1


async def test_a_change_is_refused_if_there_is_a_newer_version(api: Api, admin: User) -> None:
    policy = await create(api, admin)
    path = f"{PATH}/{policy['id']}"
    first = (await api.http.get(path, headers=admin.headers)).headers["etag"]
    known = await api.http.get(path, headers={**admin.headers, "If-None-Match": first})
    assert (known.status_code, known.content) == (304, b"")
    saved = await send(api, admin, "PUT", path, {"target": 99}, {"If-Match": first})
    assert saved.status_code == 200
    refused = await send(api, admin, "PUT", path, {"target": 98}, {"If-Match": '"1"'})
    assert (refused.status_code, refused.json()["code"]) == (412, "CONFLICT")
    assert refused.json()["policy"] == saved.json()["policy"]
    assert refused.headers["etag"] == saved.headers["etag"]
    assert (await send(api, admin, "PUT", path, {"target": 98}, {"If-Match": '"2"'})).json()["policy"]["version"] == 3


async def test_a_policy_ends_and_is_resumed_by_versions(api: Api, db: Db, admin: User) -> None:
    policy = await create(api, admin, validFrom="2026-01-01")
    path = f"{PATH}/{policy['id']}"
    assert (await send(api, admin, "DELETE", f"{path}?from=2026-12-01")).status_code == 204
    ended = (await api.get(path, headers=admin.headers))["policy"]
    assert (ended["future"]["ended"], ended["future"]["validFrom"], ended["version"]) == (True, "2026-12-01", 2)
    assert ended["current"] == policy["current"]
    for later in ("?from=2026-12-01", "?from=2027-01-01"):
        assert (await send(api, admin, "DELETE", path + later)).status_code == 204
    assert (await api.get(path, headers=admin.headers))["policy"] == ended
    assert (await send(api, admin, "DELETE", path)).status_code == 204
    assert (await api.get(path, headers=admin.headers))["policy"]["future"]["validFrom"] == TOMORROW

    await set_clock(db, NOON + timedelta(days=1))
    policy = (await api.get(path, headers=admin.headers))["policy"]
    assert (policy["current"]["ended"], policy["future"]) == (True, None)
    resumed = await change(api, admin, policy)
    assert (resumed["future"]["ended"], resumed["future"]["target"]) == (False, 99.9)


async def test_a_subject_has_one_policy(api: Api, db: Db, admin: User) -> None:
    await add_service(db, "shop")
    for subject in ({}, {"scope": "group", "subject": "a"}, {"scope": "service", "subject": "shop"}):
        policy = await create(api, admin, **subject)
        await send(api, admin, "DELETE", f"{PATH}/{policy['id']}")
        response = await send(api, admin, "POST", PATH, {**EVERYTHING, **subject})
        assert (response.status_code, response.json()["reason"]) == (409, "policy_exists")
    await create(api, admin, scope="tag", subject="a")
    listed = (await api.get(PATH, headers=admin.headers))["policies"]
    assert [policy["scope"] for policy in listed] == ["service", "tag", "group", "everything"]


async def test_two_tags_of_a_service_cannot_both_have_a_policy(api: Api, db: Db, admin: User) -> None:
    await add_service(db, "shop", tags=["gold", "eu", "web"])
    await add_service(db, "wiki", tags=["eu", "new"])
    gold = await create(api, admin, scope="tag", subject="gold")
    await create(api, admin, scope="tag", subject="new")
    body = {**EVERYTHING, "scope": "tag", "subject": "web"}
    response = await send(api, admin, "POST", PATH, body)
    assert (response.status_code, response.json()["reason"]) == (409, "two_tag_policies")
    assert response.json()["parameters"] == {"service": "shop", "tag": "web", "other": "gold"}
    assert "web and gold" in response.json()["error"]
    assert len((await api.get(PATH, headers=admin.headers))["policies"]) == 2

    await send(api, admin, "DELETE", f"{PATH}/{gold['id']}?from=2026-12-01")
    before = await send(api, admin, "POST", PATH, {**body, "validFrom": "2026-11-30"})
    assert before.status_code == 409
    await create(api, admin, **{**body, "validFrom": "2026-12-01"})
    resumed = await send(api, admin, "PUT", f"{PATH}/{gold['id']}", {"validFrom": "2027-01-01"})
    assert (resumed.status_code, resumed.json()["parameters"]["other"]) == (409, "web")


async def test_policies_are_saved_one_after_another(api: Api, db: Db, admin: User) -> None:
    """A request waits for a transaction that has added the policy of another tag, and then sees it."""
    await add_service(db, "shop", tags=["gold", "web"])
    body = {**EVERYTHING, "scope": "tag", "subject": "web"}

    async def waits() -> bool:
        cursor = await db.execute(
            "SELECT FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database "
            "WHERE datname = current_database() AND relation = 'sla_policies'::regclass AND NOT granted"
        )
        return cursor.rowcount == 1

    responses: list[httpx.Response] = []

    async def post() -> None:
        responses.append(await send(api, admin, "POST", PATH, body))

    async with anyio.create_task_group() as tasks, db.transaction():
        await add_policy(db, "tag", "gold")
        tasks.start_soon(post)
        await until(waits)
    assert [response.status_code for response in responses] == [409]
    assert responses[0].json()["parameters"]["other"] == "gold"


async def test_without_a_zone_a_policy_has_that_of_the_installation(api: Api, db: Db, admin: User) -> None:
    row = await (await db.execute("SELECT reporting_time_zone()")).fetchone()
    assert row is not None
    response = await send(api, admin, "POST", PATH, {"scope": "everything", "name": "Standard", "target": 99})
    version = response.json()["policy"]["future"]
    tomorrow = NOON.astimezone(ZoneInfo(row[0])).date() + timedelta(days=1)
    assert (version["timeZone"], date.fromisoformat(version["validFrom"])) == (row[0], tomorrow)


async def test_an_unknown_policy_is_a_404(api: Api, admin: User) -> None:
    for policy_id in ("nothing", "00000000-0000-0000-0000-000000000000"):
        for method, body in (("GET", None), ("PUT", {}), ("DELETE", None)):
            response = await send(api, admin, method, f"{PATH}/{policy_id}", body)
            assert (response.status_code, response.json()["reason"]) == (404, "unknown_policy")


async def test_changes_are_in_the_audit_log(api: Api, db: Db, admin: User) -> None:
    path = "/api/sla/holidays/Korea"
    for name in ("개천절", "개천절", "휴일"):  # the second request changes nothing
        await send(api, admin, "PUT", path, {"days": [{"day": "2026-10-03", "name": name}]})
    await send(api, admin, "DELETE", path)
    policy = await create(api, admin)
    await change(api, admin, policy, target=99)
    cursor = await db.execute(
        "SELECT action, object_type, object_id, after -> 'target' FROM audit_entries WHERE actor = %s ORDER BY id",
        [admin.username],
    )
    assert await cursor.fetchall() == [
        ("create", "holiday-calendar", "Korea", None),
        ("update", "holiday-calendar", "Korea", None),
        ("delete", "holiday-calendar", "Korea", None),
        ("create", "sla-policy", policy["id"], None),
        ("create", "sla-policy-version", policy["id"], 99.9),
        ("create", "sla-policy-version", policy["id"], 99),
    ]


async def test_only_admins_change_policies_and_only_reporters_read_them(api: Api, db: Db, admin: User) -> None:
    policy = await create(api, admin)
    reporter, viewer = await create_user(db, "reporter"), await create_user(db, "viewer")
    path = f"{PATH}/{policy['id']}"
    for read in (PATH, path, "/api/sla/holidays"):
        assert (await api.http.get(read, headers=reporter.headers)).status_code == 200
        assert (await api.http.get(read, headers=viewer.headers)).status_code == 403
        assert (await api.http.get(read)).status_code == 401
    for method, changed, body in (
        ("POST", PATH, EVERYTHING),
        ("PUT", path, {"target": 99}),
        ("DELETE", path, None),
        ("PUT", "/api/sla/holidays/a", {"days": []}),
        ("DELETE", "/api/sla/holidays/a", None),
    ):
        assert (await send(api, reporter, method, changed, body)).status_code == 403
    assert (await api.get(path, headers=admin.headers))["policy"] == policy
