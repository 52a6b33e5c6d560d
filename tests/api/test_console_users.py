"""/console/users and /console/tokens: who may come in, people and machines. Secrets are shown once."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from tests.api.conftest import Api, Someone, someone
from tests.api.people import Db
from tests.api.visitors import Page, Visitor, marked, sent_to, visitor

pytestmark = pytest.mark.one_engine

USERS, TOKENS = "/console/users", "/console/tokens"
NEW = {"username": "rosa", "email": "rosa@example.com", "role": "reporter"}


@pytest.fixture
async def ada(db: Db) -> Someone:
    return await someone(db, "admin", "ada")


@pytest.fixture
async def admin(api: Api, ada: Someone) -> Visitor:
    return await visitor(api, ada)


def secret(page: Page) -> str:
    """What is shown once: by an answer that nobody keeps, at no address."""
    assert page.status == 200 and page.answer.headers["cache-control"] == "no-store"
    [shown] = re.findall(r'<output class="secret"[^>]*>([^<]+)</output>', page.text)
    return str(shown)


async def login(api: Api, username: str, password: str) -> int:
    answer = await api.http.post("/api/auth/login", json={"username": username, "password": password})
    return answer.status_code


async def test_a_generated_password_is_shown_once_and_good(admin: Visitor, api: Api, db: Db) -> None:
    password = secret(await admin.fill(f"{USERS}/new", USERS, **NEW))
    assert await login(api, "rosa", password) == 200
    cursor = await db.execute("SELECT id FROM users WHERE username = 'rosa'")
    [(user_id,)] = await cursor.fetchall()
    for path in (USERS, f"{USERS}/{user_id}", "/console/audit"):
        assert password not in (await admin.get(path)).text


async def test_a_chosen_password_is_never_shown(admin: Visitor, api: Api) -> None:
    answer = await admin.fill(f"{USERS}/new", USERS, **NEW, password=" correct horse ")
    assert sent_to(answer) == f"{USERS}?done=created"
    assert await login(api, "rosa", " correct horse ") == 200


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("username", "r sa"),
        ("username", "ADA"),
        ("email", "nobody"),
        ("password", "short"),
        ("password", "rosa@example.com"),
    ],
)
async def test_wrong_fields_are_marked_and_values_kept(admin: Visitor, db: Db, field: str, value: str) -> None:
    answer = await admin.fill(f"{USERS}/new", USERS, **{**NEW, "password": "correct horse", field: value})
    assert answer.status in (400, 409)
    assert marked(answer) == {field}
    form = answer.form(USERS)
    assert form.value("role") == "reporter"
    assert form.value("password") == "", "a password is not sent back"
    assert field == "password" or form.value(field) == value


async def test_role_and_access_are_changed(admin: Visitor, api: Api, db: Db) -> None:
    rosa = await someone(db, "reporter", "rosa")
    path = f"{USERS}/{rosa.user_id}"
    assert sent_to(await admin.fill(path, role="admin", active=None)) == f"{USERS}?done=saved"
    cursor = await db.execute("SELECT role::text, active FROM users WHERE username = 'rosa'")
    assert await cursor.fetchall() == [("admin", False)]
    assert (await api.http.get("/api/auth/me", headers=rosa.headers)).status_code == 401
    page = await admin.get(USERS)
    assert "Disabled" in page.text
    sent_to(await admin.fill(path, active="1"))


async def test_a_reset_password_ends_the_sessions_of_its_user(admin: Visitor, api: Api, db: Db) -> None:
    rosa = await someone(db, "reporter", "rosa")
    page = await admin.get(f"{USERS}/{rosa.user_id}")
    password = secret(await admin.submit(page.form(f"{USERS}/{rosa.user_id}/password")))
    assert (await api.http.get("/api/auth/me", headers=rosa.headers)).status_code == 401
    assert await login(api, "rosa", password) == 200


async def test_the_last_admin_stays(admin: Visitor, ada: Someone) -> None:
    path = f"{USERS}/{ada.user_id}"
    for answer in (
        await admin.fill(path, role="viewer"),
        await admin.fill(path, active=None),
        await admin.fill(f"{path}/delete"),
    ):
        assert answer.status == 409 and "This is the last active admin." in answer.text
    page = await admin.get(path)
    assert page.form(path).value("role") == "admin"
    assert "/console/account" in page.text and "/password" not in page.text


async def test_deleting_asks_first(admin: Visitor, api: Api, db: Db) -> None:
    rosa = await someone(db, "reporter", "rosa")
    path = f"{USERS}/{rosa.user_id}/delete"
    page = await admin.get(path)
    assert "rosa" in page.text and (await api.http.get("/api/auth/me", headers=rosa.headers)).status_code == 200
    assert sent_to(await admin.submit(page.form(path))) == f"{USERS}?done=deleted"
    assert (await api.http.get("/api/auth/me", headers=rosa.headers)).status_code == 401
    await admin.get(path, status=404)


async def test_a_token_is_shown_once_and_works_until_it_is_revoked(admin: Visitor, api: Api, db: Db) -> None:
    made = secret(await admin.fill(f"{TOKENS}/new", TOKENS, name="bot", role="admin"))
    headers = {"Authorization": f"Bearer {made}"}
    assert (await api.http.get("/api/settings", headers=headers)).status_code == 200
    listed = await admin.get(TOKENS)
    assert "bot" in listed.text and made not in listed.text and "never expires" in listed.text
    [(token_id,)] = await (await db.execute("SELECT id FROM api_tokens")).fetchall()
    answer = await admin.fill(f"{TOKENS}/{token_id}/delete")
    assert sent_to(answer) == f"{TOKENS}?done=deleted"
    assert (await api.http.get("/api/settings", headers=headers)).status_code == 401
    assert f"{TOKENS}/{token_id}/delete" not in (await admin.get(TOKENS)).text


async def test_a_token_is_good_to_the_end_of_its_last_day_here(admin: Visitor, db: Db) -> None:
    await db.execute("UPDATE installation SET time_zone = 'Asia/Seoul'")
    day = (datetime.now(UTC) + timedelta(days=9)).date()
    secret(await admin.fill(f"{TOKENS}/new", TOKENS, name="bot", role="viewer", lastDay=day.isoformat()))
    cursor = await db.execute("SELECT expires_at AT TIME ZONE 'Asia/Seoul' FROM api_tokens")
    [(expires_at,)] = await cursor.fetchall()
    assert expires_at == datetime.combine(day + timedelta(days=1), datetime.min.time())


@pytest.mark.parametrize(("field", "name", "value"), [("name", "name", ""), ("expiresAt", "lastDay", "2020-01-01")])
async def test_wrong_tokens_are_told(admin: Visitor, field: str, name: str, value: str) -> None:
    answer = await admin.fill(f"{TOKENS}/new", TOKENS, **{"name": "bot", "role": "viewer", name: value})
    assert (answer.status, marked(answer)) == (400, {field})
    assert answer.form(TOKENS).value(name) == value and "slam_" not in answer.text
    unreadable = await admin.fill(f"{TOKENS}/new", TOKENS, name="bot", role="viewer", lastDay="someday")
    assert (unreadable.status, marked(unreadable)) == (400, {"expiresAt"})
