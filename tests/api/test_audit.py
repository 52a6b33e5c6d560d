"""The audit log: actor, action, object and client address of each change. It contains no secrets and cannot be
changed."""

import ipaddress
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from tests.api.accounts import PASSWORD, add_user
from tests.api.conftest import Api, User, add_service, create_user, running_api
from tests.api.visitors import visitor

pytestmark = pytest.mark.one_engine

Db = psycopg.AsyncConnection[Any]
SHOP = {"id": "shop", "name": "Shop", "endpointUrl": "https://shop.example/health"}


@pytest.fixture
async def admin(db: Db) -> User:
    return await create_user(db, "admin", "ada")


async def entries(api: Api, admin: User, **filters: Any) -> list[dict[str, Any]]:
    response = await api.http.get("/api/audit", params=filters, headers=admin.headers)
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.json()["entries"]
    return found


async def test_a_change_over_rest_is_logged_with_user_address_and_request_id(api: Api, admin: User) -> None:
    creation = await api.http.post("/api/services", json=SHOP, headers=admin.headers)
    renamed = await api.http.patch("/api/services/shop", json={"name": "Store"}, headers=admin.headers)
    deleted = await api.http.delete("/api/services/shop", headers=admin.headers)
    found = await entries(api, admin, objectType="service")
    assert [(one["action"], one["requestId"]) for one in found] == [
        ("delete", deleted.headers["x-request-id"]),
        ("update", renamed.headers["x-request-id"]),
        ("create", creation.headers["x-request-id"]),
    ]
    for one in found:
        assert one["actor"] == {"kind": "user", "id": str(admin.user_id), "name": "ada"}
        assert (one["address"], one["objectType"], one["objectId"]) == ("127.0.0.1", "service", "shop")
    gone, changed, created = found
    assert (changed["before"], changed["after"]) == ({"name": "Shop"}, {"name": "Store"})
    assert (created["before"], gone["after"]) == (None, None)
    assert created["after"]["endpoint_url"] == gone["before"]["endpoint_url"] == SHOP["endpointUrl"]
    assert [one["id"] for one in found] == sorted((one["id"] for one in found), reverse=True)


async def test_behind_a_trusted_proxy_the_address_is_that_of_the_client(database: str, db: Db, admin: User) -> None:
    headers = admin.headers | {"X-Forwarded-For": "6.6.6.6, 2001:db8::7"}
    proxies = [((), "127.0.0.1"), (("127.0.0.0/8",), "2001:db8::7")]
    for trusted, address in proxies:
        networks = tuple(ipaddress.ip_network(text) for text in trusted)
        async with running_api(database, trusted_proxies=networks) as api:
            await api.http.post("/api/services", json=SHOP, headers=headers)
            await api.http.delete("/api/services/shop", headers=headers)
            assert [one["address"] for one in await entries(api, admin, objectType="service", limit=2)] == [address] * 2


async def test_a_change_with_an_api_token_names_the_token(api: Api, db: Db, admin: User) -> None:
    await db.execute(
        "INSERT INTO api_tokens (owner_id, name, role, token_hash) "
        "VALUES (%s, 'deploy', 'admin', sha256('slam_machine'))",
        [admin.user_id],
    )
    await api.http.post("/api/services", json=SHOP, headers={"Authorization": "Bearer slam_machine"})
    [created] = await entries(api, admin, objectType="service")
    assert created["actor"] == {"kind": "token", "id": str(admin.user_id), "name": "ada/deploy"}


async def test_a_change_in_sql_names_the_database_role(api: Api, db: Db, admin: User) -> None:
    await add_service(db, "shop")
    await db.execute("UPDATE services SET interval_seconds = 30")
    await db.execute("UPDATE services SET interval_seconds = 30")  # changes nothing
    changed, created = await entries(api, admin, objectId="shop")
    assert changed["actor"] == {"kind": "program", "id": None, "name": "analyst"}
    assert (changed["address"], changed["requestId"]) == (None, None)
    assert (changed["before"], changed["after"]) == ({"interval_seconds": 60}, {"interval_seconds": 30})
    assert created["action"] == "create"


async def test_a_change_that_is_rolled_back_is_not_logged(api: Api, db: Db, admin: User) -> None:
    refused = await api.http.post("/api/services", json=SHOP | {"intervalSeconds": 0}, headers=admin.headers)
    assert refused.status_code == 400
    with pytest.raises(ZeroDivisionError):
        async with db.transaction():
            await add_service(db, "undone")
            raise ZeroDivisionError
    assert await entries(api, admin, objectType="service") == []


async def test_secrets_are_not_logged(api: Api, db: Db, admin: User) -> None:
    secret = {"headers": {"Authorization": "Bearer top-secret"}, "body": "password=top-secret"}
    await api.http.post("/api/services", json=SHOP | secret, headers=admin.headers)
    other = {"headers": {"X-Key": "top-secret-either"}, "body": None}
    await api.http.patch("/api/services/shop", json=other, headers=admin.headers)
    await api.http.delete("/api/services/shop", headers=admin.headers)
    await db.execute("UPDATE users SET password_hash = 'top-secret' WHERE id = %s", [admin.user_id])
    await db.execute("UPDATE sessions SET revoked_at = NULL")
    await db.execute(
        "INSERT INTO api_tokens (owner_id, name, role, token_hash) VALUES (%s, 'deploy', 'admin', 'top-secret')",
        [admin.user_id],
    )
    await db.execute("UPDATE api_tokens SET token_hash = 'top-secret-either'")
    await db.execute("DELETE FROM api_tokens")

    found = await entries(api, admin)
    assert {one["objectType"] for one in found} == {"service", "user", "token"}
    rows = await (await db.execute("SELECT to_jsonb(audit_log) FROM audit_log")).fetchall()
    for text in (json.dumps(found), str(rows)):
        assert "top-secret" not in text
        assert b"top-secret".hex() not in text
    changed = next(one for one in found if (one["objectType"], one["action"]) == ("service", "update"))
    assert changed["before"] == {"headers": "***", "body": "***"}
    assert changed["after"] == {"headers": "***", "body": "***"}
    token = next(one for one in found if (one["objectType"], one["action"]) == ("token", "create"))
    assert token["after"]["token_hash"] == "***"


