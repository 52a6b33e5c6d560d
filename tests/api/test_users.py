"""Administration of users over REST: valid and invalid fields, lists, and permissions."""

from typing import Any
from uuid import uuid4

import anyio
import psycopg
import pytest

from tests.api.conftest import Api, create_user, fetch_row
from tests.api.user_administration import KIM, add_user, change_user

Db = psycopg.AsyncConnection[Any]

pytestmark = [pytest.mark.one_engine, pytest.mark.usefixtures("cheap")]


# Adding


async def test_a_new_user_logs_in_with_the_password_that_is_shown_once(api: Api, db: Db) -> None:
    admin = await create_user(db)
    response = await api.http.post("/api/users", json=KIM, headers=admin.headers)
    assert response.status_code == 201
    body = response.json()
    user = body["user"]
    assert response.headers["location"] == f"/api/users/{user['id']}"
    assert user == KIM | {"id": user["id"], "active": True, "createdAt": user["createdAt"], "lastLoginAt": None}
    assert user["createdAt"].endswith("Z")
    login = await api.http.post("/api/auth/login", json={"username": "kim", "password": body["password"]})
    assert login.status_code == 200
    found = await api.get(f"/api/users/{user['id']}", headers=admin.headers)
    assert set(found) == {"user"}
    assert found["user"] | {"lastLoginAt": None} == user
    assert found["user"]["lastLoginAt"].endswith("Z")


async def test_a_given_password_is_not_repeated(api: Api, db: Db) -> None:
    admin = await create_user(db)
    assert (await add_user(api, admin, password="correct horse battery"))["password"] is None
    login = await api.http.post("/api/auth/login", json={"username": "kim", "password": "correct horse battery"})
    assert login.status_code == 200


INVALID: list[tuple[dict[str, Any], str]] = [
    ({"username": ""}, "username"),
    ({"username": ".kim"}, "username"),
    ({"username": "k m"}, "username"),
    ({"username": "kim\n"}, "username"),
    ({"username": "k\0m"}, "username"),
    ({"username": "kim@example.com"}, "username"),
    ({"username": "\u043aim"}, "username"),
    ({"username": "k" * 51}, "username"),
    ({"username": None}, "username"),
    ({"username": 10**400}, "username"),
    ({"email": "kim"}, "email"),
    ({"email": "kim@"}, "email"),
    ({"email": "kim@a@b"}, "email"),
    ({"email": "kim@example.com\n"}, "email"),
    ({"email": "kim@exa\0mple.com"}, "email"),
    ({"email": "kim@exa\u202emple.com"}, "email"),
    ({"email": "kim@example.com\r\nBcc: all@example.com"}, "email"),
    ({"email": "k" * 90 + "@example.com"}, "email"),
    ({"role": "owner"}, "role"),
    ({"role": "ADMIN"}, "role"),
    ({"role": ["admin"]}, "role"),
    ({"password": "too short"}, "password"),
    ({"password": "x" * 201}, "password"),
    ({"password": None}, "password"),
    # Fields that only the server sets.
    ({"id": str(uuid4())}, "id"),
    ({"passwordHash": "x"}, "passwordHash"),
    ({"password_hash": "x"}, "password_hash"),
    ({"createdAt": "2026-01-01T00:00:00Z"}, "createdAt"),
    ({"lastLoginAt": None}, "lastLoginAt"),
]


async def test_invalid_users_are_refused_by_field(api: Api, db: Db) -> None:
    admin = await create_user(db)
    user_id = (await add_user(api, admin))["user"]["id"]
    for fields, field in INVALID:
        other = {"username": "other", "email": "other@example.com", "role": "viewer"} | fields
        for response in (
            await api.http.post("/api/users", json=other, headers=admin.headers),
            await api.http.patch(f"/api/users/{user_id}", json=fields, headers=admin.headers),
        ):
            assert response.status_code == 400, (fields, response.text)
            assert field in [problem["field"] for problem in response.json()["details"]], (fields, response.text)
    assert await fetch_row(db, "SELECT count(*) FROM users") == (2,)


async def test_the_password_must_not_be_the_user_name(api: Api, db: Db) -> None:
    """It must not be the e-mail address either. Both are compared with their values before and after the change."""
    admin = await create_user(db)
    user_id = (await add_user(api, admin, username="kim.the.first"))["user"]["id"]
    new = {"username": "kim.the.other", "email": "other@example.com", "role": "viewer"}
    for response in (
        await api.http.post("/api/users", json=new | {"password": "KIM.the.other"}, headers=admin.headers),
        await change_user(api, admin, user_id, password="KIM.the.first"),
        await change_user(api, admin, user_id, password="kim@EXAMPLE.com"),
        await change_user(api, admin, user_id, username="kim.the.third", password="kim.the.third"),
    ):
        assert (response.status_code, response.json()["details"][0]["field"]) == (400, "password")


async def test_a_new_user_is_active(api: Api, db: Db) -> None:
    admin = await create_user(db)
    response = await api.http.post("/api/users", json=KIM | {"active": False}, headers=admin.headers)
    assert response.status_code == 400


