"""Forged requests: nobody makes somebody else's browser change anything here, or be somebody it is not."""

import re
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from http.cookies import SimpleCookie
from ipaddress import ip_network
from typing import Any

import httpx
import psycopg
import pytest

from api.edge.cookies import SECURE_SESSION, SESSION
from tests.api.conftest import Api, User, create_user, running_api, signer
from tests.api.hostile_site import HARMLESS, Site, hostile_api, session_cookie
from tests.api.page_routes import described, page_routes
from tests.api.published import routes
from tests.api.test_accounts import PASSWORD, add_user

Db = psycopg.AsyncConnection[Any]
FRONT_END = "http://front.example"
HTML = {"Accept": "text/html"}
FORM = "application/x-www-form-urlencoded"
WITHOUT_FORM = {"/live-token"}
"""Takes no form and changes nothing; its answer is for scripts of this origin only."""


@pytest.fixture
async def site(any_database: str) -> AsyncIterator[Site]:
    async with hostile_api(any_database, HARMLESS[:1], client_urls=(FRONT_END,)) as found:
        yield found


@pytest.fixture
async def db(any_database: str, site: Site) -> AsyncIterator[Db]:
    async with await psycopg.AsyncConnection.connect(any_database, autocommit=True) as connection:
        yield connection


def origin(api: Api) -> str:
    return f"http://127.0.0.1:{api.settings.api_port}"


async def form_token(api: Api, cookie: str) -> str:
    """What the forms of this session carry, as a page of it shows it."""
    page = await api.http.get("/console/account", headers=HTML | {"Cookie": cookie})
    found = re.search(r'name="csrf" value="(\w+)"', page.text)
    assert found, page.text
    return found[1]


async def changes(db: Db) -> Any:
    """What there is, as far as a change would show."""
    cursor = await db.execute(
        "SELECT (SELECT max(id) FROM audit_entries), (SELECT max(seq) FROM events), "
        "(SELECT count(*) FROM sessions WHERE revoked_at IS NULL)"
    )
    return await cursor.fetchone()


def forgeries(api: Api) -> Mapping[str, dict[str, str]]:
    """What browsers say of a form that another page sends."""
    own, port = origin(api), api.settings.api_port
    return {
        "nothing said": {},
        "foreign": {"Origin": "http://evil.example"},
        "null": {"Origin": "null"},
        "empty": {"Origin": ""},
        "a front end": {"Origin": FRONT_END},
        "a name below": {"Origin": f"http://evil.127.0.0.1:{port}"},
        "a name that begins so": {"Origin": f"{own}.evil.example"},
        "another port": {"Origin": f"http://127.0.0.1:{port + 1}"},
        "no port": {"Origin": "http://127.0.0.1"},
        "in a path": {"Origin": f"http://evil.example/{own}"},
        "in a user": {"Origin": f"http://127.0.0.1:{port}@evil.example"},
        "only a referrer": {"Referer": f"{own}/console"},
        "same site": {"Sec-Fetch-Site": "same-site"},
        "cross site": {"Sec-Fetch-Site": "cross-site"},
        "typed in": {"Sec-Fetch-Site": "none"},
        "contradicting itself": {"Origin": own, "Sec-Fetch-Site": "cross-site"},
        "neighbour": {"Origin": own, "Sec-Fetch-Site": "same-site"},
    }


async def test_no_page_of_another_origin_changes_anything(site: Site, db: Db) -> None:
    api, data = site
    cookie = await session_cookie(data.admin)
    token, before = await form_token(api, cookie), await changes(db)
    for route in (route for route in page_routes() if route.method != "GET"):
        path = next(iter(route.paths(data.values)))
        for name, said in forgeries(api).items():
            headers = {"Cookie": cookie, "Content-Type": FORM, **said}
            response = await api.http.request(route.method, path, content=f"csrf={token}&title=x", headers=headers)
            assert response.status_code == 403, f"{described(response)}: {name}"
            assert "set-cookie" not in response.headers
            assert await changes(db) == before, f"{described(response)}: {name}"


async def test_no_form_is_taken_that_is_not_of_this_session(site: Site, db: Db) -> None:
    api, data = site
    cookie = await session_cookie(data.admin)
    other = await create_user(db)
    foreign = await form_token(api, await session_cookie(other))
    before = await changes(db)
    for route in (route for route in page_routes() if route.method != "GET" and route.path not in WITHOUT_FORM):
        path = next(iter(route.paths(data.values)))
        headers = {"Cookie": cookie, "Content-Type": FORM, "Origin": origin(api)}
        for sent in ("", "csrf=", "csrf=x", f"csrf={foreign}", f"csrf={foreign}&csrf={foreign}", "csrf=%C3%A9"):
            response = await api.http.request(route.method, path, content=sent, headers=headers)
            assert response.status_code == 403, f"{described(response)}: {sent}"
        for kind in ("text/plain", "application/json", "text/xml", ""):
            response = await api.http.request(
                route.method, path, content="{}", headers=headers | {"Content-Type": kind}
            )
            assert response.status_code == 415, f"{described(response)}: {kind}"
        assert await changes(db) == before, described(response)


