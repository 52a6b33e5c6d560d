"""What has been tried to be somebody else, or more than one is, over HTTP: each attempt meets the safe answer."""

import time
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import uuid4

import anyio
import pytest

from sla_monitor.settings.values import Limit
from tests.api import raw
from tests.api.conftest import JWT_SECRET, Api, Someone, add_service, running_api, signer, someone
from tests.api.forgery import claims, forged, signed
from tests.api.people import Db
from tests.api.things import INCIDENT, TEMPLATE, WINDOW

pytestmark = pytest.mark.one_engine

PASSWORD = "correct horse battery staple"


@pytest.fixture(autouse=True)
async def the_server_lives_on(api: Api) -> AsyncIterator[None]:
    yield
    assert await api.get("/health") == {"status": "ok"}
    assert await api.get("/ready") == {"status": "ready"}


@pytest.fixture
async def admin(db: Db) -> Someone:
    await add_service(db, "shop")
    return await someone(db, "admin")


async def user(api: Api, admin: Someone, name: str, role: str = "reporter") -> dict[str, Any]:
    """A user with a password, logged in: what login answered."""
    new = {"username": name, "email": f"{name}@example.com", "password": PASSWORD, "role": role}
    created = await api.http.post("/api/users", json=new, headers=admin.headers)
    assert created.status_code == 201, created.text
    return await log_in(api, name)


