"""Password change over REST: ended sessions, refused passwords, and concurrent changes."""

from typing import Any

import anyio
import psycopg
import pytest

from sla_monitor.settings.values import Limit
from tests.api.accounts import (
    MINUTES,
    PASSWORD,
    WRONG,
    add_user,
    assert_unauthorized,
    audited,
    change_password,
    log_in,
    logged_in,
    me,
    refresh,
)
from tests.api.conftest import Api, fetch_row, running_api

Db = psycopg.AsyncConnection[Any]

pytestmark = [pytest.mark.one_engine, pytest.mark.usefixtures("cheap")]


async def test_a_new_password_ends_all_sessions_and_opens_one(api: Api, db: Db) -> None:
    await add_user(db)
    this, other = await logged_in(api), await logged_in(api)
    response = await change_password(api, this["accessToken"], PASSWORD, "a new password")
    assert response.status_code == 200, response.text
    assert response.json()["user"] == this["user"]
    for token in (this["accessToken"], other["accessToken"]):
        assert_unauthorized(await me(api, token))
    assert_unauthorized(await refresh(api, other["refreshToken"]))
    assert (await me(api, response.json()["accessToken"])).status_code == 200
    assert (await refresh(api, response.json()["refreshToken"])).status_code == 200
    assert_unauthorized(await log_in(api))
    await logged_in(api, password="a new password")
    [(kind, name, *_, after)] = await audited(db, "update")
    assert (kind, name, after) == ("user", "kim", {"password_hash": "***"})


async def test_changing_the_password_needs_the_current_one(database: str, db: Db) -> None:
    """The status is not 401, since front ends log the user out on a 401. An attempt counts like a login: otherwise an
    attacker with a stolen token could try passwords without a limit."""
    user_id = await add_user(db)
    async with running_api(database, rate_limit_login=Limit(2, MINUTES)) as api:
        token = (await logged_in(api))["accessToken"]
        for _ in range(2):
            response = await change_password(api, token, WRONG, "a new password")
            assert (response.status_code, response.json()["details"][0]["field"]) == (400, "currentPassword")
        assert (await change_password(api, token, PASSWORD, "a new password")).status_code == 429
        assert (await me(api, token)).status_code == 200
    entries = await audited(db, "password-failed")
    assert [(name, on) for _, name, _, _, on, _ in entries] == 2 * [("kim", str(user_id))]


async def test_invalid_new_passwords_are_refused(api: Api, db: Db) -> None:
    await add_user(db, "kim.the.first")
    token = (await logged_in(api, username="kim.the.first"))["accessToken"]
    missing: Any = None
    for new in ("too short", "x" * 201, "KIM.the.first", "kim.the.first@example.com", missing):
        response = await change_password(api, token, PASSWORD, new)
        assert (response.status_code, response.json()["details"][0]["field"]) == (400, "newPassword"), new
    assert (await me(api, token)).status_code == 200


async def test_of_two_concurrent_password_changes_one_succeeds(api: Api, db: Db) -> None:
    await add_user(db)
    token = (await logged_in(api))["accessToken"]
    statuses: dict[str, int] = {}

    async def change(new: str) -> None:
        statuses[new] = (await change_password(api, token, PASSWORD, new)).status_code

    async with anyio.create_task_group() as group:
        for new in ("the first new one", "the other new one"):
            group.start_soon(change, new)
    [winner] = [new for new, status in statuses.items() if status == 200]
    assert set(statuses.values()) <= {200, 400, 401}
    await logged_in(api, password=winner)
    assert await fetch_row(db, "SELECT count(*) FROM sessions WHERE revoked_at IS NULL") == (2,)