async def test_nothing_is_changed_by_following_a_link(site: Site, db: Db) -> None:
    """A GET changes nothing, whoever is led to it; what is only sent is refused."""
    api, data = site
    cookie = await session_cookie(data.admin)
    before = await changes(db)
    shown = {route.path for route in page_routes() if route.method == "GET"}
    for route in page_routes():
        for path in route.paths(data.values):
            response = await api.http.get(path, headers={"Cookie": cookie, "Origin": "http://evil.example"})
            assert response.status_code in ((200, 302, 303, 404) if route.path in shown else (405,)), described(
                response
            )
    assert await changes(db) == before
    for override in ({"X-HTTP-Method-Override": "POST"}, {"X-Method-Override": "DELETE"}):
        response = await api.http.get("/logout?_method=POST", headers={"Cookie": cookie, **override})
        assert response.status_code == 405
    assert (await api.http.get("/console/account", headers=HTML | {"Cookie": cookie})).status_code == 200


async def test_rest_knows_no_cookie(site: Site, db: Db) -> None:
    """Else every form of another site could speak to it."""
    api, data = site
    cookie, before = await session_cookie(data.admin), await changes(db)
    for row in (row for row in routes() if row.path.startswith("/api/")):
        path = re.sub(r"{\w+}", "1", row.path)
        for name in (SESSION, SECURE_SESSION, "token", "access_token"):
            headers = {"Cookie": f"{name}={cookie.partition('=')[2]}", "Origin": origin(api)}
            response = await api.http.request(row.method, path, json={}, headers=headers)
            if row.who.startswith("everybody"):
                assert "vary" not in response.headers or "cookie" not in response.headers["vary"].lower()
                assert response.status_code != 401 or path.startswith("/api/auth/"), described(response)
            else:
                assert response.status_code == 401, described(response)
    assert await changes(db) == before


async def test_pages_know_no_token(site: Site) -> None:
    """A page that knew one would have to say so in `Vary`, and scripts of others could send it."""
    api, data = site
    for path in ("/console/account", "/console/settings"):
        response = await api.http.get(path, headers=data.admin.headers)
        assert response.status_code in (303, 401), described(response)


async def log_in(api: Api, headers: Mapping[str, str] | None = None, **form: str) -> httpx.Response:
    said = {"username": "kim", "password": PASSWORD} | form
    return await api.http.post("/login", data=said, headers={"Origin": origin(api), **(headers or {})})


def session_set(response: httpx.Response) -> Any:
    [line] = response.headers.get_list("set-cookie")
    [morsel] = SimpleCookie(line).values()
    return morsel


@pytest.mark.usefixtures("cheap")
async def test_the_cookie_of_a_session_is_for_this_site_only(any_database: str) -> None:
    async with running_api(any_database, trusted_proxies=(ip_network("127.0.0.0/8"),)) as api:
        async with await psycopg.AsyncConnection.connect(any_database, autocommit=True) as db:
            await add_user(db)
        plain = session_set(await log_in(api))
        assert plain.key == SESSION
        host = f"127.0.0.1:{api.settings.api_port}"
        secure = session_set(await log_in(api, {"X-Forwarded-Proto": "https", "Origin": f"https://{host}"}))
        assert secure.key == SECURE_SESSION and secure.key.startswith("__Host-")
        for morsel in (plain, secure):
            assert morsel["httponly"] is True
            assert morsel["samesite"].lower() == "lax"
            assert (morsel["path"], morsel["domain"]) == ("/", "")
            assert bool(morsel["secure"]) is (morsel is secure)
        preference = session_set(await api.http.get("/theme/dark"))
        assert (preference["httponly"], preference["samesite"].lower(), preference["domain"]) == (True, "lax", "")


@pytest.mark.usefixtures("cheap")
async def test_nobody_is_logged_in_as_somebody_else_unawares(site: Site, db: Db) -> None:
    """Login CSRF: a form of another page that logs its visitor in as the attacker."""
    api, _ = site
    await add_user(db)
    for name, said in forgeries(api).items():
        sent = {"username": "kim", "password": PASSWORD}
        response = await api.http.post("/login", data=sent, headers=said)
        assert response.status_code == 403, name
        assert "set-cookie" not in response.headers, name
    assert (await log_in(api)).status_code == 303


@pytest.mark.usefixtures("cheap")
async def test_a_session_that_somebody_else_has_put_there_is_not_taken(site: Site, db: Db) -> None:
    api, data = site
    await add_user(db)
    attackers = await session_cookie(data.admin)
    own = (await log_in(api, {"Cookie": attackers, "X": "x"}, csrf=await form_token(api, attackers))).cookies[SESSION]
    assert own != attackers.partition("=")[2], "a new session at every login"
    for cookie in (f"{attackers}; {SESSION}={own}", f"{SESSION}={own}; {attackers}", f"{attackers}; a=b; {attackers}"):
        response = await api.http.get("/console/account", headers=HTML | {"Cookie": cookie})
        assert response.status_code == 303, cookie
        assert response.headers["location"].startswith("/login?next=")
    # Over plain HTTP, which anybody on the way can write into, the cookie of TLS is not looked at.
    other_name = f"{SECURE_SESSION}={own}"
    assert (await api.http.get("/console/account", headers=HTML | {"Cookie": other_name})).status_code == 303
    assert (await api.http.get("/console/account", headers=HTML | {"Cookie": f"{SESSION}={own}"})).status_code == 200


