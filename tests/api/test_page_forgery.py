"""Cross-site request forgery: other sites can neither change anything through a user's browser nor replace its
session."""

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
from tests.api.accounts import PASSWORD, add_user
from tests.api.conftest import Api, User, create_user, running_api, signer
from tests.api.cross_site import FORM, FRONT_END, HTML, forgeries, form_token, origin, state_of_database
from tests.api.hostile_site import HARMLESS, Site, hostile_api, session_cookie
from tests.api.page_routes import described, page_routes
from tests.api.published import routes

Db = psycopg.AsyncConnection[Any]
WITHOUT_FORM = {"/live-token"}
"""Routes without a form. They change nothing, and only scripts of this origin can read their responses."""


@pytest.fixture
async def site(any_database: str) -> AsyncIterator[Site]:
    async with hostile_api(any_database, HARMLESS[:1], client_urls=(FRONT_END,)) as found:
        yield found


@pytest.fixture
async def db(any_database: str, site: Site) -> AsyncIterator[Db]:
    async with await psycopg.AsyncConnection.connect(any_database, autocommit=True) as connection:
        yield connection


async def test_forms_of_other_origins_change_nothing(site: Site, db: Db) -> None:
    api, data = site
    cookie = await session_cookie(data.admin)
    token, before = await form_token(api, cookie), await state_of_database(db)
    for route in (route for route in page_routes() if route.method != "GET"):
        path = next(iter(route.paths(data.values)))
        for name, forged in forgeries(api).items():
            headers = {"Cookie": cookie, "Content-Type": FORM, **forged}
            response = await api.http.request(route.method, path, content=f"csrf={token}&title=x", headers=headers)
            assert response.status_code == 403, f"{described(response)}: {name}"
            assert "set-cookie" not in response.headers
            assert await state_of_database(db) == before, f"{described(response)}: {name}"


async def test_forms_without_the_token_of_the_session_are_refused(site: Site, db: Db) -> None:
    api, data = site
    cookie = await session_cookie(data.admin)
    other = await create_user(db)
    foreign = await form_token(api, await session_cookie(other))
    before = await state_of_database(db)
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
        assert await state_of_database(db) == before, described(response)


async def test_get_requests_change_nothing(site: Site, db: Db) -> None:
    """This includes routes that only accept POST, and headers that override the method."""
    api, data = site
    cookie = await session_cookie(data.admin)
    before = await state_of_database(db)
    shown = {route.path for route in page_routes() if route.method == "GET"}
    for route in page_routes():
        for path in route.paths(data.values):
            response = await api.http.get(path, headers={"Cookie": cookie, "Origin": "http://evil.example"})
            assert response.status_code in ((200, 302, 303, 404) if route.path in shown else (405,)), described(
                response
            )
    assert await state_of_database(db) == before
    for override in ({"X-HTTP-Method-Override": "POST"}, {"X-Method-Override": "DELETE"}):
        response = await api.http.get("/logout?_method=POST", headers={"Cookie": cookie, **override})
        assert response.status_code == 405
    assert (await api.http.get("/console/account", headers=HTML | {"Cookie": cookie})).status_code == 200


async def test_rest_ignores_session_cookies(site: Site, db: Db) -> None:
    """Otherwise forms of other sites could use the API with the session of a visitor."""
    api, data = site
    cookie, before = await session_cookie(data.admin), await state_of_database(db)
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
    assert await state_of_database(db) == before


async def test_pages_ignore_access_tokens(site: Site) -> None:
    """Otherwise their responses would depend on the header Authorization and need it in `Vary`."""
    api, data = site
    for path in ("/console/account", "/console/settings"):
        response = await api.http.get(path, headers=data.admin.headers)
        assert response.status_code in (303, 401), described(response)


async def log_in(api: Api, headers: Mapping[str, str] | None = None, **form: str) -> httpx.Response:
    credentials = {"username": "kim", "password": PASSWORD} | form
    return await api.http.post("/login", data=credentials, headers={"Origin": origin(api), **(headers or {})})


def session_set(response: httpx.Response) -> Any:
    [line] = response.headers.get_list("set-cookie")
    [morsel] = SimpleCookie(line).values()
    return morsel


@pytest.mark.usefixtures("cheap")
async def test_the_session_cookie_is_restricted_to_this_site(any_database: str) -> None:
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
async def test_login_forms_of_other_origins_are_refused(site: Site, db: Db) -> None:
    """Login CSRF: a form of another site would log the visitor in as the attacker."""
    api, _ = site
    await add_user(db)
    for name, forged in forgeries(api).items():
        credentials = {"username": "kim", "password": PASSWORD}
        response = await api.http.post("/login", data=credentials, headers=forged)
        assert response.status_code == 403, name
        assert "set-cookie" not in response.headers, name
    assert (await log_in(api)).status_code == 303


