"""Refreshing over REST: one use per token, reuse, and ended sessions."""

from typing import Any

import anyio
import httpx
import jwt
import psycopg
import pytest

from tests.api.accounts import add_user, assert_unauthorized, audited, logged_in, me, refresh
from tests.api.conftest import Api, fetch_row

Db = psycopg.AsyncConnection[Any]

pytestmark = [pytest.mark.one_engine, pytest.mark.usefixtures("cheap")]


async def test_a_refresh_token_can_be_used_once(api: Api, db: Db) -> None:
    await add_user(db)
    first = await logged_in(api)
    await db.execute("UPDATE users SET role = 'viewer'")
    await db.execute("UPDATE sessions SET expires_at = now() + interval '1 minute'")
    response = await refresh(api, first["refreshToken"])
    assert response.status_code == 200
    second = response.json()
    assert second["user"] == first["user"] | {"role": "viewer"}
    assert second["refreshToken"] != first["refreshToken"]
    assert (await me(api, second["accessToken"])).json()["user"]["role"] == "viewer"
    assert (await refresh(api, second["refreshToken"])).status_code == 200
    assert await fetch_row(db, "SELECT expires_at > now() + interval '6 days' FROM sessions") == (True,)


async def test_reuse_of_a_refresh_token_ends_the_session(api: Api, db: Db) -> None:
    user_id = await add_user(db)
    first, other = await logged_in(api), await logged_in(api)
    second = (await refresh(api, first["refreshToken"])).json()
    assert_unauthorized(await refresh(api, first["refreshToken"]))
    for token in (first["accessToken"], second["accessToken"]):
        assert_unauthorized(await me(api, token))
    assert_unauthorized(await refresh(api, second["refreshToken"]))
    assert (await me(api, other["accessToken"])).status_code == 200
    [(kind, _, address, *on, after)] = await audited(db, "refresh-reused")
    assert (kind, address, on) == ("anonymous", "127.0.0.1", ["user", str(user_id)])
    assert after == {"session": jwt.decode(first["accessToken"], options={"verify_signature": False})["sid"]}


async def test_of_two_concurrent_refreshes_one_succeeds(api: Api, db: Db) -> None:
    await add_user(db)
    first = await logged_in(api)
    responses: list[httpx.Response] = []

    async def spend() -> None:
        responses.append(await refresh(api, first["refreshToken"]))

    async with anyio.create_task_group() as group:
        for _ in range(2):
            group.start_soon(spend)
    assert sorted(response.status_code for response in responses) == [200, 401]
    assert await fetch_row(db, "SELECT revoked_at IS NOT NULL FROM sessions") == (True,)
    assert len(await audited(db, "refresh-reused")) == 1


@pytest.mark.parametrize(
    "ending",
    [
        "UPDATE users SET active = false",
        "DELETE FROM users",
        "UPDATE users SET password_hash = 'new'",
        "UPDATE users SET active = false; UPDATE sessions SET revoked_at = NULL",
        "UPDATE sessions SET revoked_at = now()",
        "UPDATE sessions SET expires_at = now()",
        "DELETE FROM sessions",
    ],
)
async def test_an_ended_session_cannot_be_refreshed(api: Api, db: Db, ending: str) -> None:
    await add_user(db)
    pair = await logged_in(api)
    await db.execute(ending.encode())
    assert_unauthorized(await refresh(api, pair["refreshToken"]))
    assert_unauthorized(await me(api, pair["accessToken"]))


@pytest.mark.parametrize("ending", ["UPDATE users SET active = false", "DELETE FROM users"])
async def test_a_user_who_is_disabled_during_a_refresh_has_no_session(api: Api, db: Db, ending: str) -> None:
    """Either of the two may come first. Without a fixed order of locks one could fail with a deadlock."""
    for number in range(8):
        await add_user(db, f"kim{number}")
        pair = await logged_in(api, username=f"kim{number}")
        responses: list[httpx.Response] = []

        async def renew(token: str = pair["refreshToken"], into: list[httpx.Response] = responses) -> None:
            into.append(await refresh(api, token))

        async with anyio.create_task_group() as group:
            group.start_soon(renew)
            await anyio.sleep(number * 0.001)
            await db.execute(ending.encode())
        assert responses[0].status_code in (200, 401)
        latest = responses[0].json() if responses[0].status_code == 200 else pair
        assert_unauthorized(await me(api, latest["accessToken"]))
        assert_unauthorized(await refresh(api, latest["refreshToken"]))
