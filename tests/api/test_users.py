"""Administration of users over REST: valid and invalid fields, ended access, and the last admin."""

from typing import Any
from uuid import uuid4

import anyio
import psycopg
import pytest

import sql
from api.auth.passwords import Passwords
from sql import connect
from tests.api.conftest import Api, User, create_user, fetch_row

Db = psycopg.AsyncConnection[Any]
KIM = {"username": "kim", "email": "kim@example.com", "role": "reporter"}

pytestmark = [pytest.mark.one_engine, pytest.mark.usefixtures("cheap")]


async def add_user(api: Api, admin: User, **fields: Any) -> dict[str, Any]:
    response = await api.http.post("/api/users", json=KIM | fields, headers=admin.headers)
    assert response.status_code == 201, response.text
    body: dict[str, Any] = response.json()
    return body


async def change_user(api: Api, admin: User, user_id: Any, **fields: Any) -> Any:
    return await api.http.patch(f"/api/users/{user_id}", json=fields, headers=admin.headers)


# Adding


async def test_a_new_user_logs_in_with_the_password_that_is_shown_once(api: Api, db: Db) -> None:
    admin = await create_user(db)
    response = await api.http.post("/api/users", json=KIM, headers=admin.headers)
    assert response.status_code == 201
    body = response.json()
    user = body["user"]
    assert response.headers["location"] == f"/api/users/{user['id']}"
    assert user == KIM | {"id": user["id"], "active": True, "createdAt": user["createdAt"], "lastLoginAt": None}
    assert user["createdAt"].endswith("Z")
    login = await api.http.post("/api/auth/login", json={"username": "kim", "password": body["password"]})
    assert login.status_code == 200
    found = await api.get(f"/api/users/{user['id']}", headers=admin.headers)
    assert set(found) == {"user"}
    assert found["user"] | {"lastLoginAt": None} == user
    assert found["user"]["lastLoginAt"].endswith("Z")


async def test_a_given_password_is_not_repeated(api: Api, db: Db) -> None:
    admin = await create_user(db)
    assert (await add_user(api, admin, password="correct horse battery"))["password"] is None
    login = await api.http.post("/api/auth/login", json={"username": "kim", "password": "correct horse battery"})
    assert login.status_code == 200


INVALID: list[tuple[dict[str, Any], str]] = [
    ({"username": ""}, "username"),
    ({"username": ".kim"}, "username"),
    ({"username": "k m"}, "username"),
    ({"username": "kim\n"}, "username"),
    ({"username": "k\0m"}, "username"),
    ({"username": "kim@example.com"}, "username"),
    ({"username": "\u043aim"}, "username"),
    ({"username": "k" * 51}, "username"),
    ({"username": None}, "username"),
    ({"username": 10**400}, "username"),
    ({"email": "kim"}, "email"),
    ({"email": "kim@"}, "email"),
    ({"email": "kim@a@b"}, "email"),
    ({"email": "kim@example.com\n"}, "email"),
    ({"email": "kim@exa\0mple.com"}, "email"),
    ({"email": "kim@exa\u202emple.com"}, "email"),
    ({"email": "kim@example.com\r\nBcc: all@example.com"}, "email"),
    ({"email": "k" * 90 + "@example.com"}, "email"),
    ({"role": "owner"}, "role"),
    ({"role": "ADMIN"}, "role"),
    ({"role": ["admin"]}, "role"),
    ({"password": "too short"}, "password"),
    ({"password": "x" * 201}, "password"),
    ({"password": None}, "password"),
    # Fields that only the server sets.
    ({"id": str(uuid4())}, "id"),
    ({"passwordHash": "x"}, "passwordHash"),
    ({"password_hash": "x"}, "password_hash"),
    ({"createdAt": "2026-01-01T00:00:00Z"}, "createdAt"),
    ({"lastLoginAt": None}, "lastLoginAt"),
]