@pytest.mark.usefixtures("cheap")
async def test_a_session_cookie_set_by_an_attacker_is_not_used(site: Site, db: Db) -> None:
    api, data = site
    await add_user(db)
    attackers = await session_cookie(data.admin)
    own = (await log_in(api, {"Cookie": attackers, "X": "x"}, csrf=await form_token(api, attackers))).cookies[SESSION]
    assert own != attackers.partition("=")[2], "every login creates a new session"
    for cookie in (f"{attackers}; {SESSION}={own}", f"{SESSION}={own}; {attackers}", f"{attackers}; a=b; {attackers}"):
        response = await api.http.get("/console/account", headers=HTML | {"Cookie": cookie})
        assert response.status_code == 303, cookie
        assert response.headers["location"].startswith("/login?next=")
    # The cookie for TLS is ignored over plain HTTP, which others on the network could have changed.
    other_name = f"{SECURE_SESSION}={own}"
    assert (await api.http.get("/console/account", headers=HTML | {"Cookie": other_name})).status_code == 303
    assert (await api.http.get("/console/account", headers=HTML | {"Cookie": f"{SESSION}={own}"})).status_code == 200


async def test_the_cookie_accepts_valid_browser_sessions_only(site: Site, db: Db) -> None:
    api, data = site
    admin: User = data.admin
    refresh = await signer().issue("refresh", admin.user_id, admin.session_id, timedelta(hours=1))
    valid = (await session_cookie(admin)).partition("=")[2]
    expired = (await session_cookie(admin, timedelta(seconds=-1))).partition("=")[2]
    for value in (
        admin.token,
        refresh,
        expired,
        valid[:-2],
        valid + "x",
        f'"{valid}"',
        "",
        "x" * 8000,
        valid.replace(".", ".."),
    ):
        response = await api.http.get("/console/account", headers=HTML | {"Cookie": f"{SESSION}={value}"})
        assert response.status_code == 303, value[:40]
    response = await api.http.get("/api/auth/me", headers={"Authorization": f"Bearer {valid}"})
    assert response.status_code == 401, "the cookie is not an access token"


async def test_logout_ends_the_session_at_once(site: Site, db: Db) -> None:
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
@pytest.mark.parametrize(
    ("language", "advice"), [("en", "Set SITE_URL to that address"), ("ko", "SITE_URL을 그 주소로")]
)
@pytest.mark.parametrize("client_urls", [(), ("https://status.example.com",)])
async def test_a_login_refused_for_its_origin_names_the_setting_to_change(
    any_database: str, caplog: pytest.LogCaptureFixture, language: str, advice: str, client_urls: tuple[str, ...]
) -> None:
    """The API is behind a proxy that forwards another host name, and SITE_URL is not set."""
    headers = {"Origin": "https://status.example.com", "Sec-Fetch-Site": "same-origin", "Accept-Language": language}
    async with running_api(any_database, client_urls=client_urls) as api:
        for _ in range(2):
            response = await log_in(api, headers | HTML)
            assert response.status_code == 403
            assert advice in response.text
            assert "status.example.com" not in response.text
        warned = [record.getMessage() for record in caplog.records if "SITE_URL" in record.getMessage()]
        assert len(warned) == 1
        assert "https://status.example.com" in warned[0]
        forged = await log_in(api, {**headers, **HTML, "Sec-Fetch-Site": "cross-site"})
        assert forged.status_code == 403
        assert advice not in forged.text


async def test_a_request_with_an_unknown_host_names_the_setting_to_change(
    any_database: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with running_api(any_database) as api:
        for _ in range(2):
            response = await api.http.get("/login", headers={"Host": "status.example.com", **HTML})
            assert response.status_code == 400
            assert "ALLOWED_HOSTS" in response.text
        assert len([record for record in caplog.records if "Host status.example.com" in record.getMessage()]) == 1


@pytest.mark.usefixtures("cheap")
async def test_with_site_url_its_origin_is_accepted_behind_a_proxy_with_another_host(any_database: str) -> None:
    """The headers of the proxy are not used, because no proxy is trusted."""
    site_url = "https://status.example.com"
    async with running_api(any_database, site_url=f"{site_url}/") as api:
        async with await psycopg.AsyncConnection.connect(any_database, autocommit=True) as db:
            await add_user(db)
        for name, forged in forgeries(api).items():
            assert (await log_in(api, {"Origin": "null", **forged})).status_code == 403, name
        for foreign_origin in (
            "https://evil.example.com",
            "http://status.example.com",
            "https://status.example.com:8443",
        ):
            assert (await log_in(api, {"Origin": foreign_origin})).status_code == 403, foreign_origin
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
