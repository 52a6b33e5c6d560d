"""API tokens: shown once, limited to the permissions of their owner, and revoked at once."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest

from tests.api.coming import coming_day
from tests.api.conftest import Api, User, create_user

pytestmark = pytest.mark.one_engine

Db = psycopg.AsyncConnection[Any]
MALLORY = {"username": "mallory", "email": "mallory@example.com", "role": "admin"}


async def create_token(api: Api, owner: User, **fields: Any) -> dict[str, Any]:
    response = await api.http.post("/api/tokens", json={"name": "ci", "role": "admin"} | fields, headers=owner.headers)
    assert response.status_code == 201, response.text
    created: dict[str, Any] = response.json()
    return created


async def with_token(api: Api, secret: str, path: str = "/api/auth/me") -> httpx.Response:
    return await api.http.get(path, headers={"Authorization": f"Bearer {secret}"})


async def test_a_token_is_shown_once_and_stored_as_a_hash(api: Api, db: Db) -> None:
    admin = await create_user(db)
    created = await create_token(api, admin, role="viewer")
    secret, token = created["secret"], created["token"]
    assert secret.startswith("slam_")
    assert len(secret) == len("slam_") + 43
    assert token == {
        "id": token["id"],
        "name": "ci",
        "role": "viewer",
        "owner": {"id": str(admin.user_id), "username": admin.username},
        "createdAt": token["createdAt"],
        "expiresAt": None,
        "lastUsedAt": None,
        "lastUsedFrom": None,
        "revokedAt": None,
    }
    listed = await api.http.get("/api/tokens", headers=admin.headers)
    assert listed.json()["tokens"] == [token]
    assert secret not in listed.text
    [(stored, whole)] = await (await db.execute("SELECT token_hash, to_jsonb(t)::text FROM api_tokens AS t")).fetchall()
    assert stored == hashlib.sha256(secret.encode()).digest()
    assert secret not in whole


async def test_a_token_acts_as_its_owner_and_its_last_use_is_stored(api: Api, db: Db) -> None:
    admin = await create_user(db)
    secret = (await create_token(api, admin, role="viewer"))["secret"]
    response = await with_token(api, secret)
    assert response.json()["user"] == {
        "id": str(admin.user_id),
        "username": admin.username,
        "email": f"{admin.username}@example.com",
        "role": "viewer",
    }
    [token] = (await api.get("/api/tokens", headers=admin.headers))["tokens"]
    assert token["lastUsedAt"].endswith("Z")
    assert token["lastUsedFrom"] == "127.0.0.1"


async def test_a_token_has_at_most_the_permissions_of_its_owner(api: Api, db: Db) -> None:
    admin, _ = await create_user(db), await create_user(db)
    weak = (await create_token(api, admin, role="reporter"))["secret"]
    strong = (await create_token(api, admin, name="strong"))["secret"]
    assert (await with_token(api, weak, "/api/settings")).status_code == 403
    assert (await with_token(api, strong, "/api/settings")).status_code == 200
    await db.execute("UPDATE users SET role = 'viewer' WHERE id = %s", [admin.user_id])
    assert (await with_token(api, strong, "/api/settings")).status_code == 403
    assert (await with_token(api, strong)).json()["user"]["role"] == "viewer"
    await db.execute("UPDATE users SET active = false WHERE id = %s", [admin.user_id])
    assert (await with_token(api, strong)).status_code == 401


async def test_a_token_cannot_create_tokens_or_users(api: Api, db: Db) -> None:
    """A stolen token could otherwise create credentials that stay valid after it is revoked."""
    admin = await create_user(db)
    headers = {"Authorization": f"Bearer {(await create_token(api, admin))['secret']}"}
    passwords = {"currentPassword": "x", "newPassword": "a new password"}
    for response in (
        await api.http.get("/api/tokens", headers=headers),
        await api.http.post("/api/tokens", json={"name": "more", "role": "admin"}, headers=headers),
        await api.http.delete(f"/api/tokens/{uuid4()}", headers=headers),
        await api.http.get("/api/users", headers=headers),
        await api.http.post("/api/users", json=MALLORY, headers=headers),
        await api.http.get(f"/api/users/{admin.user_id}", headers=headers),
        await api.http.patch(f"/api/users/{admin.user_id}", json={"password": "a new password"}, headers=headers),
        await api.http.delete(f"/api/users/{uuid4()}", headers=headers),
        await api.http.post("/api/auth/logout", headers=headers),
        await api.http.post("/api/auth/password", json=passwords, headers=headers),
    ):
        assert response.status_code == 403, response.text
    assert await (await db.execute("SELECT username FROM users")).fetchall() == [(admin.username,)]


async def test_a_revoked_token_is_invalid_and_stays_in_the_list(api: Api, db: Db) -> None:
    admin, other = await create_user(db), await create_user(db)
    created = await create_token(api, admin)
    path = f"/api/tokens/{created['token']['id']}"
    response = await api.http.delete(path, headers=other.headers)
    assert (response.status_code, response.content) == (204, b"")
    assert (await with_token(api, created["secret"])).status_code == 401
    [first] = (await api.get("/api/tokens", headers=admin.headers))["tokens"]
    assert first["revokedAt"].endswith("Z")
    assert (await api.http.delete(path, headers=admin.headers)).status_code == 204
    [again] = (await api.get("/api/tokens", headers=admin.headers))["tokens"]
    assert again["revokedAt"] == first["revokedAt"]


async def test_a_token_expires(api: Api, db: Db) -> None:
    admin = await create_user(db)
    soon = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    created = await create_token(api, admin, expiresAt=soon.isoformat())
    assert created["token"]["expiresAt"] == soon.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    assert (await with_token(api, created["secret"])).status_code == 200
    await db.execute("UPDATE api_tokens SET expires_at = now()")
    assert (await with_token(api, created["secret"])).status_code == 401


async def test_a_token_is_read_from_the_authorization_header_only(api: Api, db: Db) -> None:
    secret = (await create_token(api, await create_user(db)))["secret"]
    for name in ("token", "api_token", "access_token", "apiKey", "authorization"):
        assert (await api.http.get("/api/auth/me", params={name: secret})).status_code == 401
    assert (await api.http.get("/api/auth/me", headers={"X-API-Key": secret})).status_code == 401
    assert (await with_token(api, secret + "x")).status_code == 401
    assert (await with_token(api, secret[:-1])).status_code == 401
    assert (await with_token(api, "slam_")).status_code == 401
    assert (await api.http.post("/api/auth/refresh", json={"refreshToken": secret})).status_code == 401


async def test_an_owner_has_at_most_a_hundred_tokens(api: Api, db: Db) -> None:
    admin, other = await create_user(db), await create_user(db)
    await db.execute(
        "INSERT INTO api_tokens (owner_id, name, role, token_hash, revoked_at) "
        "SELECT %s, 'nr ' || n, 'viewer', sha256(n::text::bytea), CASE WHEN n > 99 THEN now() END "
        "FROM generate_series(1, 150) AS n",
        [admin.user_id],
    )
    await create_token(api, admin)
    body = {"name": "one too many", "role": "viewer"}
    response = await api.http.post("/api/tokens", json=body, headers=admin.headers)
    assert response.status_code == 409, response.text
    await create_token(api, other)


async def test_a_name_is_unique_until_its_token_is_revoked(api: Api, db: Db) -> None:
    admin, other = await create_user(db), await create_user(db)
    first = await create_token(api, admin)
    response = await api.http.post("/api/tokens", json={"name": "ci", "role": "viewer"}, headers=admin.headers)
    assert (response.status_code, response.json()["details"]) == (
        409,
        [{"field": "name", "message": "is already in use", "code": "taken"}],
    )
    await create_token(api, other)
    await api.http.delete(f"/api/tokens/{first['token']['id']}", headers=admin.headers)
    await create_token(api, admin)
    pages = await api.get("/api/tokens?limit=2", headers=admin.headers)
    assert pages["pagination"] == {"page": 1, "limit": 2, "total": 3, "totalPages": 2}
    assert [token["owner"]["id"] for token in pages["tokens"]] == [str(admin.user_id), str(other.user_id)]


INVALID: list[tuple[dict[str, Any], str]] = [
    ({"name": ""}, "name"),
    ({"name": "   "}, "name"),
    ({"name": "c\0i"}, "name"),
    ({"name": "c\ni"}, "name"),
    ({"name": "c" * 101}, "name"),
    ({"name": None}, "name"),
    ({"role": "owner"}, "role"),
    ({"expiresAt": "2026-01-01T00:00:00Z"}, "expiresAt"),
    ({"expiresAt": "2126-01-01T00:00:00Z"}, "expiresAt"),
    ({"expiresAt": "9999-12-31T23:59:59-14:00"}, "expiresAt"),
    ({"expiresAt": "0001-01-01T00:00:00+14:00"}, "expiresAt"),
    ({"expiresAt": f"{coming_day()}T00:00:00"}, "expiresAt"),
    ({"expiresAt": "tomorrow"}, "expiresAt"),
    ({"expiresAt": 10**400}, "expiresAt"),
    ({"ownerId": str(uuid4())}, "ownerId"),
    ({"secret": "slam_x"}, "secret"),
    ({"tokenHash": "x"}, "tokenHash"),
]


async def test_invalid_tokens_are_refused_by_field(api: Api, db: Db) -> None:
    admin = await create_user(db)
    for fields, field in INVALID:
        body = {"name": "ci", "role": "viewer"} | fields
        response = await api.http.post("/api/tokens", json=body, headers=admin.headers)
        assert response.status_code == 400, (fields, response.text)
        assert field in [problem["field"] for problem in response.json()["details"]], (fields, response.text)


@pytest.mark.parametrize("role", ["viewer", "reporter", None])
async def test_only_admins_administer_tokens(api: Api, db: Db, role: str | None) -> None:
    headers = (await create_user(db, role)).headers if role else {}
    token_id = (await create_token(api, await create_user(db)))["token"]["id"]
    for response in (
        await api.http.get("/api/tokens", headers=headers),
        await api.http.post("/api/tokens", json={"name": "ci", "role": "viewer"}, headers=headers),
        await api.http.delete(f"/api/tokens/{token_id}", headers=headers),
    ):
        assert response.status_code == (403 if role else 401)


async def test_an_unknown_token_is_not_found(api: Api, db: Db) -> None:
    admin = await create_user(db)
    for token_id in (str(uuid4()), "0", "%00", "x" * 300):
        response = await api.http.delete(f"/api/tokens/{token_id}", headers=admin.headers)
        assert (response.status_code, response.json()["code"]) == (404, "NOT_FOUND")


async def test_tokens_are_in_the_audit_log_without_their_secret(api: Api, db: Db) -> None:
    admin = await create_user(db)
    created = await create_token(api, admin)
    await api.http.delete(f"/api/tokens/{created['token']['id']}", headers=admin.headers)
    rows = await (
        await db.execute(
            "SELECT actor, action, object_id, after FROM audit_entries WHERE object_type = 'token' ORDER BY id"
        )
    ).fetchall()
    token_id = created["token"]["id"]
    assert [row[:3] for row in rows] == [(admin.username, "create", token_id), (admin.username, "update", token_id)]
    assert rows[0][3]["token_hash"] == "***"
    assert set(rows[1][3]) == {"revoked_at"}
