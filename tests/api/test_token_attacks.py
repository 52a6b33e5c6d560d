"""Attempts over REST to act as another user with forged, reused or revoked tokens are refused."""

from contextlib import suppress
from datetime import timedelta

import anyio
import pytest

from tests.api import raw
from tests.api.attacks import admin, create_and_log_in, log_in, no_server_error
from tests.api.conftest import Api, User, bearer, create_user, signer
from tests.api.forgery import claims, forged, signed
from tests.api.people import Db

__all__ = ["admin", "no_server_error"]

pytestmark = pytest.mark.one_engine


async def test_a_forged_token_is_refused(api: Api, db: Db, admin: User) -> None:
    viewer = await create_user(db, "viewer")
    assert (await api.http.get("/api/users", headers=bearer(signed(claims(admin))))).status_code == 200
    for name, token in forged(admin, viewer).items():
        response = await api.http.get("/api/users", headers=bearer(token))
        assert (response.status_code, response.json()["code"]) == (401, "UNAUTHORIZED"), name
        assert response.headers["www-authenticate"].startswith("Bearer"), name


MALFORMED = (
    b"",
    b"Bearer",
    b"Bearer ",
    b"Bearer  \t ",
    b"Bearer \x00",
    b"Bearer a\x00b",
    b"Bearer \xff\xfe",
    b"Bearer: x",
    b"Basic YWRtaW46YWRtaW4=",
    b"Bearer " + b"x" * 1_000_000,
)


async def test_a_malformed_header_is_refused(api: Api) -> None:
    """The response is a 401 or an error of HTTP, and never a server error."""
    for value in MALFORMED:
        async with await anyio.connect_tcp("127.0.0.1", api.settings.api_port) as stream:
            head = b"GET /api/users HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: "
            # BrokenResourceError: the server closes the connection of a request whose headers are too large.
            with anyio.fail_after(120), suppress(anyio.BrokenResourceError):
                await stream.send(head + value + b"\r\n\r\n")
                received = await raw.receive_all(stream)
                assert not received or raw.parse(received).status in (400, 401), value[:30]


async def test_two_authorization_headers_are_refused(api: Api, admin: User) -> None:
    """A proxy may have verified one of them, and the API would use the other."""
    valid, invalid = admin.headers["Authorization"], "Bearer x"
    for path in ("/api/users", "/api/incidents", "/api/services?details=true"):
        for pair in ((valid, invalid), (invalid, valid), (valid, valid)):
            response = await api.http.get(path, headers=[("Authorization", value) for value in pair])
            assert response.status_code == 401, (path, pair)


async def test_a_token_of_one_kind_is_not_accepted_as_another(api: Api, admin: User) -> None:
    pair = await create_and_log_in(api, admin, "alice")
    access, refresh = pair["accessToken"], pair["refreshToken"]
    assert (await api.http.get("/api/auth/me", headers=bearer(refresh))).status_code == 401
    for token in (access, admin.token, "slam_x", "", "x" * 2000, f"{refresh} "):
        response = await api.http.post("/api/auth/refresh", json={"refreshToken": token})
        assert response.status_code in (400, 401), token
    never_issued = await signer().issue("refresh", admin.user_id, admin.session_id, timedelta(days=1))
    unknown = await api.http.post("/api/auth/refresh", json={"refreshToken": never_issued})
    assert unknown.status_code == 401  # correctly signed, but never issued


async def test_a_reused_refresh_token_ends_its_session(api: Api, admin: User) -> None:
    """The server cannot know whether the owner or a thief used it first, so both must log in again."""
    first = await create_and_log_in(api, admin, "alice")
    other = await log_in(api, "alice")
    second = (await api.http.post("/api/auth/refresh", json={"refreshToken": first["refreshToken"]})).json()
    again = await api.http.post("/api/auth/refresh", json={"refreshToken": first["refreshToken"]})
    assert again.status_code == 401
    for pair in (first, second):
        assert (await api.http.get("/api/auth/me", headers=bearer(pair["accessToken"]))).status_code == 401
        renewal = await api.http.post("/api/auth/refresh", json={"refreshToken": pair["refreshToken"]})
        assert renewal.status_code == 401
    assert (await api.http.get("/api/auth/me", headers=bearer(other["accessToken"]))).status_code == 200


async def test_only_one_of_ten_concurrent_refreshes_with_one_token_succeeds(api: Api, admin: User) -> None:
    pair = await create_and_log_in(api, admin, "alice")
    statuses: list[int] = []

    async def renew() -> None:
        response = await api.http.post("/api/auth/refresh", json={"refreshToken": pair["refreshToken"]})
        statuses.append(response.status_code)

    async with anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(renew)
    assert sorted(statuses) == [200] + [401] * 9
    assert (await api.http.get("/api/auth/me", headers=bearer(pair["accessToken"]))).status_code == 401


async def test_after_a_revocation_the_next_request_is_refused(api: Api, db: Db, admin: User) -> None:
    ends = (
        "UPDATE users SET active = false WHERE username = %s",
        "UPDATE users SET password_hash = 'another' WHERE username = %s",
        "UPDATE sessions SET revoked_at = now() WHERE user_id = (SELECT id FROM users WHERE username = %s)",
        "DELETE FROM users WHERE username = %s",
    )
    for statement in ends:
        victim = await create_user(db, "admin")
        assert (await api.http.get("/api/users", headers=victim.headers)).status_code == 200
        await db.execute(statement.encode(), [victim.username])
        assert (await api.http.get("/api/users", headers=victim.headers)).status_code == 401, statement
    demoted = await create_user(db, "admin")
    await db.execute("UPDATE users SET role = 'viewer' WHERE id = %s", [demoted.user_id])
    assert (await api.http.get("/api/users", headers=demoted.headers)).status_code == 403
