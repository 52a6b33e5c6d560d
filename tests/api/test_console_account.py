"""/console/account, /console/settings and /console/audit."""

import re
from urllib.parse import parse_qs, urlsplit

import pytest

from api.edge.cookies import SESSION
from tests.api.conftest import JWT_SECRET, Api, Someone, add_service, running_api, someone
from tests.api.people import Db
from tests.api.visitors import Visitor, give_password, marked, sent_to, visitor

pytestmark = pytest.mark.one_engine

HERE = "/console/account"
OLD, NEW = "correct horse", "battery staple"
CHANGES = '<summary class="hint"'


@pytest.fixture
async def rosa(db: Db) -> Someone:
    rosa = await someone(db, "viewer", "rosa")
    await give_password(db, rosa, OLD)
    return rosa


async def test_it_says_who_i_am_and_where_i_am_logged_in(api: Api, db: Db, rosa: Someone) -> None:
    await db.execute(
        "UPDATE sessions SET user_agent = '<b>Firefox', address = '192.0.2.7' WHERE id = %s", [rosa.session_id]
    )
    text = (await (await visitor(api, rosa)).get(HERE)).text
    assert "rosa@example.com" in text and "Viewer" in text
    assert "&lt;b&gt;Firefox" in text and "192.0.2.7" in text and text.count("This browser") == 1


async def test_a_new_password_ends_all_sessions_but_the_browser_stays_logged_in(
    api: Api, db: Db, rosa: Someone
) -> None:
    browser = await visitor(api, rosa)
    headers = {"User-Agent": "Firefox"}
    form = (await browser.get(HERE)).form(HERE)
    data = {**dict(form.fields), "currentPassword": OLD, "newPassword": NEW, "again": NEW}
    answer = await browser.ask("POST", HERE, data=data, headers=headers)
    assert sent_to(answer) == f"{HERE}?done=password"
    given = answer.answer.headers["set-cookie"]
    assert "HttpOnly" in given and "samesite=lax" in given.lower()
    fresh = Visitor(api, re.findall(f"{SESSION}=([^;]+)", given)[0])
    assert "Your password has been changed." in (await fresh.get(f"{HERE}?done=password")).text
    assert "Firefox" in (await fresh.get(HERE)).text
    assert (await browser.ask("GET", HERE)).status == 303, "the old session has ended"
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
async def test_wrong_passwords_are_told_and_not_sent_back(
    api: Api, rosa: Someone, current: str, new: str, again: str, field: str
) -> None:
    browser = await visitor(api, rosa)
    answer = await browser.fill(HERE, currentPassword=current, newPassword=new, again=again)
    assert (answer.status, marked(answer)) == (400, {field})
    assert answer.form(HERE).values("currentPassword") == [""]
    assert f'value="{new}"' not in answer.text
    await browser.get(HERE)


async def test_settings_are_shown_and_secrets_are_not(database: str, db: Db) -> None:
    async with running_api(database, site_title="<Shop>") as api:
        text = (await (await visitor(api, await someone(db, "admin"))).get("/console/settings")).text
    own, _, usual = text.partition("<h2>Default settings</h2>")
    assert "SITE_TITLE" in own and "&lt;Shop&gt;" in own and "<Shop>" not in text
    assert "JWT_SECRET" in own and "***" in own and JWT_SECRET not in text
    assert "SITE_COLOR" in usual


async def test_the_audit_log_is_searched_and_says_what_was_before(api: Api, db: Db) -> None:
    admin = await visitor(api, await someone(db, "admin", "ada"))
    await add_service(db, "shop", name="<i>Shop")
    await db.execute("UPDATE services SET interval_seconds = 30 WHERE id = 'shop'")
    text = (await admin.get("/console/audit?objectType=service&objectId=shop&action=update")).text
    assert text.count(CHANGES) == 1 and "“&lt;i&gt;Shop”" not in text
    assert re.search(r"interval_seconds</code></th><td>.*60.*</td><td>.*30.*</td>", text)
    assert "&lt;i&gt;Shop" in (await admin.get("/console/audit?objectType=service")).text
    nothing = await admin.get("/console/audit?actor=nobody-at-all")
    assert "No entries match these filters." in nothing.text


async def test_times_of_the_audit_log_are_those_of_the_reporting_zone(api: Api, db: Db) -> None:
    await db.execute("UPDATE installation SET time_zone = 'Asia/Seoul'")
    admin = await visitor(api, await someone(db, "admin"))
    local = "to_char(now() AT TIME ZONE 'Asia/Seoul' + %s::interval, 'YYYY-MM-DD\"T\"HH24:MI')"
    for shift, found in (("-1 min", True), ("1 min", False)):
        [(begin,)] = await (await db.execute(f"SELECT {local}".encode(), [shift])).fetchall()
        page = await admin.get(f"/console/audit?from={begin}")
        assert (CHANGES in page.text) == found
        assert f'value="{begin}"' in page.text, "the filter is kept"


async def test_a_filter_that_cannot_be_is_told(api: Api, db: Db) -> None:
    admin = await visitor(api, await someone(db, "admin"))
    page = await admin.get("/console/audit?from=yesterday&actor=ada", status=400)
    assert marked(page) == {"from"} and 'value="ada"' in page.text


async def test_pages_of_the_audit_log_keep_the_filter(api: Api, db: Db) -> None:
    admin = await visitor(api, await someone(db, "admin"))
    await db.execute(
        "INSERT INTO services (id, name, endpoint_url) "
        "SELECT 's-' || n, 'S & ' || n, 'http://127.0.0.1:9/' FROM generate_series(1, 60) AS n"
    )
    page = await admin.get("/console/audit?objectType=service&action=create")
    [following] = re.findall(r'rel="next" href="([^"]+)"', page.text)
    query = parse_qs(urlsplit(following.replace("&amp;", "&")).query)
    assert query == {"objectType": ["service"], "action": ["create"], "page": ["2"]}
    assert (await admin.get(following.replace("&amp;", "&"))).text.count(CHANGES) == 10