async def test_names_and_e_mails_are_unique_without_regard_to_case(api: Api, db: Db) -> None:
    admin = await create_user(db)
    await add_user(api, admin)
    other = (await add_user(api, admin, username="other", email="other@example.com"))["user"]["id"]
    for field, taken in (("username", "KIM"), ("email", "KIM@example.com")):
        fresh = {"username": "third", "email": "third@example.com", "role": "viewer"}
        for response in (
            await api.http.post("/api/users", json=fresh | {field: taken}, headers=admin.headers),
            await change_user(api, admin, other, **{field: taken}),
        ):
            assert (response.status_code, response.json()["code"]) == (409, "CONFLICT")
            assert response.json()["details"] == [{"field": field, "message": "is already in use", "code": "taken"}]


async def test_of_concurrent_requests_for_one_name_one_succeeds(api: Api, db: Db) -> None:
    admin = await create_user(db)
    statuses: list[int] = []

    async def take(email: str) -> None:
        response = await api.http.post("/api/users", json=KIM | {"email": email}, headers=admin.headers)
        statuses.append(response.status_code)

    async with anyio.create_task_group() as group:
        for number in range(4):
            group.start_soon(take, f"kim{number}@example.com")
    assert sorted(statuses) == [201, 409, 409, 409]


# Listing


async def test_users_are_listed_by_name_in_pages(api: Api, db: Db) -> None:
    admin = await create_user(db, username="Zoe")
    for name in ("bea", "Ann", "cia"):
        await create_user(db, "viewer", name)
    first = await api.get("/api/users?limit=3", headers=admin.headers)
    assert [user["username"] for user in first["users"]] == ["Ann", "bea", "cia"]
    assert first["pagination"] == {"page": 1, "limit": 3, "total": 4, "totalPages": 2}
    second = await api.get("/api/users?limit=3&page=2", headers=admin.headers)
    assert [user["username"] for user in second["users"]] == ["Zoe"]
    assert (await api.get("/api/users?limit=3&page=3", headers=admin.headers))["users"] == []
    assert set(first["users"][0]) == {"id", "username", "email", "role", "active", "createdAt", "lastLoginAt"}


async def test_users_are_found_by_filters(api: Api, db: Db) -> None:
    admin = await create_user(db, username="Zoe")
    await create_user(db, "viewer", "ann_1")
    await create_user(db, "viewer", "annx1")
    await create_user(db, "reporter", "bea")
    await db.execute("UPDATE users SET active = false WHERE username = 'bea'")

    async def found(query: str) -> list[str]:
        response = await api.get(f"/api/users?{query}", headers=admin.headers)
        names = [user["username"] for user in response["users"]]
        assert response["pagination"]["total"] == len(names)
        return names

    assert await found("search=ANN") == ["ann_1", "annx1"]
    assert await found("search=n_1") == ["ann_1"]
    assert await found("search=%25") == []
    assert await found("search=zoe%40EXAMPLE") == ["Zoe"]
    assert await found("role=viewer") == ["ann_1", "annx1"]
    assert await found("active=false") == ["bea"]
    assert await found("role=viewer&active=true&search=x1") == ["annx1"]
    assert await found("role=viewer&active=false") == []


async def test_invalid_parameters_are_refused_by_name(api: Api, db: Db) -> None:
    admin = await create_user(db)
    for query, field in (
        ("page=0", "page"),
        ("limit=101", "limit"),
        ("limit=" + "9" * 400, "limit"),
        ("role=owner", "role"),
        ("active=perhaps", "active"),
        ("search=%00", "search"),
        ("search=" + "x" * 101, "search"),
    ):
        response = await api.http.get(f"/api/users?{query}", headers=admin.headers)
        assert (response.status_code, response.json()["details"][0]["field"]) == (400, field), response.text


async def test_an_unknown_user_is_not_found(api: Api, db: Db) -> None:
    admin = await create_user(db)
    for user_id in (str(uuid4()), "0", "x" * 300, "%00", "'%20OR%20true", "1e400"):
        for method in ("GET", "PATCH", "DELETE"):
            body: dict[str, Any] = {"json": {"role": "viewer"}} if method == "PATCH" else {}
            response = await api.http.request(method, f"/api/users/{user_id}", headers=admin.headers, **body)
            assert (response.status_code, response.json()["code"]) == (404, "NOT_FOUND"), (method, user_id)


@pytest.mark.parametrize("role", ["viewer", "reporter", None])
async def test_only_admins_administer_users(api: Api, db: Db, role: str | None) -> None:
    headers = (await create_user(db, role)).headers if role else {}
    victim = await create_user(db)
    for method, path in (
        ("GET", "/api/users"),
        ("POST", "/api/users"),
        ("GET", f"/api/users/{victim.user_id}"),
        ("PATCH", f"/api/users/{victim.user_id}"),
        ("DELETE", f"/api/users/{victim.user_id}"),
    ):
        body: dict[str, Any] = (
            {"json": KIM if method == "POST" else {"role": "viewer"}} if method in ("POST", "PATCH") else {}
        )
        response = await api.http.request(method, path, headers=headers, **body)
        assert response.status_code == (403 if role else 401), (method, path)
