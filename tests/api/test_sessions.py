"""Sessions of browsers: /login, /logout, the cookie, its lifetime, and the token for the live feed."""

import ipaddress
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest

from api.edge.cookies import SECURE_SESSION, SESSION
from api.pages.session import own_path
from sla_monitor.settings.values import Limit
from tests.api.conftest import Api, User, add_service, create_user, running_api, until_events_processed
from tests.api.people import Db
from tests.api.transports import socket_client
from tests.api.visitors import Page, Visitor, redirect_target, session_cookie_value, set_password, visitor

pytestmark = pytest.mark.one_engine

PASSWORD = "correct horse"
LIFETIME = timedelta(days=7)


@pytest.fixture
async def rosa(db: Db) -> User:
    rosa = await create_user(db, "reporter", "rosa")
    await set_password(db, rosa, PASSWORD)
    return rosa


def cookie_of(page: Page, name: str = SESSION) -> tuple[str, str]:
    """Returns the value and the attributes of the cookie that the response sets."""
    [header] = [line for line in page.response.headers.get_list("set-cookie") if line.startswith(name + "=")]
    value, _, attributes = header.partition("; ")
    return value.partition("=")[2], attributes.lower()


async def test_login_redirects_to_the_requested_page(api: Api, rosa: User) -> None:
    anonymous = await visitor(api, None)
    form = (await anonymous.get("/login?next=/console/templates?page=1")).form("/login")
    response = await anonymous.submit(form, username="rosa", password=PASSWORD)
    assert redirect_target(response) == "/console/templates?page=1"
    value, attributes = cookie_of(response)
    assert set(attributes.split("; ")) == {"httponly", "samesite=lax", "path=/", f"max-age={7 * 86400}"}
    browser = Visitor(api, value)
    assert "rosa" in (await browser.get("/console/templates")).text
    assert redirect_target(await browser.request("GET", "/login?next=/history")) == "/history"


async def test_after_a_wrong_password_the_form_keeps_only_the_user_name(api: Api, rosa: User) -> None:
    anonymous = await visitor(api, None)
    for username, password in (("rosa", "wrong horse"), ("<b>unknown", PASSWORD), ("", ""), ("x" * 101, "y" * 201)):
        response = await anonymous.fill("/login?next=/history", "/login", username=username, password=password)
        assert response.status == 401 and "set-cookie" not in response.response.headers
        assert 'role="alert">The user name or the password is wrong.' in response.text
        form = response.form("/login")
        assert (form.value("username"), form.value("password"), form.value("next")) == (username, "", "/history")
        assert "<b>unknown" not in response.text


async def test_too_many_attempts_show_an_error(database: str, db: Db) -> None:
    await create_user(db, "reporter", "rosa")
    async with running_api(database, rate_limit_login=Limit(2, timedelta(minutes=5))) as api:
        anonymous = await visitor(api, None)
        responses = [await anonymous.fill("/login", username="rosa", password="wrong horse") for _ in range(3)]
    assert [response.status for response in responses] == [401, 401, 429]
    wait_s = int(responses[-1].response.headers["retry-after"])
    assert wait_s > 0
    assert re.search(rf"Too many attempts\. Please try again in {wait_s // 60 or wait_s} (min|s)", responses[-1].text)
    assert responses[-1].form("/login").value("username") == "rosa"


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example",
        "/\\evil.example",
        "https://evil.example",
        "evil",
        "",
        "/a b",
        "/a\r\nSet-Cookie: x=y",
        "/\t/evil.example",
        "javascript:alert(1)",
        "/" + "x" * 2000,
        "/ä",
    ],
)
def test_login_does_not_redirect_to_other_sites(target: str) -> None:
    assert own_path(target, "/console") == "/console"


@pytest.mark.parametrize("target", ["/", "/console/incidents?status=all&page=2", "/a/b;c#d", "/%2F/evil.example"])
def test_login_redirects_to_pages_of_this_site(target: str) -> None:
    assert own_path(target, "/console") == target


async def test_logout_ends_the_session_and_its_sockets_at_once(api: Api, db: Db, rosa: User) -> None:
    browser = await visitor(api, rosa)
    token = (await browser.request("POST", "/live-token")).response.json()["token"]
    async with socket_client(api, "ws", token) as socket:
        page = await browser.get("/console/templates")
        response = await browser.submit(page.form("/logout"))
        assert redirect_target(response) == "/"
        assert cookie_of(response)[0] in ("", '""') and "max-age=0" in cookie_of(response)[1]
        with anyio.fail_after(120):
            assert await socket.close_code() is not None
    assert (await browser.request("GET", "/console/account")).status == 303
    assert (await api.http.get("/api/auth/me", headers={"Authorization": f"Bearer {token}"})).status_code == 401


async def test_the_live_token_is_valid_as_long_as_the_session(api: Api, db: Db, rosa: User) -> None:
    browser = await visitor(api, rosa)
    response = await browser.request("POST", "/live-token")
    assert response.status == 200 and response.response.headers["cache-control"] == "no-store"
    headers = {"Authorization": f"Bearer {response.response.json()['token']}"}
    assert (await api.get("/api/auth/me", headers=headers))["user"]["username"] == "rosa"
    await db.execute("UPDATE sessions SET expires_at = now() WHERE id = %s", [rosa.session_id])
    assert (await api.http.get("/api/auth/me", headers=headers)).status_code == 401
    assert (await browser.request("POST", "/live-token")).status == 401