async def test_invalid_users_are_refused_by_field(api: Api, db: Db) -> None:
    admin = await create_user(db)
    user_id = (await add_user(api, admin))["user"]["id"]
    for fields, field in INVALID:
        other = {"username": "other", "email": "other@example.com", "role": "viewer"} | fields
        for response in (
            await api.http.post("/api/users", json=other, headers=admin.headers),
            await api.http.patch(f"/api/users/{user_id}", json=fields, headers=admin.headers),
        ):
            assert response.status_code == 400, (fields, response.text)
            assert field in [problem["field"] for problem in response.json()["details"]], (fields, response.text)
    assert await fetch_row(db, "SELECT count(*) FROM users") == (2,)


async def test_the_password_must_not_be_the_user_name(api: Api, db: Db) -> None:
    """It must not be the e-mail address either. Both are compared with their values before and after the change."""
    admin = await create_user(db)
    user_id = (await add_user(api, admin, username="kim.the.first"))["user"]["id"]
    new = {"username": "kim.the.other", "email": "other@example.com", "role": "viewer"}
    for response in (
        await api.http.post("/api/users", json=new | {"password": "KIM.the.other"}, headers=admin.headers),
        await change_user(api, admin, user_id, password="KIM.the.first"),
        await change_user(api, admin, user_id, password="kim@EXAMPLE.com"),
        await change_user(api, admin, user_id, username="kim.the.third", password="kim.the.third"),
    ):
        assert (response.status_code, response.json()["details"][0]["field"]) == (400, "password")


async def test_a_new_user_is_active(api: Api, db: Db) -> None:
    admin = await create_user(db)
    response = await api.http.post("/api/users", json=KIM | {"active": False}, headers=admin.headers)
    assert response.status_code == 400


async def test_names_and_e_mails_are_unique_without_regard_to_case(api: Api, db: Db) -> None:
    admin = await create_user(db)
    await add_user(api, admin)
    other = (await add_user(api, admin, username="other", email="other@example.com"))["user"]["id"]
    for field, taken in (("username", "KIM"), ("email", "KIM@example.com")):
        fresh = {"username": "third", "email": "third@example.com", "role": "viewer"}
        for response in (
            await api.http.post("/api/users", json=fresh | {field: taken}, headers=admin.headers),
            await change_user(api, admin, other, **{field: taken}),
        ):
            assert (response.status_code, response.json()["code"]) == (409, "CONFLICT")
            assert response.json()["details"] == [{"field": field, "message": "is already in use", "code": "taken"}]


async def test_of_concurrent_requests_for_one_name_one_succeeds(api: Api, db: Db) -> None:
    admin = await create_user(db)
    statuses: list[int] = []

    async def take(email: str) -> None:
        response = await api.http.post("/api/users", json=KIM | {"email": email}, headers=admin.headers)
        statuses.append(response.status_code)

    async with anyio.create_task_group() as group:
        for number in range(4):
            group.start_soon(take, f"kim{number}@example.com")
    assert sorted(statuses) == [201, 409, 409, 409]


# Listing


async def test_users_are_listed_by_name_in_pages(api: Api, db: Db) -> None:
    admin = await create_user(db, username="Zoe")
    for name in ("bea", "Ann", "cia"):
        await create_user(db, "viewer", name)
    first = await api.get("/api/users?limit=3", headers=admin.headers)
    assert [user["username"] for user in first["users"]] == ["Ann", "bea", "cia"]
    assert first["pagination"] == {"page": 1, "limit": 3, "total": 4, "totalPages": 2}
    second = await api.get("/api/users?limit=3&page=2", headers=admin.headers)
    assert [user["username"] for user in second["users"]] == ["Zoe"]
    assert (await api.get("/api/users?limit=3&page=3", headers=admin.headers))["users"] == []
    assert set(first["users"][0]) == {"id", "username", "email", "role", "active", "createdAt", "lastLoginAt"}


