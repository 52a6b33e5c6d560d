"""The table of pages in docs/permissions.md is compared with the running server, with session cookies of each role."""

import itertools
import re
from datetime import timedelta
from typing import Literal, NamedTuple, get_args

import pytest

from api.edge.cookies import SECURE_SESSION, SESSION
from api.pages.well_known import GUESSED
from api.routes import PAGES
from tests.api.conftest import Api, User, add_service, create_user, signer
from tests.api.people import Db, Principal, create_principal, create_token_principal
from tests.api.published import Row, pages
from tests.api.resources import Resources
from tests.api.visitors import Page, Visitor, session_cookie_value, visitor

pytestmark = pytest.mark.one_engine

Client = Literal["anonymous", "viewer", "reporter", "admin", "disabled admin", "logged out admin"]
Whose = Literal["own", "foreign"]
REST_PATHS = {
    ("service_id",): "/api/services/{service_id}",
    ("incident_id",): "/api/incidents/{incident_id}",
    ("incident_id", "comment_id"): "/api/incidents/{incident_id}/comments/{comment_id}",
    ("window_id",): "/api/maintenance/{window_id}",
    ("template_id",): "/api/templates/{template_id}",
    ("policy_id",): "/api/sla/policies/{policy_id}",
    ("correction_id",): "/api/sla/corrections/{correction_id}",
    ("calendar_name",): "/api/sla/holidays/{calendar_name}",
    ("user_id",): "/api/users/{user_id}",
    ("token_id",): "/api/tokens/{token_id}",
}
"""The REST paths of the resources in the paths of pages, by the names of their parameters."""
PARAMETERS = {"language": "ko", "theme": "dark", "version": "0", "name": "status.svg"}
LOGIN = "/login?next="
PROTECTED = [row for row in pages() if not row.who.startswith("everybody")]


class LoggedIn(NamedTuple):
    """A browser, its user, and the CSRF token of its forms."""

    user: User | None
    browser: Visitor
    csrf: str


def test_the_table_lists_exactly_the_pages_of_the_application() -> None:
    published = [(row.method, row.path) for row in pages()]
    assert len(published) == len(set(published))
    assert routed_pages() == set(published)


def routed_pages() -> set[tuple[str, str]]:
    """Returns method and path of every page, read from the routers so that none can be left out."""
    found = set()
    for route in itertools.chain.from_iterable(module.router.routes for module in PAGES):
        path = re.sub(r"{(\w+):\w+}", r"{\1}", route.path)
        for handler in route.route_handlers:
            if "action" in handler.opt:
                found |= {(method, path) for method in handler.http_methods}
    return found


@pytest.fixture
async def resources(api: Api, db: Db) -> Resources:
    await add_service(db, "shop")
    return Resources(api, db, await create_principal(db, "admin"))


async def log_in(api: Api, db: Db, kind: Client) -> LoggedIn:
    """Creates a user of this kind and its browser."""
    if kind == "anonymous":
        return LoggedIn(None, await visitor(api, None), "")
    await create_user(db, "admin")  # the last active admin cannot be disabled
    user = await create_user(db, kind.rpartition(" ")[2])
    browser = await visitor(api, user)
    csrf = (await browser.get("/console/account")).form("/console/account").value("csrf")
    if kind == "disabled admin":
        await db.execute("UPDATE users SET active = false WHERE id = %s", [user.user_id])
    elif kind == "logged out admin":
        await db.execute("UPDATE sessions SET revoked_at = now() WHERE id = %s", [user.session_id])
    return LoggedIn(user, browser, csrf)


