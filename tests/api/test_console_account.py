"""/console/account, /console/settings and /console/audit."""

import re
from urllib.parse import parse_qs, urlsplit

import pytest

from api.edge.cookies import SESSION
from tests.api.conftest import JWT_SECRET, Api, User, add_service, create_user, running_api
from tests.api.people import Db
from tests.api.visitors import Visitor, invalid_fields, redirect_target, set_password, visitor

pytestmark = pytest.mark.one_engine

HERE = "/console/account"
OLD, NEW = "correct horse", "battery staple"
CHANGES = '<summary class="hint"'


@pytest.fixture
async def rosa(db: Db) -> User:
    rosa = await create_user(db, "viewer", "rosa")
    await set_password(db, rosa, OLD)
    return rosa


async def test_the_account_page_shows_the_user_and_its_sessions(api: Api, db: Db, rosa: User) -> None:
    await db.execute(
        "UPDATE sessions SET user_agent = '<b>Firefox', address = '192.0.2.7' WHERE id = %s", [rosa.session_id]
    )
    text = (await (await visitor(api, rosa)).get(HERE)).text
    assert "rosa@example.com" in text and "Viewer" in text
    assert "&lt;b&gt;Firefox" in text and "192.0.2.7" in text and text.count("This browser") == 1


async def test_a_new_password_ends_all_sessions_and_the_browser_stays_logged_in(api: Api, db: Db, rosa: User) -> None:
    browser = await visitor(api, rosa)
    headers = {"User-Agent": "Firefox"}
    form = (await browser.get(HERE)).form(HERE)
    data = {**dict(form.fields), "currentPassword": OLD, "newPassword": NEW, "again": NEW}
    response = await browser.request("POST", HERE, data=data, headers=headers)
    assert redirect_target(response) == f"{HERE}?done=password"
    cookie = response.response.headers["set-cookie"]
    assert "HttpOnly" in cookie and "samesite=lax" in cookie.lower()
    fresh = Visitor(api, re.findall(f"{SESSION}=([^;]+)", cookie)[0])
    assert "Your password has been changed." in (await fresh.get(f"{HERE}?done=password")).text
    assert "Firefox" in (await fresh.get(HERE)).text
    assert (await browser.request("GET", HERE)).status == 303, "the old session has ended"
    assert (await api.http.get("/api/auth/me", headers=rosa.headers)).status_code == 401
    login = await api.http.post("/api/auth/login", json={"username": "rosa", "password": NEW})
    assert login.status_code == 200


@pytest.mark.parametrize(
    ("current", "new", "again", "field"),
    [
        ("wrong horse", NEW, NEW, "currentPassword"),
        (OLD, "short", "short", "newPassword"),
        (OLD, "rosa@example.com", "rosa@example.com", "newPassword"),
        (OLD, NEW, "battery", "again"),
    ],
)
async def test_invalid_passwords_are_marked_and_not_in_the_page(
    api: Api, rosa: User, current: str, new: str, again: str, field: str
) -> None:
    browser = await visitor(api, rosa)
    response = await browser.fill(HERE, currentPassword=current, newPassword=new, again=again)
    assert (response.status, invalid_fields(response)) == (400, {field})
    assert response.form(HERE).values("currentPassword") == [""]
    assert f'value="{new}"' not in response.text
    await browser.get(HERE)


async def test_settings_are_shown_and_secrets_are_not(database: str, db: Db) -> None:
    async with running_api(database, site_title="<Shop>") as api:
        text = (await (await visitor(api, await create_user(db, "admin"))).get("/console/settings")).text
    changed, _, default = text.partition("<h2>Default settings</h2>")
    assert "SITE_TITLE" in changed and "&lt;Shop&gt;" in changed and "<Shop>" not in text
    assert "JWT_SECRET" in changed and "***" in changed and JWT_SECRET not in text
    assert "SITE_COLOR" in default


async def test_the_audit_log_can_be_filtered_and_shows_the_previous_values(api: Api, db: Db) -> None:
    admin = await visitor(api, await create_user(db, "admin", "ada"))
    await add_service(db, "shop", name="<i>Shop")
    await db.execute("UPDATE services SET interval_seconds = 30 WHERE id = 'shop'")
    text = (await admin.get("/console/audit?objectType=service&objectId=shop&action=update")).text
    assert text.count(CHANGES) == 1 and "“&lt;i&gt;Shop”" not in text
    assert re.search(r"interval_seconds</code></th><td>.*60.*</td><td>.*30.*</td>", text)
    assert "&lt;i&gt;Shop" in (await admin.get("/console/audit?objectType=service")).text
    nothing = await admin.get("/console/audit?actor=unknown")
    assert "No entries match these filters." in nothing.text


async def test_times_of_the_audit_log_are_in_the_reporting_time_zone(api: Api, db: Db) -> None:
    await db.execute("UPDATE installation SET time_zone = 'Asia/Seoul'")
    admin = await visitor(api, await create_user(db, "admin"))
    local = "to_char(now() AT TIME ZONE 'Asia/Seoul' + %s::interval, 'YYYY-MM-DD\"T\"HH24:MI')"
    for shift, found in (("-1 min", True), ("1 min", False)):
        [(begin,)] = await (await db.execute(f"SELECT {local}".encode(), [shift])).fetchall()
        page = await admin.get(f"/console/audit?from={begin}")
        assert (CHANGES in page.text) == found
        assert f'value="{begin}"' in page.text, "the filter is kept"


async def test_an_invalid_filter_is_shown(api: Api, db: Db) -> None:
    admin = await visitor(api, await create_user(db, "admin"))
    page = await admin.get("/console/audit?from=yesterday&actor=ada", status=400)
    assert invalid_fields(page) == {"from"} and 'value="ada"' in page.text


async def test_pages_of_the_audit_log_keep_the_filter(api: Api, db: Db) -> None:
    admin = await visitor(api, await create_user(db, "admin"))
    await db.execute(
        "INSERT INTO services (id, name, endpoint_url) "
        "SELECT 's-' || n, 'S & ' || n, 'http://127.0.0.1:9/' FROM generate_series(1, 60) AS n"
    )
    page = await admin.get("/console/audit?objectType=service&action=create")
    [following] = re.findall(r'rel="next" href="([^"]+)"', page.text)
    query = parse_qs(urlsplit(following.replace("&amp;", "&")).query)
    assert query == {"objectType": ["service"], "action": ["create"], "page": ["2"]}
    assert (await admin.get(following.replace("&amp;", "&"))).text.count(CHANGES) == 10
