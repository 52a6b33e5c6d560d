"""Attempts over REST to act as another user or with a higher role are refused: passwords and bodies."""

import time
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from sla_monitor.settings.values import Limit
from tests.api.attacks import PASSWORD, admin, create_and_log_in, no_server_error
from tests.api.conftest import JWT_SECRET, Api, User, bearer, create_user, running_api
from tests.api.people import Db
from tests.api.resources import INCIDENT, TEMPLATE, WINDOW

__all__ = ["admin", "no_server_error"]

pytestmark = pytest.mark.one_engine


# Passwords


async def test_an_unknown_user_costs_as_much_as_a_wrong_password(api: Api, db: Db, admin: User) -> None:
    await create_and_log_in(api, admin, "alice")
    await create_and_log_in(api, admin, "carol")
    await db.execute("UPDATE users SET active = false WHERE username = 'carol'")
    costs: dict[str, list[float]] = {"alice": [], "unknown": [], "carol": []}
    responses = set()
    for _ in range(5):
        for name, taken in costs.items():  # alternating, so that load on the machine slows all of them
            began = time.perf_counter()
            response = await api.http.post("/api/auth/login", json={"username": name, "password": "wrong one"})
            taken.append(time.perf_counter() - began)
            responses.add((response.status_code, response.text))
    assert len(responses) == 1
    least = [min(taken) for taken in costs.values()]
    assert max(least) < 2.5 * min(least), costs


async def test_no_response_contains_a_password_hash(api: Api, admin: User) -> None:
    pair = await create_and_log_in(api, admin, "alice", role="admin")
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
        response = await api.http.get(path, headers=headers)
        assert response.status_code == 200, path
        for hidden in ("argon2", PASSWORD, JWT_SECRET, secret, pair["refreshToken"], pair["accessToken"]):
            assert hidden not in response.text, path


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return [text for item in inner for text in _texts(item)]


FORGED_ADDRESSES = ("X-Forwarded-For", "X-Real-IP", "Forwarded", "X-Client-IP", "CF-Connecting-IP", "True-Client-IP")


async def test_forged_client_addresses_do_not_bypass_the_login_limit(
    database: str, api: Api, db: Db, admin: User
) -> None:
    await create_and_log_in(api, admin, "alice")
    async with running_api(database, rate_limit_login=Limit(3, timedelta(minutes=15))) as limited:
        statuses = [(await guess(limited, number)).status_code for number in range(6)]
        assert statuses == [401, 401, 401, 429, 429, 429]
        correct = await limited.http.post("/api/auth/login", json={"username": "alice", "password": PASSWORD})
        assert correct.status_code == 429
        assert int(correct.headers["Retry-After"]) > 0


async def guess(api: Api, number: int) -> Any:
    """Tries a wrong password with a different client address in the headers."""
    address = f"198.51.100.{number}"
    forged = {name: f"for={address}" if name == "Forwarded" else address for name in FORGED_ADDRESSES}
    return await api.http.post("/api/auth/login", json={"username": "alice", "password": "no"}, headers=forged)


# Bodies


SERVER_FIELDS = {
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
"""Fields that only the server sets, and names with a special meaning in other languages."""


async def test_no_body_sets_a_field_of_the_server(api: Api, db: Db, admin: User) -> None:
    alice = await create_and_log_in(api, admin, "alice", role="admin")
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
    for method, path, body in bodies:
        for name, value in SERVER_FIELDS.items():
            if name not in body:
                response = await api.http.request(method, path, json={**body, name: value}, headers=headers)
                assert (response.status_code, response.json()["code"]) == (400, "VALIDATION_ERROR"), (
                    method,
                    path,
                    name,
                )
    assert await counts(db) == before


async def counts(db: Db) -> dict[str, int]:
    tables = ("users", "services", "incidents", "incident_updates", "incident_comments", "templates", "api_tokens")
    return {
        table: (await (await db.execute(f"SELECT count(*) FROM {table}".encode())).fetchall())[0][0] for table in tables
    }


async def test_only_admins_set_roles(api: Api, db: Db, admin: User) -> None:
    alice = await create_and_log_in(api, admin, "alice")
    headers = bearer(alice["accessToken"])
    own = f"/api/users/{alice['user']['id']}"
    for path in (own, f"{own}/role", f"{own}/", "/api/auth/me", "/api/users/me"):
        for method in ("PATCH", "PUT", "POST"):
            response = await api.http.request(method, path, json={"role": "admin"}, headers=headers)
            assert response.status_code in (400, 403, 404, 405), (method, path)
    assert (await api.get("/api/auth/me", headers=headers))["user"]["role"] == "reporter"


async def test_requests_of_another_origin_change_nothing(api: Api, db: Db, admin: User) -> None:
    for origin in ("http://evil.example", "null", "http://front.example.evil.example", "file://"):
        headers = {**admin.headers, "Origin": origin}
        response = await api.http.post("/api/incidents", json=INCIDENT, headers=headers)
        assert response.status_code == 403, origin
        read = await api.http.get("/api/incidents", headers=headers)
        assert "access-control-allow-origin" not in read.headers
    assert (await counts(db))["incidents"] == 0


async def test_the_idempotency_key_of_another_user_does_not_return_their_incident(
    api: Api, db: Db, admin: User
) -> None:
    alice, bob = await create_user(db, "reporter"), await create_user(db, "reporter")
    key = {"Idempotency-Key": "the-same"}
    first = await api.http.post("/api/incidents", json=INCIDENT, headers={**alice.headers, **key})
    again = await api.http.post("/api/incidents", json=INCIDENT, headers={**alice.headers, **key})
    bobs = await api.http.post("/api/incidents", json=INCIDENT, headers={**bob.headers, **key})
    other = await api.http.post("/api/incidents", json={**INCIDENT, "title": "x"}, headers={**alice.headers, **key})
    assert [response.status_code for response in (first, again, bobs, other)] == [201, 201, 201, 409]
    assert again.json()["incident"]["id"] == first.json()["incident"]["id"] != bobs.json()["incident"]["id"]
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in bobs.headers
    await db.execute("UPDATE users SET role = 'viewer' WHERE id = %s", [alice.user_id])
    demoted = await api.http.post("/api/incidents", json=INCIDENT, headers={**alice.headers, **key})
    anonymous = await api.http.post("/api/incidents", json=INCIDENT, headers=key)
    assert (demoted.status_code, anonymous.status_code) == (403, 401)
    for invalid in ("x" * 256, "", "\x7f"):
        response = await api.http.post(
            "/api/incidents", json=INCIDENT, headers={**bob.headers, "Idempotency-Key": invalid}
        )
        assert response.status_code == 400, repr(invalid)


async def test_the_audit_log_ignores_claimed_names_and_addresses(api: Api, db: Db, admin: User) -> None:
    alice = await create_user(db, "reporter")
    claimed = {"X-User": "admin", "X-Forwarded-For": "203.0.113.9", "X-Request-Id": "mine", "User-Agent": "a\tb"}
    created = await api.http.post("/api/incidents", json=INCIDENT, headers={**alice.headers, **claimed})
    assert created.json()["incident"]["author"] == alice.username
    assert created.headers["x-request-id"] != "mine"
    rows = await db.execute(
        "SELECT actor, host(address), request_id FROM audit_entries WHERE object_type = 'incident' ORDER BY id LIMIT 1"
    )
    assert await rows.fetchone() == (alice.username, "127.0.0.1", created.headers["x-request-id"])
