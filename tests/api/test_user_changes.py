"""Changes of users over REST: ended access, the audit log, notifications, and the last admin."""

from typing import Any

import anyio
import psycopg
import pytest

import sql
from api.auth.passwords import Passwords
from sql import connect
from tests.api.conftest import Api, User, create_user, fetch_row
from tests.api.user_administration import KIM, add_user, change_user

Db = psycopg.AsyncConnection[Any]

pytestmark = [pytest.mark.one_engine, pytest.mark.usefixtures("cheap")]


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
