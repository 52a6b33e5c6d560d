"""Users with passwords: logs in, refreshes, and reads the audit log."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import psycopg

from api.auth.passwords import Passwords
from tests.api.conftest import Api, bearer

Db = psycopg.AsyncConnection[Any]
PASSWORD = "correct horse battery"
WRONG = "wrong horse battery"
MINUTES = timedelta(minutes=15)


async def add_user(db: Db, username: str = "kim", password: str = PASSWORD, role: str = "reporter") -> UUID:
    stored = await Passwords().hash(password)
    cursor = await db.execute(
        "INSERT INTO users (username, email, password_hash, role) VALUES (%s, %s, %s, %s) RETURNING id",
        [username, f"{username}@example.com", stored, role],
    )
    [user_id] = await cursor.fetchone() or [None]
    assert isinstance(user_id, UUID)
    return user_id


async def log_in(
    api: Api, username: str = "kim", password: str = PASSWORD, address: str | None = None
) -> httpx.Response:
    headers = {"X-Forwarded-For": address} if address else {}
    return await api.http.post("/api/auth/login", json={"username": username, "password": password}, headers=headers)


async def logged_in(api: Api, **credentials: str) -> dict[str, Any]:
    """Logs in and returns the body of the response: the pair of tokens and the user."""
    response = await log_in(api, **credentials)
    assert response.status_code == 200, response.text
    pair: dict[str, Any] = response.json()
    return pair


async def refresh(api: Api, token: str) -> httpx.Response:
    return await api.http.post("/api/auth/refresh", json={"refreshToken": token})


async def me(api: Api, token: str) -> httpx.Response:
    return await api.http.get("/api/auth/me", headers=bearer(token))


async def change_password(api: Api, token: str, current: str, new: str) -> httpx.Response:
    return await api.http.post(
        "/api/auth/password", json={"currentPassword": current, "newPassword": new}, headers=bearer(token)
    )


async def audited(db: Db, action: str) -> list[tuple[Any, ...]]:
    """Returns the entries of the audit log with this action."""
    return await (
        await db.execute(
            "SELECT actor_kind, actor, host(address), object_type, object_id, after FROM audit_entries "
            "WHERE action = %s ORDER BY id",
            [action],
        )
    ).fetchall()


def assert_unauthorized(response: httpx.Response) -> None:
    assert response.status_code == 401, response.text
    assert response.json()["code"] == "UNAUTHORIZED"
    assert response.headers["www-authenticate"].startswith("Bearer")
