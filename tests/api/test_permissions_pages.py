"""Who is shown what: the pages of docs/permissions.md against the running server, with cookies of sessions."""

import itertools
import re
from datetime import timedelta
from typing import Literal, NamedTuple, get_args

import pytest

from api.edge.cookies import SECURE_SESSION, SESSION
from api.pages.well_known import GUESSED
from api.routes import PAGES
from tests.api.conftest import Api, Someone, add_service, signer, someone
from tests.api.people import Db, Principal, machine, principal
from tests.api.published import Row, pages
from tests.api.things import Things
from tests.api.visitors import Page, Visitor, session_of, visitor

pytestmark = pytest.mark.one_engine

Asker = Literal["nobody", "viewer", "reporter", "admin", "disabled admin", "logged out admin"]
Whose = Literal["own", "foreign"]
MADE_AT = {
    ("service_id",): "/api/services/{service_id}",
    ("incident_id",): "/api/incidents/{incident_id}",
    ("incident_id", "comment_id"): "/api/incidents/{incident_id}/comments/{comment_id}",
    ("window_id",): "/api/maintenance/{window_id}",
    ("template_id",): "/api/templates/{template_id}",
    ("user_id",): "/api/users/{user_id}",
    ("token_id",): "/api/tokens/{token_id}",
}
"""Where REST has the things that paths of pages lead to."""
WORDS = {"language": "ko", "theme": "dark", "version": "0", "name": "status.svg"}
TO_LOGIN = "/login?next="
PROTECTED = [row for row in pages() if not row.who.startswith("everybody")]


class Known(NamedTuple):
    """Somebody with a browser, and the token of their forms."""

    someone: Someone | None
    browser: Visitor
    csrf: str


def test_every_page_is_published_and_every_published_page_is_there() -> None:
    published = [(row.method, row.path) for row in pages()]
    assert len(published) == len(set(published))
    assert there() == set(published)


def there() -> set[tuple[str, str]]:
    """Read off the routers, so that no page can be left out."""
    found = set()
    for route in itertools.chain.from_iterable(module.router.routes for module in PAGES):
        path = re.sub(r"{(\w+):\w+}", r"{\1}", route.path)
        for handler in route.route_handlers:
            if "action" in handler.opt:
                found |= {(method, path) for method in handler.http_methods}
    return found


@pytest.fixture
async def things(api: Api, db: Db) -> Things:
    await add_service(db, "shop")
    return Things(api, db, await principal(db, "admin"))


async def known(api: Api, db: Db, asker: Asker) -> Known:
    if asker == "nobody":
        return Known(None, await visitor(api, None), "")
    await someone(db, "admin")  # the last one cannot be disabled
    user = await someone(db, asker.rpartition(" ")[2])
    browser = await visitor(api, user)
    csrf = (await browser.get("/console/account")).form("/console/account").value("csrf")
    if asker == "disabled admin":
        await db.execute("UPDATE users SET active = false WHERE id = %s", [user.user_id])
    elif asker == "logged out admin":
        await db.execute("UPDATE sessions SET revoked_at = now() WHERE id = %s", [user.session_id])
    return Known(user, browser, csrf)