async def path_of(row: Row, resources: Resources, owner: User | None) -> str:
    """Returns the path of `row` for a resource that `owner` owns, or for one of another user if `owner` is None."""
    names = re.findall(r"{(\w+)}", row.path)
    path = row.path
    for name in names:
        path = path.replace(f"{{{name}}}", PARAMETERS.get(name, f"{{{name}}}"))
    if ids := tuple(name for name in names if name not in PARAMETERS):
        rest_path = REST_PATHS[ids]
        principal = Principal("admin", None, "admin", owner)
        created = await resources.path(
            Row("GET", rest_path, "admin", None, True), "own" if owner else "foreign", principal
        )
        found = re.fullmatch(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", rest_path), created)
        assert found is not None
        path = path.format_map(found.groupdict())
    return path


def expected_outcome(row: Row, kind: Client, whose: Whose) -> str:
    if (row.method, row.path) == ("POST", "/login"):
        return "401"  # the form is empty
    if row.who.startswith("everybody"):
        return "shown"
    if kind not in ("viewer", "reporter", "admin"):
        return "login" if row.method == "GET" else "401"
    ranks = ("viewer", "reporter", "admin")
    least = row.own if row.own and whose == "own" else row.who
    return "shown" if ranks.index(kind) >= ranks.index(least) else "403"


def outcome_of(page: Page) -> str:
    """Returns `login`, `shown` or the status of an error."""
    if page.status == 303 and page.response.headers["location"].startswith(LOGIN):
        return "login"
    return str(page.status) if page.status in (401, 403, 405) or page.status >= 500 else "shown"


async def test_every_page_is_shown_to_exactly_the_roles_of_its_row(api: Api, db: Db, resources: Resources) -> None:
    """Sends each page and form as each kind of client, for resources of its own and of another user."""
    errors = []
    for kind in get_args(Client):
        client = await log_in(api, db, kind)
        for row in pages():
            for whose in get_args(Whose) if row.own and kind == "reporter" else ("foreign",):
                path = await path_of(row, resources, client.user if whose == "own" else None)
                form = {"data": {"csrf": client.csrf}} if row.method == "POST" else {}
                page = await client.browser.request(row.method, path, **form)
                if outcome_of(page) != expected_outcome(row, kind, whose):
                    errors.append(f"{row.method} {path} {whose}, {kind}: {page.status} {page.text[:100]}")
            if row.path == "/logout":
                client = await log_in(api, db, kind)
    assert "\n".join(errors) == ""


async def test_shown_pages_exist(api: Api, db: Db, resources: Resources) -> None:
    """A 404 would count as `shown` in the test above."""
    admin = await log_in(api, db, "admin")
    for row in pages():
        if row.method == "GET" and not {"version", "name"} & set(re.findall(r"{(\w+)}", row.path)):
            page = await admin.browser.request("GET", await path_of(row, resources, admin.user))
            redirects = row.path in ("/login", "/favicon.ico", "/console", *GUESSED) or row.path.startswith(
                ("/language", "/theme")
            )
            assert page.status == 200 or (redirects and page.status in (302, 303)), f"{row.path}: {page.status}"


async def test_the_redirect_to_the_login_names_the_requested_page(api: Api) -> None:
    anonymous = await visitor(api, None)
    page = await anonymous.request("GET", "/console/audit?actor=ada&page=2")
    assert page.response.headers["location"] == "/login?next=/console/audit%3Factor%3Dada%26page%3D2"


async def test_the_cookie_accepts_browser_sessions_only(api: Api, db: Db) -> None:
    admin = await create_user(db, "admin")
    token = (await create_token_principal(db, "admin's token", owner_role="admin", role="admin")).token
    refresh = await signer().issue("refresh", admin.user_id, admin.session_id, timedelta(days=1))
    for value in (admin.token, refresh, token, "x", ""):
        for path in ("/console/account", "/console/users"):
            assert outcome_of(await Visitor(api, value).request("GET", path)) == "login", value
    session = await session_cookie_value(admin)
    for header in (
        f"{SESSION}={session}; {SESSION}={session}",
        f"{SESSION}=x; {SESSION}={session}",
        f"{SECURE_SESSION}={session}",
    ):
        page = await Visitor(api, None).request("GET", "/console/account", headers={"Cookie": header})
        assert outcome_of(page) == "login", header
    bearer = {"Authorization": f"Bearer {admin.token}"}
    assert outcome_of(await Visitor(api, None).request("GET", "/console/account", headers=bearer)) == "login"
    assert outcome_of(await Visitor(api, session).request("GET", "/console/account")) == "shown"


async def test_rest_ignores_the_session_cookie_and_refuses_it_as_a_token(api: Api, db: Db) -> None:
    admin = await create_user(db, "admin")
    cookie = await session_cookie_value(admin)
    for path in ("/api/auth/me", "/api/users", "/api/settings"):
        assert (await api.http.get(path, headers={"Cookie": f"{SESSION}={cookie}"})).status_code == 401
        assert (await api.http.get(path, headers={"Authorization": f"Bearer {cookie}"})).status_code == 401
    shown = await api.http.get("/api/services?details=true", headers={"Cookie": f"{SESSION}={cookie}"})
    assert shown.status_code == 401


FOREIGN_ORIGINS = (
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://front.example"},
    {"Origin": ""},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site"},
)


async def test_a_form_of_another_origin_or_session_is_refused(api: Api, db: Db, resources: Resources) -> None:
    """This includes an origin in CLIENT_URLS, and the CSRF token of another session or none."""
    admin, other = await log_in(api, db, "admin"), await log_in(api, db, "admin")
    accepted = []
    for row in (row for row in PROTECTED if row.method == "POST"):
        path = await path_of(row, resources, None)
        for headers in FOREIGN_ORIGINS:
            page = await admin.browser.request("POST", path, data={"csrf": admin.csrf}, headers=headers)
            accepted += [f"{path} {headers}: {page.status}"] if page.status != 403 else []
        if row.path == "/live-token":
            continue  # it has no form and changes nothing, and other origins cannot read its response
        for csrf in (other.csrf, "", admin.csrf[:-1]):
            page = await admin.browser.request("POST", path, data={"csrf": csrf})
            accepted += [f"{path} {csrf}: {page.status}"] if page.status != 403 else []
    assert accepted == []
    await admin.browser.get("/console/account")


async def test_a_lower_role_takes_effect_at_once(api: Api, db: Db) -> None:
    admin = await log_in(api, db, "admin")
    assert admin.user is not None
    await db.execute("UPDATE users SET role = 'viewer' WHERE id = %s", [admin.user.user_id])
    await admin.browser.get("/console/users", status=403)
    assert "/console/users" not in (await admin.browser.get("/console/account")).text