async def test_users_are_found_by_filters(api: Api, db: Db) -> None:
    admin = await create_user(db, username="Zoe")
    await create_user(db, "viewer", "ann_1")
    await create_user(db, "viewer", "annx1")
    await create_user(db, "reporter", "bea")
    await db.execute("UPDATE users SET active = false WHERE username = 'bea'")

    async def found(query: str) -> list[str]:
        response = await api.get(f"/api/users?{query}", headers=admin.headers)
        names = [user["username"] for user in response["users"]]
        assert response["pagination"]["total"] == len(names)
        return names

    assert await found("search=ANN") == ["ann_1", "annx1"]
    assert await found("search=n_1") == ["ann_1"]
    assert await found("search=%25") == []
    assert await found("search=zoe%40EXAMPLE") == ["Zoe"]
    assert await found("role=viewer") == ["ann_1", "annx1"]
    assert await found("active=false") == ["bea"]
    assert await found("role=viewer&active=true&search=x1") == ["annx1"]
    assert await found("role=viewer&active=false") == []


async def test_invalid_parameters_are_refused_by_name(api: Api, db: Db) -> None:
    admin = await create_user(db)
    for query, field in (
        ("page=0", "page"),
        ("limit=101", "limit"),
        ("limit=" + "9" * 400, "limit"),
        ("role=owner", "role"),
        ("active=perhaps", "active"),
        ("search=%00", "search"),
        ("search=" + "x" * 101, "search"),
    ):
        response = await api.http.get(f"/api/users?{query}", headers=admin.headers)
        assert (response.status_code, response.json()["details"][0]["field"]) == (400, field), response.text


async def test_an_unknown_user_is_not_found(api: Api, db: Db) -> None:
    admin = await create_user(db)
    for user_id in (str(uuid4()), "0", "x" * 300, "%00", "'%20OR%20true", "1e400"):
        for method in ("GET", "PATCH", "DELETE"):
            body: dict[str, Any] = {"json": {"role": "viewer"}} if method == "PATCH" else {}
            response = await api.http.request(method, f"/api/users/{user_id}", headers=admin.headers, **body)
            assert (response.status_code, response.json()["code"]) == (404, "NOT_FOUND"), (method, user_id)


@pytest.mark.parametrize("role", ["viewer", "reporter", None])
async def test_only_admins_administer_users(api: Api, db: Db, role: str | None) -> None:
    headers = (await create_user(db, role)).headers if role else {}
    victim = await create_user(db)
    for method, path in (
        ("GET", "/api/users"),
        ("POST", "/api/users"),
        ("GET", f"/api/users/{victim.user_id}"),
        ("PATCH", f"/api/users/{victim.user_id}"),
        ("DELETE", f"/api/users/{victim.user_id}"),
    ):
        body: dict[str, Any] = (
            {"json": KIM if method == "POST" else {"role": "viewer"}} if method in ("POST", "PATCH") else {}
        )
        response = await api.http.request(method, path, headers=headers, **body)
        assert response.status_code == (403 if role else 401), (method, path)


# Changing


async def test_a_change_affects_only_the_given_fields(api: Api, db: Db) -> None:
    admin = await create_user(db)
    user = (await add_user(api, admin))["user"]
    changed = await change_user(api, admin, user["id"], email="new@example.com")
    assert changed.json() == {"user": user | {"email": "new@example.com"}}
    assert (await change_user(api, admin, user["id"])).json() == changed.json()
    renamed = await change_user(api, admin, user["id"], username="KIM", role="viewer", active=False)
    expected = {"username": "KIM", "email": "new@example.com", "role": "viewer", "active": False}
    assert renamed.json()["user"] == user | expected


