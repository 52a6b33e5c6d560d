"""Login over REST: responses, invalid requests, and what is stored and logged."""

from typing import Any

import psycopg
import pytest

from api.auth.passwords import Passwords
from tests.api.accounts import (
    PASSWORD,
    WRONG,
    add_user,
    assert_unauthorized,
    audited,
    change_password,
    log_in,
    logged_in,
    me,
)
from tests.api.conftest import Api, create_user, fetch_row

Db = psycopg.AsyncConnection[Any]

pytestmark = [pytest.mark.one_engine, pytest.mark.usefixtures("cheap")]


async def test_a_login_returns_two_tokens_and_the_user(api: Api, db: Db) -> None:
    user_id = await add_user(db)
    pair = await logged_in(api)
    assert pair == {
        "accessToken": pair["accessToken"],
        "refreshToken": pair["refreshToken"],
        "user": {"id": str(user_id), "username": "kim", "email": "kim@example.com", "role": "reporter"},
    }
    assert (await me(api, pair["accessToken"])).json() == {"user": pair["user"]}


async def test_a_login_is_in_the_audit_log(api: Api, db: Db) -> None:
    user_id = await add_user(db)
    response = await api.http.post(
        "/api/auth/login",
        json={"username": "kim", "password": PASSWORD},
        headers={"User-Agent": "front\tend/1.0 " + "x" * 400},
    )
    assert response.status_code == 200
    address, agent, alive = await fetch_row(db, "SELECT host(address), user_agent, expires_at > now() FROM sessions")
    assert (address, agent, alive) == ("127.0.0.1", ("front?end/1.0 " + "x" * 400)[:300], True)
    assert await fetch_row(db, "SELECT last_login_at > now() - interval '1 minute' FROM users") == (True,)
    assert await fetch_row(db, "SELECT user_id, host(address) FROM known_addresses") == (user_id, "127.0.0.1")
    assert await audited(db, "login") == [("user", "kim", "127.0.0.1", "user", str(user_id), None)]


async def test_login_by_name_or_e_mail_ignores_case(api: Api, db: Db) -> None:
    await add_user(db)
    for username in ("kim", "KIM", "kim@example.com", "Kim@Example.COM"):
        assert (await logged_in(api, username=username))["user"]["username"] == "kim"


async def test_only_hashes_of_refresh_tokens_are_stored(api: Api, db: Db) -> None:
    await add_user(db)
    pair = await logged_in(api)
    [(stored,)] = await (await db.execute("SELECT to_jsonb(refresh_tokens)::text FROM refresh_tokens")).fetchall()
    assert pair["refreshToken"] not in stored
    assert await fetch_row(db, "SELECT length(token_hash) FROM refresh_tokens") == (32,)


async def test_a_refused_login_does_not_reveal_the_reason(api: Api, db: Db) -> None:
    await add_user(db)
    await add_user(db, "disabled-user")
    await db.execute("UPDATE users SET active = false WHERE username = 'disabled-user'")
    await create_user(db, username="without-password")
    attempts = [
        ("kim", WRONG),
        ("nobody", PASSWORD),
        ("disabled-user", PASSWORD),
        ("disabled-user", WRONG),
        ("without-password", PASSWORD),
    ]
    responses = [await log_in(api, *credentials) for credentials in attempts]
    for response in responses:
        assert_unauthorized(response)
    assert len({response.text for response in responses}) == 1
    assert [(kind, name, after) for kind, _, _, _, name, after in await audited(db, "login-failed")] == [
        ("anonymous", "kim", {"reason": "wrong password"}),
        ("anonymous", "unknown", {"reason": "unknown user"}),
        ("anonymous", "disabled-user", {"reason": "disabled"}),
        ("anonymous", "disabled-user", {"reason": "disabled"}),
        ("anonymous", "without-password", {"reason": "wrong password"}),
    ]