async def expires_at(db: Db, user: User) -> datetime:
    cursor = await db.execute("SELECT expires_at FROM sessions WHERE id = %s", [user.session_id])
    [(moment,)] = await cursor.fetchall()
    assert isinstance(moment, datetime)
    return moment


@pytest.mark.parametrize(("left", "renewed"), [(0.9, False), (0.51, False), (0.49, True), (0.01, True)])
async def test_a_session_in_use_is_extended_after_half_its_lifetime(
    api: Api, db: Db, rosa: User, left: float, renewed: bool
) -> None:
    await db.execute("UPDATE sessions SET expires_at = now() + %s WHERE id = %s", [LIFETIME * left, rosa.session_id])
    before = await expires_at(db, rosa)
    page = await Visitor(api, await session_cookie_value(rosa, LIFETIME * left)).get("/console/account")
    assert ("set-cookie" in page.response.headers) == renewed
    after = await expires_at(db, rosa)
    if not renewed:
        assert after == before
        return
    assert abs(after - datetime.now(UTC) - LIFETIME) < timedelta(minutes=1)
    value, attributes = cookie_of(page)
    assert value != await session_cookie_value(rosa, LIFETIME * left) and "httponly" in attributes
    assert "rosa" in (await Visitor(api, value).get("/console/account")).text


async def test_an_ended_session_is_not_extended(api: Api, db: Db, rosa: User) -> None:
    cookie = await session_cookie_value(rosa, timedelta(hours=1))
    await db.execute("UPDATE sessions SET revoked_at = now() WHERE id = %s", [rosa.session_id])
    page = await Visitor(api, cookie).request("GET", "/console/account")
    assert page.status == 303 and "set-cookie" not in page.response.headers


async def test_behind_a_trusted_tls_proxy_the_cookie_is_secure(database: str, db: Db, rosa: User) -> None:
    proxies = (ipaddress.ip_network("127.0.0.0/8"),)
    async with running_api(database, trusted_proxies=proxies) as api:
        origin = str(api.http.base_url.copy_with(scheme="https")).rstrip("/")
        tls: dict[str, Any] = {"headers": {"X-Forwarded-Proto": "https", "Origin": origin}}
        anonymous = await visitor(api, None)
        form = {"data": {"username": "rosa", "password": PASSWORD}}
        value, attributes = cookie_of(await anonymous.request("POST", "/login", **form, **tls), SECURE_SESSION)
        assert {"secure", "httponly", "path=/"} <= set(attributes.split("; ")) and "domain" not in attributes
        for name, over_tls, shown in (
            (SECURE_SESSION, True, 200),
            (SESSION, True, 303),
            (SECURE_SESSION, False, 303),
        ):
            headers = {"Cookie": f"{name}={value}", **(tls["headers"] if over_tls else {})}
            page = await anonymous.request("GET", "/console/account", headers=headers)
            assert page.status == shown, (name, over_tls)


async def test_x_forwarded_proto_of_untrusted_clients_is_ignored(api: Api, rosa: User) -> None:
    headers = {"X-Forwarded-Proto": "https"}
    anonymous = await visitor(api, None)
    response = await anonymous.request(
        "POST", "/login", data={"username": "rosa", "password": PASSWORD}, headers=headers
    )
    assert "secure" not in cookie_of(response)[1].split("; ")


async def test_language_and_theme_are_stored_in_cookies(api: Api) -> None:
    anonymous = await visitor(api, None)
    for path, name, value in (
        ("/language/ko?next=/uptime", "language", "ko"),
        ("/theme/dark?next=/uptime", "theme", "dark"),
    ):
        response = await anonymous.request("GET", path)
        assert redirect_target(response) == "/uptime"
        assert cookie_of(response, name)[0] == value
    page = await anonymous.request("GET", "/login", headers={"Cookie": "language=ko; theme=dark"})
    assert '<html lang="ko"' in page.text and 'data-theme="dark"' in page.text
    for path in ("/language/xx", "/theme/pink"):
        assert (await anonymous.request("GET", path)).status == 404
    assert redirect_target(await anonymous.request("GET", "/language/ko?next=//evil.example")) == "/"


async def test_cached_pages_contain_nothing_of_a_user(api: Api, db: Db, rosa: User) -> None:
    """A browser with a session gets a page that was rendered for it, not a cached one."""
    await add_service(db, "shop")
    anonymous, browser = await visitor(api, None), await visitor(api, rosa)
    await until_events_processed(api, db)
    await anonymous.get("/services/shop")
    assert (await anonymous.get("/services/shop")).response.headers["x-cache"] == "HIT"
    assert (await browser.get("/services/shop")).response.headers.get("x-cache") != "HIT"
    assert (await anonymous.get("/services/shop")).response.headers["x-cache"] == "HIT"


async def test_a_form_after_the_end_of_the_session_leads_to_the_login(api: Api, db: Db, rosa: User) -> None:
    browser = await visitor(api, rosa)
    await db.execute("UPDATE sessions SET revoked_at = now() WHERE id = %s", [rosa.session_id])
    response = await browser.request(
        "POST", "/console/incidents/new", data={"csrf": "x"}, headers={"Accept": "text/html"}
    )
    assert response.status == 401 and "nothing was saved" in response.text
    assert '<a class="button" href="/login">' in response.text