async def test_a_change_takes_effect_with_the_next_request(api: Api, db: Db) -> None:
    admin, other = await create_user(db), await create_user(db)

    async def status() -> int:
        return (await api.http.get("/api/users", headers=other.headers)).status_code

    assert await status() == 200
    await change_user(api, admin, other.user_id, role="reporter")
    assert await status() == 403
    await change_user(api, admin, other.user_id, role="admin")
    assert await status() == 200
    await change_user(api, admin, other.user_id, active=False)
    assert await status() == 401
    await change_user(api, admin, other.user_id, active=True)
    assert await status() == 401, "a user who is enabled again must log in again"


async def test_a_password_set_by_an_admin_ends_the_sessions(api: Api, db: Db) -> None:
    admin, other = await create_user(db), await create_user(db, "viewer")
    response = await change_user(api, admin, other.user_id, password="correct horse battery")
    assert response.status_code == 200
    assert (await api.http.get("/api/auth/me", headers=other.headers)).status_code == 401
    login = {"username": other.username, "password": "correct horse battery"}
    assert (await api.http.post("/api/auth/login", json=login)).status_code == 200


async def test_deleting_a_user_ends_its_sessions_and_tokens(api: Api, db: Db) -> None:
    admin, other = await create_user(db), await create_user(db)
    created_token = await api.http.post("/api/tokens", json={"name": "ci", "role": "viewer"}, headers=other.headers)
    machine = {"Authorization": f"Bearer {created_token.json()['secret']}"}
    assert (await api.http.get("/api/auth/me", headers=machine)).status_code == 200
    removed = await api.http.delete(f"/api/users/{other.user_id}", headers=admin.headers)
    assert (removed.status_code, removed.content) == (204, b"")
    for headers in (other.headers, machine):
        assert (await api.http.get("/api/auth/me", headers=headers)).status_code == 401
    assert await fetch_row(db, "SELECT count(*) FROM sessions") == (1,)


async def test_changes_are_in_the_audit_log(api: Api, db: Db) -> None:
    admin = await create_user(db)
    user_id = (await add_user(api, admin, password="correct horse battery"))["user"]["id"]
    await change_user(api, admin, user_id, role="viewer", password="another horse battery")
    await api.http.delete(f"/api/users/{user_id}", headers=admin.headers)
    rows = await (
        await db.execute(
            "SELECT actor, host(address), action, before, after FROM audit_entries WHERE object_id = %s ORDER BY id",
            [user_id],
        )
    ).fetchall()
    assert [(actor, address, action) for actor, address, action, *_ in rows] == [
        (admin.username, "127.0.0.1", "create"),
        (admin.username, "127.0.0.1", "update"),
        (admin.username, "127.0.0.1", "delete"),
    ]
    assert rows[1][3:] == ({"role": "reporter", "password_hash": "***"}, {"role": "viewer", "password_hash": "***"})
    assert all(row[3] is None or row[3]["password_hash"] == "***" for row in rows)


async def test_all_processes_are_notified_of_changes_of_access(db: Db, database: str) -> None:
    """The processes close sockets of users who lose access. Other changes cause no notification."""
    await create_user(db, username="kim")
    await create_user(db)
    await db.execute(
        "INSERT INTO api_tokens (owner_id, name, role, token_hash) SELECT id, 'ci', role, '' FROM users LIMIT 1"
    )
    async with await connect(database, application="listener") as listener:
        await listener.execute("LISTEN sla_monitor")

        async def notifications_of(statement: str) -> list[str]:
            await db.execute(statement.encode())
            await db.execute("NOTIFY sla_monitor, 'end'")
            payloads = []
            async for notification in listener.notifies(timeout=120):
                if notification.payload == "end":
                    break
                payloads.append(notification.payload)
            return payloads

        for silent in (
            "UPDATE users SET last_login_at = now(), email = 'new@example.com' WHERE username = 'kim'",
            "UPDATE sessions SET expires_at = now() + interval '2 days'",
            "UPDATE api_tokens SET last_used_at = now()",
            sql.query("housekeeping/prune_sessions").strip(),
        ):
            assert await notifications_of(silent) == [], silent
        for statement in (
            "UPDATE users SET username = 'KIM' WHERE username = 'kim'",
            "UPDATE users SET role = 'viewer' WHERE username = 'KIM'",
            "UPDATE users SET password_hash = 'new' WHERE username = 'KIM'",
            "UPDATE users SET active = false WHERE username = 'KIM'",
            "UPDATE api_tokens SET revoked_at = now()",
            "DELETE FROM api_tokens",
            "UPDATE sessions SET revoked_at = now() WHERE revoked_at IS NULL",
            "DELETE FROM users WHERE username = 'KIM'",
        ):
            assert await notifications_of(statement) == ["access"], statement