async def test_unknown_and_disabled_users_take_as_long_as_a_wrong_password(
    api: Api, db: Db, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each takes one verification. test_passwords.py shows that all verifications take the same time."""
    await add_user(db)
    await add_user(db, "disabled-user")
    await db.execute("UPDATE users SET active = false WHERE username = 'disabled-user'")
    verify, verified = Passwords.verify, []

    async def counted(self: Passwords, password: str, stored: str | None) -> bool:
        verified.append(password)
        return await verify(self, password, stored)

    monkeypatch.setattr(Passwords, "verify", counted)
    for username in ("kim", "nobody", "disabled-user"):
        assert_unauthorized(await log_in(api, username, f"{WRONG} {username}"))
    assert verified == [f"{WRONG} {username}" for username in ("kim", "nobody", "disabled-user")]


async def test_no_password_is_stored_or_logged(api: Api, db: Db, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    await add_user(db)
    pair = await logged_in(api)
    await log_in(api, password=WRONG)
    await change_password(api, pair["accessToken"], WRONG, "a new password")
    await change_password(api, pair["accessToken"], PASSWORD, "a new password")
    logged_or_stored = caplog.text
    for table in ("users", "sessions", "refresh_tokens", "known_addresses", "rate_limits", "audit_entries"):
        rows = await (await db.execute(f"SELECT to_jsonb(t)::text FROM {table} AS t".encode())).fetchall()
        logged_or_stored += str(rows)
    assert not any(word in logged_or_stored for word in (PASSWORD, WRONG, "a new password"))
    assert "argon2" not in caplog.text
    assert (
        await fetch_row(db, "SELECT count(*) FROM audit_entries WHERE to_jsonb(audit_entries)::text ~ 'argon2'")
    ) == (0,)


async def test_unknown_names_are_not_logged(api: Api, db: Db, caplog: pytest.LogCaptureFixture) -> None:
    """The user may have typed the password into the wrong field."""
    caplog.set_level("DEBUG")
    await add_user(db)
    names = (PASSWORD, "x\r\ny\u202e" + "z" * 95, "kim ", "k\u0131m", "unknown")
    for name in names:
        assert_unauthorized(await log_in(api, name))
    assert [(kind, name, after) for kind, _, _, _, name, after in await audited(db, "login-failed")] == len(names) * [
        ("anonymous", "unknown", {"reason": "unknown user"})
    ]
    logged_or_stored = caplog.text
    for table in ("rate_limits", "audit_entries"):
        logged_or_stored += str(
            await (await db.execute(f"SELECT to_jsonb(t)::text FROM {table} AS t".encode())).fetchall()
        )
    assert not any(word in logged_or_stored for word in (PASSWORD, "zzz"))


async def test_known_names_are_logged_as_stored(api: Api, db: Db) -> None:
    """The log shows the stored name, whether the name or the e-mail address was used, and in upper or lower case."""
    await add_user(db)
    for name in ("kim", "KIM", "Kim@Example.com"):
        assert_unauthorized(await log_in(api, name, WRONG))
    assert [name for *_, name, _ in await audited(db, "login-failed")] == 3 * ["kim"]


INVALID_LOGINS: list[tuple[Any, str]] = [
    ({"password": PASSWORD}, "username"),
    ({"username": "kim"}, "password"),
    ({"username": "", "password": PASSWORD}, "username"),
    ({"username": "k" * 101, "password": PASSWORD}, "username"),
    ({"username": "k\0m", "password": PASSWORD}, "username"),
    ({"username": {"$ne": None}, "password": PASSWORD}, "username"),
    ({"username": 10**400, "password": PASSWORD}, "username"),
    ({"username": "kim", "password": "x" * 201}, "password"),
    ({"username": "kim", "password": None}, "password"),
    ({"username": "kim", "password": PASSWORD, "role": "admin"}, "role"),
    ([], "body"),
]


async def test_invalid_logins_are_refused_by_field(api: Api) -> None:
    for body, field in INVALID_LOGINS:
        response = await api.http.post("/api/auth/login", json=body)
        assert response.status_code == 400, (body, response.text)
        assert field in [problem["field"] for problem in response.json()["details"]], (body, response.text)
        assert PASSWORD not in response.text


async def test_invalid_texts_are_refused_by_field(api: Api) -> None:
    for body in (
        b'{"username": "k", "password": "\\ud800"}',
        b'{"username": "\\udc00", "password": "x"}',
        b"\xff",
        b"",
    ):
        response = await api.http.post("/api/auth/login", content=body, headers={"Content-Type": "application/json"})
        assert response.status_code == 400, (body, response.text)


async def test_an_outdated_hash_is_renewed_and_sessions_stay(api: Api, db: Db, monkeypatch: pytest.MonkeyPatch) -> None:
    await add_user(db)
    other = await logged_in(api)
    before = await fetch_row(db, "SELECT password_hash FROM users")
    monkeypatch.setattr(Passwords, "outdated", lambda *_: True)
    await logged_in(api)
    monkeypatch.undo()
    assert await fetch_row(db, "SELECT password_hash FROM users") != before
    assert (await me(api, other["accessToken"])).status_code == 200
    await logged_in(api)


@pytest.mark.parametrize(
    "change", ["UPDATE users SET active = false", "UPDATE users SET password_hash = 'new'", "DELETE FROM users"]
)
async def test_a_change_during_verification_refuses_the_login(
    api: Api, db: Db, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    await add_user(db)
    verify = Passwords.verify

    async def verify_and_change(self: Passwords, password: str, stored: str | None) -> bool:
        verified = await verify(self, password, stored)
        await db.execute(change.encode())
        return verified

    monkeypatch.setattr(Passwords, "verify", verify_and_change)
    assert_unauthorized(await log_in(api))
    assert await fetch_row(db, "SELECT count(*) FROM sessions") == (0,)


async def test_of_a_hundred_sessions_the_oldest_ends_at_the_next_login(api: Api, db: Db) -> None:
    user_id, other = await add_user(db), await add_user(db, "lee")
    await db.execute(
        "INSERT INTO sessions (user_id, created_at, expires_at, revoked_at) "
        "SELECT owner, now() - n * interval '1 minute', now() + '1 day', CASE WHEN n <= 50 THEN now() END "
        "FROM generate_series(1, 151) AS n, unnest(%s::uuid[]) AS owner",
        [[user_id, other]],
    )
    pair = await logged_in(api)
    assert (await me(api, pair["accessToken"])).status_code == 200
    alive = await db.execute(
        "SELECT username, count(*), min(sessions.created_at) > now() - interval '150 minutes' "
        "FROM sessions JOIN users ON users.id = user_id WHERE revoked_at IS NULL GROUP BY username ORDER BY username"
    )
    assert await alive.fetchall() == [("kim", 100, True), ("lee", 101, False)]


async def test_the_metric_of_waiting_passwords_is_zero_without_logins(api: Api) -> None:
    assert "\nsla_monitor_passwords_waiting 0.0\n" in (await api.http.get("/metrics")).text