async def log_in(api: Api, name: str) -> dict[str, Any]:
    answer = await api.http.post("/api/auth/login", json={"username": name, "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


# Tokens


async def test_a_forged_token_opens_nothing(api: Api, db: Db, admin: Someone) -> None:
    viewer = await someone(db, "viewer")
    assert (await api.http.get("/api/users", headers=bearer(signed(claims(admin))))).status_code == 200
    for name, token in forged(admin, viewer).items():
        answer = await api.http.get("/api/users", headers=bearer(token))
        assert (answer.status_code, answer.json()["code"]) == (401, "UNAUTHORIZED"), name
        assert answer.headers["www-authenticate"].startswith("Bearer"), name


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
    """By 401, or as no HTTP at all, never by a fault of ours."""
    for value in MALFORMED:
        async with await anyio.connect_tcp("127.0.0.1", api.settings.api_port) as stream:
            head = b"GET /api/users HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: "
            with anyio.fail_after(120), suppress(anyio.BrokenResourceError):  # a head has a bound
                await stream.send(head + value + b"\r\n\r\n")
                received = await raw.everything(stream)
                assert not received or raw.parse(received).status in (400, 401), value[:30]


async def test_two_authorization_headers_are_not_a_choice(api: Api, admin: Someone) -> None:
    """A proxy may have judged the other one."""
    good, bad = admin.headers["Authorization"], "Bearer x"
    for path in ("/api/users", "/api/incidents", "/api/services?details=true"):
        for pair in ((good, bad), (bad, good), (good, good)):
            answer = await api.http.get(path, headers=[("Authorization", value) for value in pair])
            assert answer.status_code == 401, (path, pair)


async def test_tokens_of_one_kind_are_not_taken_for_another(api: Api, admin: Someone) -> None:
    pair = await user(api, admin, "alice")
    access, refresh = pair["accessToken"], pair["refreshToken"]
    assert (await api.http.get("/api/auth/me", headers=bearer(refresh))).status_code == 401
    for token in (access, admin.token, "slam_x", "", "x" * 2000, f"{refresh} "):
        answer = await api.http.post("/api/auth/refresh", json={"refreshToken": token})
        assert answer.status_code in (400, 401), token
    lone = await signer().issue("refresh", admin.user_id, admin.session_id, timedelta(days=1))
    unknown = await api.http.post("/api/auth/refresh", json={"refreshToken": lone})
    assert unknown.status_code == 401  # rightly signed, and yet never given out


async def test_a_refresh_token_that_comes_back_ends_its_family(api: Api, admin: Someone) -> None:
    """Whoever used it first, the thief or the owner: nobody can tell, so both must log in."""
    first = await user(api, admin, "alice")
    other = await log_in(api, "alice")
    second = (await api.http.post("/api/auth/refresh", json={"refreshToken": first["refreshToken"]})).json()
    again = await api.http.post("/api/auth/refresh", json={"refreshToken": first["refreshToken"]})
    assert again.status_code == 401
    for pair in (first, second):
        assert (await api.http.get("/api/auth/me", headers=bearer(pair["accessToken"]))).status_code == 401
        renewal = await api.http.post("/api/auth/refresh", json={"refreshToken": pair["refreshToken"]})
        assert renewal.status_code == 401
    assert (await api.http.get("/api/auth/me", headers=bearer(other["accessToken"]))).status_code == 200


async def test_a_refresh_token_is_spent_once_by_ten_at_the_same_moment(api: Api, admin: Someone) -> None:
    pair = await user(api, admin, "alice")
    statuses: list[int] = []

    async def renew() -> None:
        answer = await api.http.post("/api/auth/refresh", json={"refreshToken": pair["refreshToken"]})
        statuses.append(answer.status_code)

    async with anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(renew)
    assert sorted(statuses) == [200] + [401] * 9
    assert (await api.http.get("/api/auth/me", headers=bearer(pair["accessToken"]))).status_code == 401


async def test_what_ends_an_access_ends_it_with_the_next_request(api: Api, db: Db, admin: Someone) -> None:
    ends = (
        "UPDATE users SET active = false WHERE username = %s",
        "UPDATE users SET password_hash = 'another' WHERE username = %s",
        "UPDATE sessions SET revoked_at = now() WHERE user_id = (SELECT id FROM users WHERE username = %s)",
        "DELETE FROM users WHERE username = %s",
    )
    for statement in ends:
        someones = await someone(db, "admin")
        assert (await api.http.get("/api/users", headers=someones.headers)).status_code == 200
        await db.execute(statement.encode(), [someones.username])
        assert (await api.http.get("/api/users", headers=someones.headers)).status_code == 401, statement
    demoted = await someone(db, "admin")
    await db.execute("UPDATE users SET role = 'viewer' WHERE id = %s", [demoted.user_id])
    assert (await api.http.get("/api/users", headers=demoted.headers)).status_code == 403


# Passwords


async def test_an_unknown_user_costs_as_much_as_a_wrong_password(api: Api, db: Db, admin: Someone) -> None:
    await user(api, admin, "alice")
    await user(api, admin, "carol")
    await db.execute("UPDATE users SET active = false WHERE username = 'carol'")
    costs: dict[str, list[float]] = {"alice": [], "nobody": [], "carol": []}
    said = set()
    for _ in range(5):
        for name, taken in costs.items():  # in turn, so that a busy machine slows all of them
            began = time.perf_counter()
            answer = await api.http.post("/api/auth/login", json={"username": name, "password": "wrong one"})
            taken.append(time.perf_counter() - began)
            said.add((answer.status_code, answer.text))
    assert len(said) == 1
    least = [min(taken) for taken in costs.values()]
    assert max(least) < 2.5 * min(least), costs


async def test_nobody_learns_a_password_hash(api: Api, admin: Someone) -> None:
    pair = await user(api, admin, "alice", role="admin")
    headers = bearer(pair["accessToken"])
    created = await api.http.post("/api/tokens", json={"name": "m", "role": "viewer"}, headers=headers)
    secret = next(text for text in _texts(created.json()) if text.startswith("slam_"))
    for path in (
        "/api/users",
        f"/api/users/{pair['user']['id']}",
        "/api/auth/me",
        "/api/tokens",
        "/api/audit",
        "/api/settings",
    ):
        answer = await api.http.get(path, headers=headers)
        assert answer.status_code == 200, path
        for hidden in ("argon2", PASSWORD, JWT_SECRET, secret, pair["refreshToken"], pair["accessToken"]):
            assert hidden not in answer.text, path


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return [text for item in inner for text in _texts(item)]


FORGED_ADDRESSES = ("X-Forwarded-For", "X-Real-IP", "Forwarded", "X-Client-IP", "CF-Connecting-IP", "True-Client-IP")


async def test_a_forged_address_does_not_walk_past_the_login_limit(
    database: str, api: Api, db: Db, admin: Someone
) -> None:
    await user(api, admin, "alice")
    async with running_api(database, rate_limit_login=Limit(3, timedelta(minutes=15))) as limited:
        statuses = [(await guess(limited, number)).status_code for number in range(6)]
        assert statuses == [401, 401, 401, 429, 429, 429]
        right = await limited.http.post("/api/auth/login", json={"username": "alice", "password": PASSWORD})
        assert right.status_code == 429
        assert int(right.headers["Retry-After"]) > 0


async def guess(api: Api, number: int) -> Any:
    """A wrong password from what claims to be yet another address."""
    address = f"198.51.100.{number}"
    forged = {name: f"for={address}" if name == "Forwarded" else address for name in FORGED_ADDRESSES}
    return await api.http.post("/api/auth/login", json={"username": "alice", "password": "no"}, headers=forged)


# Bodies

SERVER_SIDE = {
    "id": "INC-2026-9999",
    "version": 99,
    "author": "admin",
    "authorId": str(uuid4()),
    "createdBy": "admin",
    "created_by": "admin",
    "createdAt": "2020-01-01T00:00:00Z",
    "updatedAt": "2020-01-01T00:00:00Z",
    "resolvedAt": "2020-01-01T00:00:00Z",
    "passwordHash": "$argon2id$",
    "password_hash": "$argon2id$",
    "isAdmin": True,
    "lastLoginAt": None,
    "ownerId": str(uuid4()),
    "tokenHash": "x",
    "revokedAt": None,
    "declaredIn": "services.toml",
    "__proto__": {"role": "admin"},
    "constructor": {"prototype": {"role": "admin"}},
}
"""Fields that are the server's business, and names that have meant something to other languages."""


async def test_no_body_sets_what_is_the_servers_business(api: Api, db: Db, admin: Someone) -> None:
    alice = await user(api, admin, "alice", role="admin")
    headers = bearer(alice["accessToken"])
    incident = (await api.http.post("/api/incidents", json=INCIDENT, headers=headers)).json()["incident"]["id"]
    bodies: list[tuple[str, str, dict[str, Any]]] = [
        ("POST", "/api/incidents", INCIDENT),
        ("PUT", f"/api/incidents/{incident}", {"title": "x"}),
        ("POST", f"/api/incidents/{incident}/updates", {"status": "identified", "description": "x"}),
        ("POST", f"/api/incidents/{incident}/comments", {"text": "x"}),
        ("POST", "/api/templates", {"name": "t", **TEMPLATE}),
        ("POST", "/api/maintenance", WINDOW),
        ("POST", "/api/services", {"name": "x", "endpointUrl": "http://127.0.0.1:9/", "id": "x"}),
        ("PATCH", "/api/services/shop", {"name": "x"}),
        ("POST", "/api/users", {"username": "x", "email": "x@example.com", "password": PASSWORD, "role": "viewer"}),
        ("PATCH", f"/api/users/{alice['user']['id']}", {"email": "x@example.com"}),
        ("POST", "/api/tokens", {"name": "x", "role": "viewer"}),
        ("POST", "/api/auth/login", {"username": "alice", "password": PASSWORD}),
        ("POST", "/api/auth/refresh", {"refreshToken": alice["refreshToken"]}),
        ("POST", "/api/auth/password", {"currentPassword": PASSWORD, "newPassword": PASSWORD + "!", "role": "admin"}),
    ]
    before = await counts(db)
    for method, path, good in bodies:
        for name, value in SERVER_SIDE.items():
            if name not in good:
                answer = await api.http.request(method, path, json={**good, name: value}, headers=headers)
                assert (answer.status_code, answer.json()["code"]) == (400, "VALIDATION_ERROR"), (method, path, name)
    assert await counts(db) == before


async def counts(db: Db) -> dict[str, int]:
    tables = ("users", "services", "incidents", "incident_updates", "incident_comments", "templates", "api_tokens")
    return {
        table: (await (await db.execute(f"SELECT count(*) FROM {table}".encode())).fetchall())[0][0] for table in tables
    }


async def test_a_role_is_given_by_admins_only(api: Api, db: Db, admin: Someone) -> None:
    alice = await user(api, admin, "alice")
    headers = bearer(alice["accessToken"])
    own = f"/api/users/{alice['user']['id']}"
    for path in (own, f"{own}/role", f"{own}/", "/api/auth/me", "/api/users/me"):
        for method in ("PATCH", "PUT", "POST"):
            answer = await api.http.request(method, path, json={"role": "admin"}, headers=headers)
            assert answer.status_code in (400, 403, 404, 405), (method, path)
    assert (await api.get("/api/auth/me", headers=headers))["user"]["role"] == "reporter"


async def test_a_page_of_elsewhere_changes_nothing(api: Api, db: Db, admin: Someone) -> None:
    for origin in ("http://evil.example", "null", "http://front.example.evil.example", "file://"):
        headers = {**admin.headers, "Origin": origin}
        answer = await api.http.post("/api/incidents", json=INCIDENT, headers=headers)
        assert answer.status_code == 403, origin
        read = await api.http.get("/api/incidents", headers=headers)
        assert "access-control-allow-origin" not in read.headers
    assert (await counts(db))["incidents"] == 0


async def test_a_key_of_somebody_else_is_nobody_elses_incident(api: Api, db: Db, admin: Someone) -> None:
    alice, bob = await someone(db, "reporter"), await someone(db, "reporter")
    key = {"Idempotency-Key": "the-same"}
    first = await api.http.post("/api/incidents", json=INCIDENT, headers={**alice.headers, **key})
    again = await api.http.post("/api/incidents", json=INCIDENT, headers={**alice.headers, **key})
    bobs = await api.http.post("/api/incidents", json=INCIDENT, headers={**bob.headers, **key})
    other = await api.http.post("/api/incidents", json={**INCIDENT, "title": "x"}, headers={**alice.headers, **key})
    assert [answer.status_code for answer in (first, again, bobs, other)] == [201, 201, 201, 409]
    assert again.json()["incident"]["id"] == first.json()["incident"]["id"] != bobs.json()["incident"]["id"]
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in bobs.headers
    await db.execute("UPDATE users SET role = 'viewer' WHERE id = %s", [alice.user_id])
    demoted = await api.http.post("/api/incidents", json=INCIDENT, headers={**alice.headers, **key})
    nobody = await api.http.post("/api/incidents", json=INCIDENT, headers=key)
    assert (demoted.status_code, nobody.status_code) == (403, 401)
    for bad in ("x" * 256, "", "\x7f"):
        answer = await api.http.post("/api/incidents", json=INCIDENT, headers={**bob.headers, "Idempotency-Key": bad})
        assert answer.status_code == 400, repr(bad)


async def test_the_audit_log_says_who_it_was_whatever_they_claim(api: Api, db: Db, admin: Someone) -> None:
    alice = await someone(db, "reporter")
    claimed = {"X-User": "admin", "X-Forwarded-For": "203.0.113.9", "X-Request-Id": "mine", "User-Agent": "a\tb"}
    created = await api.http.post("/api/incidents", json=INCIDENT, headers={**alice.headers, **claimed})
    assert created.json()["incident"]["author"] == alice.username
    assert created.headers["x-request-id"] != "mine"
    rows = await db.execute(
        "SELECT actor, host(address), request_id FROM audit_entries WHERE object_type = 'incident' ORDER BY id LIMIT 1"
    )
    assert await rows.fetchone() == (alice.username, "127.0.0.1", created.headers["x-request-id"])