# The last admin


async def test_the_last_active_admin_cannot_be_demoted_disabled_or_deleted(api: Api, db: Db) -> None:
    admin, disabled = await create_user(db), await create_user(db)
    await db.execute("UPDATE users SET active = false WHERE id = %s", [disabled.user_id])
    for response in (
        await change_user(api, admin, admin.user_id, role="reporter"),
        await change_user(api, admin, admin.user_id, active=False),
        await api.http.delete(f"/api/users/{admin.user_id}", headers=admin.headers),
    ):
        assert (response.status_code, response.json()["code"]) == (409, "CONFLICT")
        assert "last active admin" in response.json()["error"]
    assert (await api.http.get("/api/users", headers=admin.headers)).status_code == 200
    assert (await change_user(api, admin, admin.user_id, username="still-admin")).status_code == 200


async def test_of_two_admins_who_demote_each_other_one_succeeds(api: Api, db: Db) -> None:
    for way in ({"role": "viewer"}, {"active": False}, None):
        await db.execute("TRUNCATE users CASCADE")
        ann, bea = await create_user(db, username="ann"), await create_user(db, username="bea")
        statuses: list[int] = []

        async def take(by: User, of: User, way: dict[str, Any] | None = way, into: list[int] = statuses) -> None:
            if way is not None:
                into.append((await change_user(api, by, of.user_id, **way)).status_code)
            else:
                response = await api.http.delete(f"/api/users/{of.user_id}", headers=by.headers)
                into.append(response.status_code)

        async with anyio.create_task_group() as group:
            group.start_soon(take, ann, bea)
            group.start_soon(take, bea, ann)
        # The second request is refused: its target is the last admin, or its user is no longer an admin.
        assert min(statuses) in (200, 204), statuses
        assert max(statuses) in (401, 403, 409), statuses
        assert await fetch_row(db, "SELECT count(*) FROM users WHERE role = 'admin' AND active") == (1,)


async def test_a_user_can_be_deleted_during_its_login(api: Api, db: Db) -> None:
    admin = await create_user(db)
    for number in range(4):
        password = (await add_user(api, admin))["password"]
        [user_id] = await fetch_row(db, "SELECT id FROM users WHERE username = 'kim'")
        statuses: list[int] = []

        async def log_in(password: str = password, into: list[int] = statuses) -> None:
            response = await api.http.post("/api/auth/login", json={"username": "kim", "password": password})
            into.append(response.status_code)

        async with anyio.create_task_group() as group:
            group.start_soon(log_in)
            await anyio.sleep(number * 0.002)
            response = await api.http.delete(f"/api/users/{user_id}", headers=admin.headers)
        assert response.status_code == 204
        assert statuses[0] in (200, 401)
        assert await fetch_row(db, "SELECT count(*) FROM sessions") == (1,)


async def test_no_password_is_hashed_for_a_refused_request(api: Api, db: Db, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise any user could occupy the two hashing threads."""

    async def never(*_: object) -> str:
        raise AssertionError

    monkeypatch.setattr(Passwords, "hash", never)
    viewer = await create_user(db, "viewer")
    assert (await api.http.post("/api/users", json=KIM, headers=viewer.headers)).status_code == 403
