"""Login, refresh, logout and password change over REST: responses, limits, and attacks with forged tokens."""

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import Any
from uuid import UUID, uuid4

import anyio
import httpx
import jwt
import psycopg
import pytest

from api.auth.passwords import Passwords
from api.auth.tokens import AUDIENCE, ISSUER
from api.rest.errors import ApiError
from sla_monitor.settings.values import Limit
from tests.api.conftest import JWT_SECRET, Api, bearer, create_user, fetch_row, running_api

Db = psycopg.AsyncConnection[Any]
PASSWORD = "correct horse battery"
WRONG = "wrong horse battery"
MINUTES = timedelta(minutes=15)
PROXY: dict[str, Any] = {"trusted_proxies": (ip_network("127.0.0.0/8"),)}

pytestmark = [pytest.mark.one_engine, pytest.mark.usefixtures("cheap")]


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


# Logging in


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


# Limits


async def test_attempts_of_an_address_are_limited(database: str, db: Db) -> None:
    await add_user(db)
    async with running_api(database, rate_limit_login=Limit(5, MINUTES)) as api:
        for _ in range(5):
            assert_unauthorized(await log_in(api, password=WRONG))
        response = await log_in(api)
        assert (response.status_code, response.json()["code"]) == (429, "RATE_LIMITED")
        assert 0 < int(response.headers["retry-after"]) <= 900
        assert (response.headers["ratelimit-limit"], response.headers["ratelimit-remaining"]) == ("5", "0")
    assert len(await audited(db, "login-failed")) == 5


async def test_concurrent_attempts_do_not_exceed_the_limit(database: str, db: Db) -> None:
    await add_user(db)
    statuses: list[int] = []
    async with running_api(database, rate_limit_login=Limit(5, MINUTES)) as api:

        async def guess(number: int) -> None:
            statuses.append((await log_in(api, password=f"guess number {number}")).status_code)

        async with anyio.create_task_group() as group:
            for number in range(50):
                group.start_soon(guess, number)
    assert sorted(statuses) == 5 * [401] + 45 * [429]


async def test_successful_logins_do_not_count(database: str, db: Db) -> None:
    await add_user(db)
    async with running_api(database, rate_limit_login=Limit(2, MINUTES)) as api:
        assert_unauthorized(await log_in(api, password=WRONG))
        for _ in range(4):
            await logged_in(api)
        assert_unauthorized(await log_in(api, password=WRONG))
        assert (await log_in(api)).status_code == 429


async def test_the_correct_password_of_a_disabled_user_counts_as_an_attempt(database: str, db: Db) -> None:
    """Otherwise an attacker would recognise the correct password: its attempts would not be limited."""
    await add_user(db)
    await db.execute("UPDATE users SET active = false")
    async with running_api(database, rate_limit_login=Limit(1, MINUTES)) as api:
        assert_unauthorized(await log_in(api))
        assert (await log_in(api)).status_code == 429


@pytest.mark.parametrize("name", ["kim", "nobody"])
async def test_unknown_addresses_share_a_limit_for_each_name(database: str, db: Db, name: str) -> None:
    """This includes names that do not exist. Otherwise the limit would reveal which names exist."""
    await add_user(db)
    async with running_api(database, rate_limit_login=Limit(1, MINUTES), **PROXY) as api:
        for number in range(10):
            assert_unauthorized(await log_in(api, name, WRONG, f"192.0.2.{number}"))
        assert (await log_in(api, name, PASSWORD, "192.0.2.99")).status_code == 429


async def test_attempts_of_unknown_addresses_do_not_lock_the_user_out(database: str, db: Db) -> None:
    await add_user(db)
    async with running_api(database, rate_limit_login=Limit(1, MINUTES), **PROXY) as api:
        await logged_in(api, address="198.51.100.7")
        await logged_in(api, address="2001:db8:1:2::3")
        for number in range(12):
            await log_in(api, "kim", WRONG, f"192.0.2.{number}")
        assert (await log_in(api, address="192.0.2.99")).status_code == 429
        await logged_in(api, address="198.51.100.7")
        await logged_in(api, address="2001:db8:1:2:ffff::")
        assert (await log_in(api, address="2001:db8:1:3::3")).status_code == 429


@pytest.mark.parametrize("tried", ["kim", "kim@example.com", "nobody", "nobody@example.com"])
async def test_a_limit_reveals_nothing_about_accounts(database: str, db: Db, tried: str) -> None:
    """The limit applies only to the name in the request, in upper or lower case. It reveals neither whether the name
    exists nor which e-mail address belongs to it."""
    await add_user(db)
    names = ["kim", "kim@example.com", "nobody", "nobody@example.com"]
    async with running_api(database, rate_limit_login=Limit(1, MINUTES), **PROXY) as api:
        for number in range(10):
            spelling = (tried, tried.upper(), tried.title())[number % 3]
            assert_unauthorized(await log_in(api, spelling, WRONG, f"192.0.2.{number}"))
        responses = {
            name: (await log_in(api, name, WRONG, f"198.51.100.{number}")).status_code
            for number, name in enumerate(names)
        }
        assert responses == {name: 429 if name == tried else 401 for name in names}
        assert (await log_in(api, tried.upper(), PASSWORD, "192.0.2.99")).status_code == 429


