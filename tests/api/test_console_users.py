"""/console/users and /console/tokens: users and API tokens are managed in forms, and secrets are shown once."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from tests.api.conftest import Api, User, create_user
from tests.api.people import Db
from tests.api.visitors import Page, Visitor, invalid_fields, redirect_target, visitor

pytestmark = pytest.mark.one_engine

USERS, TOKENS = "/console/users", "/console/tokens"
NEW = {"username": "rosa", "email": "rosa@example.com", "role": "reporter"}


@pytest.fixture
async def ada(db: Db) -> User:
    return await create_user(db, "admin", "ada")


@pytest.fixture
async def admin(api: Api, ada: User) -> Visitor:
    return await visitor(api, ada)


def secret(page: Page) -> str:
    """Returns the secret that the page shows once. The response is not a redirect and must not be stored."""
    assert page.status == 200 and page.response.headers["cache-control"] == "no-store"
    [shown] = re.findall(r'<output class="secret"[^>]*>([^<]+)</output>', page.text)
    return str(shown)


async def login(api: Api, username: str, password: str) -> int:
    response = await api.http.post("/api/auth/login", json={"username": username, "password": password})
    return response.status_code


async def test_a_generated_password_is_shown_once_and_valid(admin: Visitor, api: Api, db: Db) -> None:
    password = secret(await admin.fill(f"{USERS}/new", USERS, **NEW))
    assert await login(api, "rosa", password) == 200
    cursor = await db.execute("SELECT id FROM users WHERE username = 'rosa'")
    [(user_id,)] = await cursor.fetchall()
    for path in (USERS, f"{USERS}/{user_id}", "/console/audit"):
        assert password not in (await admin.get(path)).text


async def test_a_chosen_password_is_never_shown(admin: Visitor, api: Api) -> None:
    response = await admin.fill(f"{USERS}/new", USERS, **NEW, password=" correct horse ")
    assert redirect_target(response) == f"{USERS}?done=created"
    assert await login(api, "rosa", " correct horse ") == 200


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("username", "r sa"),
        ("username", "ADA"),
        ("email", "no-at-sign"),
        ("password", "short"),
        ("password", "rosa@example.com"),
    ],
)
async def test_invalid_fields_are_marked_and_values_are_kept(admin: Visitor, db: Db, field: str, value: str) -> None:
    response = await admin.fill(f"{USERS}/new", USERS, **{**NEW, "password": "correct horse", field: value})
    assert response.status in (400, 409)
    assert invalid_fields(response) == {field}
    form = response.form(USERS)
    assert form.value("role") == "reporter"
    assert form.value("password") == "", "a password is not sent back"
    assert field == "password" or form.value(field) == value


async def test_role_and_status_are_changed(admin: Visitor, api: Api, db: Db) -> None:
    rosa = await create_user(db, "reporter", "rosa")
    path = f"{USERS}/{rosa.user_id}"
    assert redirect_target(await admin.fill(path, role="admin", active=None)) == f"{USERS}?done=saved"
    cursor = await db.execute("SELECT role::text, active FROM users WHERE username = 'rosa'")
    assert await cursor.fetchall() == [("admin", False)]
    assert (await api.http.get("/api/auth/me", headers=rosa.headers)).status_code == 401
    page = await admin.get(USERS)
    assert "Disabled" in page.text
    redirect_target(await admin.fill(path, active="1"))


async def test_a_password_reset_ends_the_sessions_of_the_user(admin: Visitor, api: Api, db: Db) -> None:
    rosa = await create_user(db, "reporter", "rosa")
    page = await admin.get(f"{USERS}/{rosa.user_id}")
    password = secret(await admin.submit(page.form(f"{USERS}/{rosa.user_id}/password")))
    assert (await api.http.get("/api/auth/me", headers=rosa.headers)).status_code == 401
    assert await login(api, "rosa", password) == 200


async def test_the_last_admin_can_neither_be_demoted_nor_deleted(admin: Visitor, ada: User) -> None:
    path = f"{USERS}/{ada.user_id}"
    for response in (
        await admin.fill(path, role="viewer"),
        await admin.fill(path, active=None),
        await admin.fill(f"{path}/delete"),
    ):
        assert response.status == 409 and "This is the last active admin." in response.text
    page = await admin.get(path)
    assert page.form(path).value("role") == "admin"
    assert "/console/account" in page.text and "/password" not in page.text


async def test_deleting_needs_a_confirmation(admin: Visitor, api: Api, db: Db) -> None:
    rosa = await create_user(db, "reporter", "rosa")
    path = f"{USERS}/{rosa.user_id}/delete"
    page = await admin.get(path)
    assert "rosa" in page.text and (await api.http.get("/api/auth/me", headers=rosa.headers)).status_code == 200
    assert redirect_target(await admin.submit(page.form(path))) == f"{USERS}?done=deleted"
    assert (await api.http.get("/api/auth/me", headers=rosa.headers)).status_code == 401
    await admin.get(path, status=404)


async def test_a_token_is_shown_once_and_works_until_it_is_revoked(admin: Visitor, api: Api, db: Db) -> None:
    token = secret(await admin.fill(f"{TOKENS}/new", TOKENS, name="bot", role="admin"))
    headers = {"Authorization": f"Bearer {token}"}
    assert (await api.http.get("/api/settings", headers=headers)).status_code == 200
    listed = await admin.get(TOKENS)
    assert "bot" in listed.text and token not in listed.text and "never expires" in listed.text
    [(token_id,)] = await (await db.execute("SELECT id FROM api_tokens")).fetchall()
    response = await admin.fill(f"{TOKENS}/{token_id}/delete")
    assert redirect_target(response) == f"{TOKENS}?done=deleted"
    assert (await api.http.get("/api/settings", headers=headers)).status_code == 401
    assert f"{TOKENS}/{token_id}/delete" not in (await admin.get(TOKENS)).text


async def test_a_token_is_valid_until_the_end_of_its_last_local_day(admin: Visitor, db: Db) -> None:
    await db.execute("UPDATE installation SET time_zone = 'Asia/Seoul'")
    day = (datetime.now(UTC) + timedelta(days=9)).date()
    secret(await admin.fill(f"{TOKENS}/new", TOKENS, name="bot", role="viewer", lastDay=day.isoformat()))
    cursor = await db.execute("SELECT expires_at AT TIME ZONE 'Asia/Seoul' FROM api_tokens")
    [(expires_at,)] = await cursor.fetchall()
    assert expires_at == datetime.combine(day + timedelta(days=1), datetime.min.time())


@pytest.mark.parametrize(("field", "name", "value"), [("name", "name", ""), ("expiresAt", "lastDay", "2020-01-01")])
async def test_invalid_fields_of_a_token_are_marked(admin: Visitor, field: str, name: str, value: str) -> None:
    response = await admin.fill(f"{TOKENS}/new", TOKENS, **{"name": "bot", "role": "viewer", name: value})
    assert (response.status, invalid_fields(response)) == (400, {field})
    assert response.form(TOKENS).value(name) == value and "slam_" not in response.text
    unreadable = await admin.fill(f"{TOKENS}/new", TOKENS, name="bot", role="viewer", lastDay="someday")
    assert (unreadable.status, invalid_fields(unreadable)) == (400, {"expiresAt"})