async def test_entries_are_found_by_actor_object_action_and_time(api: Api, db: Db, admin: User) -> None:
    await add_service(db, "shop")
    await add_service(db, "mail")
    await api.http.patch("/api/services/shop", json={"name": "Store"}, headers=admin.headers)

    async def ids(**filters: Any) -> list[tuple[str, str]]:
        return [(one["action"], one["objectId"]) for one in await entries(api, admin, **filters)]

    newest_first = [("update", "shop"), ("create", "mail"), ("create", "shop")]
    assert await ids(objectType="service") == newest_first
    assert await ids(objectType="service", objectId="shop") == [newest_first[0], newest_first[2]]
    assert await ids(objectType="service", action="create") == newest_first[1:]
    assert await ids(actor="ADA") == await ids(actor=str(admin.user_id).upper()) == newest_first[:1]
    assert await ids(actor="unknown") == []
    soon, now = datetime.now(UTC) + timedelta(minutes=1), datetime.now(UTC)
    early = now - timedelta(minutes=1)
    assert await ids(objectType="service", **{"from": early.isoformat(), "to": soon.isoformat()}) == newest_first
    assert await ids(**{"from": soon.isoformat()}) == await ids(to=early.isoformat()) == []


async def test_entries_are_listed_in_pages(api: Api, db: Db, admin: User) -> None:
    for n in range(5):
        await add_service(db, f"s{n}")
    pages = []
    for page in (1, 2, 3, 4):
        filters: dict[str, Any] = {"objectType": "service", "limit": 2, "page": page}
        response = (await api.http.get("/api/audit", params=filters, headers=admin.headers)).json()
        assert response["pagination"] == {"page": page, "limit": 2, "total": 5, "totalPages": 3}
        pages.append([one["objectId"] for one in response["entries"]])
    assert pages == [["s4", "s3"], ["s2", "s1"], ["s0"], []]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("page=0", "page"),
        ("page=" + "9" * 400, "page"),
        ("limit=101", "limit"),
        ("from=2026-11-23T14:00:00", "from"),
        ("to=yesterday", "to"),
        ("to=1795442400", "to"),
        ("from=0.5", "from"),
        ("actor=%00", "actor"),
        ("objectId=a%00", "objectId"),
        ("objectType=" + "x" * 51, "objectType"),
        ("action=" + "x" * 51, "action"),
    ],
)
async def test_an_invalid_filter_is_refused_by_field(api: Api, admin: User, query: str, field: str) -> None:
    response = await api.http.get(f"/api/audit?{query}", headers=admin.headers)
    assert (response.status_code, response.json()["details"][0]["field"]) == (400, field), response.text


@pytest.mark.parametrize(
    "query", ["actor=%ff", "objectId=%ed%a0%80", "from=0001-01-01T00:00:00%2B14:00", "page=1000000"]
)
async def test_unusual_filters_never_cause_a_server_error(api: Api, admin: User, query: str) -> None:
    response = await api.http.get(f"/api/audit?{query}", headers=admin.headers)
    assert response.status_code in (200, 400), response.text


@pytest.mark.parametrize(("role", "status"), [(None, 401), ("viewer", 403), ("reporter", 403)])
async def test_only_admins_read_the_audit_log(api: Api, db: Db, role: str | None, status: int) -> None:
    headers = (await create_user(db, role)).headers if role else {}
    assert (await api.http.get("/api/audit", headers=headers)).status_code == status


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_entries SET actor = 'another user'",
        "UPDATE audit_log SET actor = 'another user'",
        "DELETE FROM audit_entries",
        "DELETE FROM audit_log",
        "TRUNCATE audit_entries",
    ],
)
async def test_entries_cannot_be_changed_or_deleted(db: Db, statement: str) -> None:
    await add_service(db, "shop")
    before = await (await db.execute("SELECT * FROM audit_log")).fetchall()
    with pytest.raises(psycopg.errors.RestrictViolation):
        await db.execute(statement.encode())
    assert await (await db.execute("SELECT * FROM audit_log")).fetchall() == before != []


async def test_the_view_for_analysts_has_a_comment(db: Db) -> None:
    row = await (await db.execute("SELECT obj_description('audit_log'::regclass)")).fetchone()
    assert row is not None
    assert row[0].startswith("one row for each change")


async def test_a_login_is_shown_with_the_name_of_its_user(api: Api, db: Db, admin: User) -> None:
    """REST and the page show the name instead of the id of the user."""
    await add_user(db, "rosa")
    await api.http.post("/api/auth/login", json={"username": "rosa", "password": PASSWORD})
    [login] = await entries(api, admin, action="login")
    assert (login["objectType"], login["objectName"], login["actor"]["name"]) == ("user", "rosa", "rosa")
    page = await (await visitor(api, admin)).get("/console/audit?action=login")
    assert "“rosa”" in page.text
    await db.execute("DELETE FROM users WHERE username = 'rosa'")
    [entry] = await entries(api, admin, action="login")
    assert entry["objectName"] == "rosa"
    await api.http.post("/api/services", json=SHOP, headers=admin.headers)
    assert (await entries(api, admin, objectType="service"))[0]["objectName"] is None