async def test_every_spelling_of_a_name_shares_its_limit(database: str, db: Db) -> None:
    """Case is ignored as in the search for the user: the Kelvin sign is an upper-case k."""
    await add_user(db)
    [same_in_lower_case] = await (await db.execute("SELECT lower('\u212aim') = 'kim'")).fetchone() or [None]
    async with running_api(database, rate_limit_login=Limit(1, MINUTES), **PROXY) as api:
        for number in range(10):
            assert_unauthorized(await log_in(api, "kim", WRONG, f"192.0.2.{number}"))
        response = await log_in(api, "\u212aim", WRONG, "192.0.2.99")
        assert response.status_code == (429 if same_in_lower_case else 401)


async def test_an_attempt_that_was_not_verified_does_not_count(
    database: str, db: Db, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add_user(db)

    async def busy(*_: object) -> bool:
        raise ApiError(503, "too_many_logins", headers={"Retry-After": "3"})

    async with running_api(database, rate_limit_login=Limit(1, MINUTES)) as api:
        monkeypatch.setattr(Passwords, "verify", busy)
        for _ in range(3):
            response = await log_in(api)
            assert (response.status_code, response.headers["retry-after"]) == (503, "3")
        monkeypatch.undo()
        assert_unauthorized(await log_in(api, password=WRONG))


# Refreshing


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


# Forged tokens, and tokens of the wrong kind


def forged(claims: dict[str, Any], key: str = JWT_SECRET, algorithm: str = "HS256") -> str:
    return jwt.encode({name: value for name, value in claims.items() if value is not None}, key, algorithm)


def unsigned(claims: dict[str, Any]) -> str:
    def part(value: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part({'alg': 'none', 'typ': 'JWT'})}.{part(claims)}."


FORGERIES: dict[str, Callable[[dict[str, Any]], str]] = {
    "not signed": unsigned,
    "another key": lambda claims: forged(claims, "x" * 48),
    "another algorithm": lambda claims: forged(claims, algorithm="HS512"),
    "no expiry": lambda claims: forged(claims | {"exp": None}),
    "expired": lambda claims: forged(claims | {"exp": 1}),
    "never expires": lambda claims: forged(claims | {"exp": 10**400}),
    "another audience": lambda claims: forged(claims | {"aud": "other"}),
    "several audiences": lambda claims: forged(claims | {"aud": [AUDIENCE, "other"]}),
    "another issuer": lambda claims: forged(claims | {"iss": "other"}),
    "no type": lambda claims: forged(claims | {"typ": None}),
    "another type": lambda claims: forged(claims | {"typ": "admin"}),
    "no session": lambda claims: forged(claims | {"sid": None}),
    "no such session": lambda claims: forged(claims | {"sid": str(uuid4())}),
    "no such user": lambda claims: forged(claims | {"sub": str(uuid4())}),
    "an invalid session": lambda claims: forged(claims | {"sid": "' OR true --"}),
    "not yet valid": lambda claims: forged(claims | {"nbf": 4102444800}),
    "too long": lambda claims: forged(claims | {"more": "x" * 4000}),
    "nonsense": lambda _: "x.y.z",
    "an API token": lambda _: "slam_" + "x" * 43,
    "no token": lambda _: "null",
}


async def test_forged_tokens_are_refused(api: Api, db: Db) -> None:
    victim = await create_user(db)
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "typ": "access",
        "sub": str(victim.user_id),
        "sid": str(victim.session_id),
        "jti": "x",
        "iat": 1,
        "exp": int(datetime.now(UTC).timestamp()) + 3600,
    }
    for forgery, forge in FORGERIES.items():
        assert (await me(api, forge(claims))).status_code == 401, forgery
        status = (await refresh(api, forge(claims | {"typ": "refresh"}))).status_code
        assert status == (400 if forgery == "too long" else 401), forgery
        assert (await me(api, forged(claims))).status_code == 200, "the same claims with a valid signature are accepted"


async def test_access_and_refresh_tokens_are_not_interchangeable(api: Api, db: Db) -> None:
    await add_user(db)
    pair = await logged_in(api)
    assert_unauthorized(await me(api, pair["refreshToken"]))
    assert_unauthorized(await refresh(api, pair["accessToken"]))
    assert (await me(api, pair["accessToken"])).status_code == 200


async def test_a_signed_refresh_token_that_was_never_issued_ends_the_session_it_names(api: Api, db: Db) -> None:
    """An attacker may know the key, or the database may have been restored from a backup."""
    await add_user(db)
    pair = await logged_in(api)
    claims = jwt.decode(pair["refreshToken"], options={"verify_signature": False})
    assert_unauthorized(await refresh(api, forged(claims | {"jti": "other"})))
    assert_unauthorized(await me(api, pair["accessToken"]))


async def test_other_authentication_schemes_are_refused(api: Api) -> None:
    for authorization in ("Basic a2ltOmtpbQ==", "Bearer", "bearer null", "Token x", "", "Bearer \xff"):
        headers = {b"Authorization": authorization.encode("latin-1")}
        assert_unauthorized(await api.http.get("/api/auth/me", headers=headers))


async def test_me_needs_a_token(api: Api) -> None:
    assert_unauthorized(await api.http.get("/api/auth/me"))
    assert (await api.http.head("/api/auth/me")).status_code == 401


async def test_tokens_in_urls_and_cookies_are_ignored(api: Api, db: Db) -> None:
    victim = await create_user(db)
    for name in ("token", "access_token", "accessToken", "authorization"):
        assert_unauthorized(await api.http.get("/api/auth/me", params={name: victim.token}))
        assert_unauthorized(await api.http.get("/api/auth/me", headers={"Cookie": f"{name}={victim.token}"}))


# Logging out


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


# Password change


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
