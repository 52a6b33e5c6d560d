"""Logout over REST, and the effect of changed users on their next request."""

from typing import Any

import psycopg
import pytest

from tests.api.accounts import add_user, assert_unauthorized, audited, logged_in, me, refresh
from tests.api.conftest import Api, bearer

Db = psycopg.AsyncConnection[Any]

pytestmark = [pytest.mark.one_engine, pytest.mark.usefixtures("cheap")]


async def test_logout_ends_this_session_at_once(api: Api, db: Db) -> None:
    user_id = await add_user(db)
    this, other = await logged_in(api), await logged_in(api)
    response = await api.http.post("/api/auth/logout", headers=bearer(this["accessToken"]))
    assert (response.status_code, response.content) == (204, b"")
    assert_unauthorized(await me(api, this["accessToken"]))
    assert_unauthorized(await refresh(api, this["refreshToken"]))
    assert_unauthorized(await api.http.post("/api/auth/logout", headers=bearer(this["accessToken"])))
    assert (await me(api, other["accessToken"])).status_code == 200
    assert await audited(db, "logout") == [("user", "kim", "127.0.0.1", "user", str(user_id), None)]


async def test_logout_needs_a_session(api: Api) -> None:
    assert_unauthorized(await api.http.post("/api/auth/logout"))


async def test_a_changed_role_and_a_disabled_user_apply_to_the_next_request(api: Api, db: Db) -> None:
    await add_user(db, "other", role="admin")
    await add_user(db, role="admin")
    headers = bearer((await logged_in(api))["accessToken"])
    assert (await api.http.get("/api/users", headers=headers)).status_code == 200
    await db.execute("UPDATE users SET role = 'viewer' WHERE username = 'kim'")
    assert (await api.http.get("/api/users", headers=headers)).status_code == 403
    await db.execute("UPDATE users SET active = false WHERE username = 'kim'")
    assert_unauthorized(await api.http.get("/api/users", headers=headers))