async def test_only_a_cookie_of_a_browser_is_a_session(site: Site, db: Db) -> None:
    api, data = site
    admin: User = data.admin
    refresh = await signer().issue("refresh", admin.user_id, admin.session_id, timedelta(hours=1))
    good = (await session_cookie(admin)).partition("=")[2]
    spent = (await session_cookie(admin, timedelta(seconds=-1))).partition("=")[2]
    for value in (
        admin.token,
        refresh,
        spent,
        good[:-2],
        good + "x",
        f'"{good}"',
        "",
        "x" * 8000,
        good.replace(".", ".."),
    ):
        response = await api.http.get("/console/account", headers=HTML | {"Cookie": f"{SESSION}={value}"})
        assert response.status_code == 303, value[:40]
    response = await api.http.get("/api/auth/me", headers={"Authorization": f"Bearer {good}"})
    assert response.status_code == 401, "nor is a cookie a token"


async def test_who_has_logged_out_is_nobody_at_once(site: Site, db: Db) -> None:
    api, _ = site
    viewer = await create_user(db, "viewer")
    cookie = await session_cookie(viewer)
    headers = {"Cookie": cookie, "Origin": origin(api)}
    response = await api.http.post("/logout", data={"csrf": await form_token(api, cookie)}, headers=headers)
    assert (response.status_code, response.headers["location"]) == (303, "/")
    assert session_set(response)["max-age"] == "0"
    assert (await api.http.get("/console/account", headers=HTML | {"Cookie": cookie})).status_code == 303
    assert (await api.http.get("/api/auth/me", headers=viewer.headers)).status_code == 401
    assert (await api.http.post("/live-token", headers=headers)).status_code == 401


@pytest.mark.usefixtures("cheap")
@pytest.mark.parametrize(("language", "told"), [("en", "Set SITE_URL to that address"), ("ko", "SITE_URL을 그 주소로")])
@pytest.mark.parametrize("client_urls", [(), ("https://status.example.com",)])
async def test_a_login_that_is_refused_for_its_origin_says_what_would_mend_it(
    any_database: str, caplog: pytest.LogCaptureFixture, language: str, told: str, client_urls: tuple[str, ...]
) -> None:
    """Behind a proxy that asks for another name, and nobody has said which name the site has."""
    headers = {"Origin": "https://status.example.com", "Sec-Fetch-Site": "same-origin", "Accept-Language": language}
    async with running_api(any_database, client_urls=client_urls) as api:
        for _ in range(2):
            response = await log_in(api, headers | HTML)
            assert response.status_code == 403
            assert told in response.text
            assert "status.example.com" not in response.text
        warned = [record.getMessage() for record in caplog.records if "SITE_URL" in record.getMessage()]
        assert len(warned) == 1
        assert "https://status.example.com" in warned[0]
        forged = await log_in(api, {**headers, **HTML, "Sec-Fetch-Site": "cross-site"})
        assert forged.status_code == 403
        assert told not in forged.text


async def test_a_name_that_is_not_known_says_what_would_mend_it(
    any_database: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with running_api(any_database) as api:
        for _ in range(2):
            response = await api.http.get("/login", headers={"Host": "status.example.com", **HTML})
            assert response.status_code == 400
            assert "ALLOWED_HOSTS" in response.text
        assert len([record for record in caplog.records if "Host status.example.com" in record.getMessage()]) == 1


@pytest.mark.usefixtures("cheap")
async def test_behind_a_proxy_that_asks_for_another_host_forms_come_from_site_url(any_database: str) -> None:
    """Which is told by no header that could be forged: no proxy is trusted here."""
    site_url = "https://status.example.com"
    async with running_api(any_database, site_url=f"{site_url}/") as api:
        async with await psycopg.AsyncConnection.connect(any_database, autocommit=True) as db:
            await add_user(db)
        for name, said in forgeries(api).items():
            assert (await log_in(api, {"Origin": "null", **said})).status_code == 403, name
        for stranger in ("https://evil.example.com", "http://status.example.com", "https://status.example.com:8443"):
            assert (await log_in(api, {"Origin": stranger})).status_code == 403, stranger
        response = await log_in(api, {"Origin": site_url, "Sec-Fetch-Site": "same-origin"})
        session = session_set(response)
        assert (session.key, bool(session["secure"])) == (SECURE_SESSION, True)
        cookie = f"{SECURE_SESSION}={session.value}"
        token = await form_token(api, cookie)
        headers = {"Cookie": cookie, "Origin": site_url}
        response = await api.http.post("/logout", data={"csrf": token}, headers=headers)
        assert (response.status_code, session_set(response).key) == (303, SECURE_SESSION)
        for path in ("/theme/dark", "/language/ko"):
            assert session_set(await api.http.get(path))["secure"] is True