async def path_of(row: Row, things: Things, maker: Someone | None) -> str:
    """To something that `maker` made, or else somebody else; a service where none can be made."""
    names = re.findall(r"{(\w+)}", row.path)
    path = row.path
    for name in names:
        path = path.replace(f"{{{name}}}", WORDS.get(name, f"{{{name}}}"))
    if ids := tuple(name for name in names if name not in WORDS):
        at = MADE_AT[ids]
        asker = Principal("admin", None, "admin", maker)
        made = await things.path(Row("GET", at, "admin", None, True), "own" if maker else "foreign", asker)
        found = re.fullmatch(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", at), made)
        assert found is not None
        path = path.format_map(found.groupdict())
    return path


def outcome(row: Row, asker: Asker, whose: Whose) -> str:
    if (row.method, row.path) == ("POST", "/login"):
        return "401"  # nothing was filled in
    if row.who.startswith("everybody"):
        return "shown"
    if asker not in ("viewer", "reporter", "admin"):
        return "login" if row.method == "GET" else "401"
    ranks = ("viewer", "reporter", "admin")
    least = row.own if row.own and whose == "own" else row.who
    return "shown" if ranks.index(asker) >= ranks.index(least) else "403"


def seen(page: Page) -> str:
    if page.status == 303 and page.answer.headers["location"].startswith(TO_LOGIN):
        return "login"
    return str(page.status) if page.status in (401, 403, 405) or page.status >= 500 else "shown"


async def test_the_matrix_of_pages(api: Api, db: Db, things: Things) -> None:
    """Every page and every form, asked for and sent by everybody there can be, for what is theirs and what is not."""
    wrong = []
    for asker in get_args(Asker):
        who = await known(api, db, asker)
        for row in pages():
            for whose in get_args(Whose) if row.own and asker == "reporter" else ("foreign",):
                path = await path_of(row, things, who.someone if whose == "own" else None)
                form = {"data": {"csrf": who.csrf}} if row.method == "POST" else {}
                page = await who.browser.ask(row.method, path, **form)
                if seen(page) != outcome(row, asker, whose):
                    wrong.append(f"{row.method} {path} {whose}, {asker}: {page.status} {page.text[:100]}")
            if row.path == "/logout":
                who = await known(api, db, asker)
    assert "\n".join(wrong) == ""


async def test_pages_that_are_shown_are_there(api: Api, db: Db, things: Things) -> None:
    """`shown` in the matrix is no 404."""
    admin = await known(api, db, "admin")
    for row in pages():
        if row.method == "GET" and not {"version", "name"} & set(re.findall(r"{(\w+)}", row.path)):
            page = await admin.browser.ask("GET", await path_of(row, things, admin.someone))
            moved = row.path in ("/login", "/favicon.ico", "/console", *GUESSED) or row.path.startswith(
                ("/language", "/theme")
            )
            assert page.status == 200 or (moved and page.status in (302, 303)), f"{row.path}: {page.status}"


async def test_who_is_sent_to_log_in_comes_back(api: Api) -> None:
    nobody = await visitor(api, None)
    page = await nobody.ask("GET", "/console/audit?actor=ada&page=2")
    assert page.answer.headers["location"] == "/login?next=/console/audit%3Factor%3Dada%26page%3D2"


async def test_nothing_but_a_session_of_a_browser_is_worth_anything_in_the_cookie(api: Api, db: Db) -> None:
    admin = await someone(db, "admin")
    token = (await machine(db, "admin's token", owner_role="admin", role="admin")).token
    refresh = await signer().issue("refresh", admin.user_id, admin.session_id, timedelta(days=1))
    for value in (admin.token, refresh, token, "x", ""):
        for path in ("/console/account", "/console/users"):
            assert seen(await Visitor(api, value).ask("GET", path)) == "login", value
    good = await session_of(admin)
    for header in (f"{SESSION}={good}; {SESSION}={good}", f"{SESSION}=x; {SESSION}={good}", f"{SECURE_SESSION}={good}"):
        page = await Visitor(api, None).ask("GET", "/console/account", headers={"Cookie": header})
        assert seen(page) == "login", header
    bearer = {"Authorization": f"Bearer {admin.token}"}
    assert seen(await Visitor(api, None).ask("GET", "/console/account", headers=bearer)) == "login"
    assert seen(await Visitor(api, good).ask("GET", "/console/account")) == "shown"


async def test_a_cookie_is_worth_nothing_to_rest_and_as_a_token(api: Api, db: Db) -> None:
    admin = await someone(db, "admin")
    cookie = await session_of(admin)
    for path in ("/api/auth/me", "/api/users", "/api/settings"):
        assert (await api.http.get(path, headers={"Cookie": f"{SESSION}={cookie}"})).status_code == 401
        assert (await api.http.get(path, headers={"Authorization": f"Bearer {cookie}"})).status_code == 401
    shown = await api.http.get("/api/services?details=true", headers={"Cookie": f"{SESSION}={cookie}"})
    assert shown.status_code == 401


FOREIGN = (
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://front.example"},
    {"Origin": ""},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site"},
)


async def test_no_form_is_taken_from_elsewhere(api: Api, db: Db, things: Things) -> None:
    """From another page, even one that CLIENT_URLS names, or with another session's token, or none."""
    admin, other = await known(api, db, "admin"), await known(api, db, "admin")
    taken = []
    for row in (row for row in PROTECTED if row.method == "POST"):
        path = await path_of(row, things, None)
        for headers in FOREIGN:
            page = await admin.browser.ask("POST", path, data={"csrf": admin.csrf}, headers=headers)
            taken += [f"{path} {headers}: {page.status}"] if page.status != 403 else []
        if row.path == "/live-token":
            continue  # takes no form and changes nothing; another page cannot read it
        for csrf in (other.csrf, "", admin.csrf[:-1]):
            page = await admin.browser.ask("POST", path, data={"csrf": csrf})
            taken += [f"{path} {csrf}: {page.status}"] if page.status != 403 else []
    assert taken == []
    await admin.browser.get("/console/account")


async def test_a_lower_role_takes_effect_at_once(api: Api, db: Db) -> None:
    admin = await known(api, db, "admin")
    assert admin.someone is not None
    await db.execute("UPDATE users SET role = 'viewer' WHERE id = %s", [admin.someone.user_id])
    await admin.browser.get("/console/users", status=403)
    assert "/console/users" not in (await admin.browser.get("/console/account")).text
