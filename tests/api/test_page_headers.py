"""Security headers of every page, redirects, and attempts to inject headers."""

import html
import re
from collections.abc import AsyncIterator
from urllib.parse import quote, urljoin, urlsplit

import httpx
import pytest

from tests.api import raw
from tests.api.conftest import Api
from tests.api.hostile_site import HARMLESS, Site, SiteData, hostile_api, session_cookie
from tests.api.page_routes import described, page_routes, pages

HTML = {"Accept": "text/html"}


@pytest.fixture
async def site(any_database: str) -> AsyncIterator[Site]:
    async with hostile_api(any_database, HARMLESS[:1]) as found:
        yield found


async def every_response(api: Api, data: SiteData) -> AsyncIterator[httpx.Response]:
    """Requests every page and several error pages, as an anonymous client and as an admin."""
    cookie = await session_cookie(data.admin)
    for headers in (HTML, HTML | {"Cookie": cookie}):
        for route in page_routes():
            path = next(iter(route.paths(data.values)))
            yield await api.http.request("GET", path, headers=headers)
            if route.method == "POST":
                yield await api.http.request("POST", path, headers=headers)
        for path in (
            "/missing",
            "/services/missing",
            "/incidents/INC-1999-0001",
            "/history?page=x",
            "/login?next=" + "x" * 3000,
        ):
            yield await api.http.get(path, headers=headers)
        yield await api.http.request("PUT", "/", headers=headers)


def policy(response: httpx.Response) -> dict[str, list[str]]:
    [header] = response.headers.get_list("content-security-policy")
    directives = [directive.split() for directive in header.split(";") if directive.strip()]
    return {directive[0]: directive[1:] for directive in directives}


async def test_every_page_has_its_security_headers(site: Site) -> None:
    api, data = site
    checked = 0
    async for response in every_response(api, data):
        what, directives = described(response), policy(response)
        assert directives["default-src"] == ["'none'"], what
        sources = {source for name in directives for source in directives[name]} - {"'none'", "'self'", "data:"}
        framed = response.status_code == 200 and response.url.path == "/embed"
        assert sources == ({"*"} if framed else set()), f"{what}: {sources}"
        if framed:
            assert directives["frame-ancestors"] == ["*"]
        else:
            assert response.headers["x-frame-options"] == "DENY", what
            assert directives.get("frame-ancestors") == ["'none'"] or "sandbox" in directives, what
        assert "data:" not in directives.get("script-src", []), what
        if "script-src" in directives:
            assert directives["base-uri"] == ["'none'"], what
            assert directives["form-action"] in (["'self'"], ["'none'"]), what
        assert response.headers["x-content-type-options"] == "nosniff", what
        assert response.headers["referrer-policy"] in ("no-referrer", "same-origin"), what
        assert response.headers["cross-origin-opener-policy"] == "same-origin", what
        assert "permissions-policy" in response.headers, what
        control = response.headers["cache-control"]
        # Without no-store the back button restores the values of a form. `private` keeps the page out of shared caches.
        assert control in ("no-store", "no-cache", "private, no-cache"), what
        assert control != "no-cache" or (response.status_code == 200 and "x-cache" in response.headers), what
        if data.admin.username in response.text:
            assert "no-store" in control or "private" in control, what
            assert "x-cache" not in response.headers, what
        assert "strict-transport-security" not in response.headers, what
        checked += 1
    assert checked > 2 * len(pages())


async def test_hsts_is_sent_with_an_https_site_url(any_database: str) -> None:
    async with hostile_api(any_database, HARMLESS[:1], site_url="https://status.example.com") as (api, data):
        async for response in every_response(api, data):
            assert response.headers["strict-transport-security"] == "max-age=31536000", described(response)
            assert "includesubdomains" not in response.headers["strict-transport-security"].lower()


OTHER_SITES = [
    "//evil.example",
    "///evil.example",
    "////evil.example/..",
    "/\\evil.example",
    "\\/evil.example",
    "\\\\evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    "/\r\n//evil.example",
    " //evil.example",
    "https:evil.example",
    "https:/evil.example",
    "https://evil.example",
    "http:\\\\evil.example",
    "javascript:alert(1)",
    "data:text/html,x",
    "/%0d%0aSet-Cookie:evil=1",
    "/\r\nSet-Cookie: evil=1",
    "/x\u0000",
    "/\u2028/evil.example",
    "/é",
    "evil.example",
    "@evil.example",
    "/.evil.example/",
    "?next=//evil.example",
    "/" * 1999 + "evil.example",
]


@pytest.mark.parametrize("path", ["/language/ko", "/theme/dark", "/login"])
async def test_redirects_stay_on_this_site(site: Site, path: str) -> None:
    api, data = site
    headers = {"Cookie": await session_cookie(data.admin)} if path == "/login" else {}
    home = str(api.http.base_url)
    for target in OTHER_SITES:
        for written in (quote(target, safe=""), quote(quote(target, safe=""), safe="")):
            response = await api.http.get(f"{path}?next={written}", headers=headers)
            assert response.status_code in (303, 400), described(response)
            location = response.headers.get("location", "/")
            assert urlsplit(urljoin(home, location)).netloc == urlsplit(home).netloc, f"{target!r} -> {location!r}"
            assert location.startswith("/"), location
            assert not location.startswith(("//", "/\\")), location
            assert location.isprintable() and location.isascii(), location
            cookies = [line.partition("=")[0] for line in response.headers.get_list("set-cookie")]
            assert set(cookies) <= {"language", "theme"}


async def test_the_login_redirects_to_this_site_only(site: Site) -> None:
    api, _ = site
    home = str(api.http.base_url)
    for target in OTHER_SITES:
        page = await api.http.get("/login", params={"next": target})
        if page.status_code == 200:
            [offered] = re.findall(r'name="next" value="([^"]*)"', page.text)
            assert urlsplit(urljoin(home, html.unescape(offered))).netloc == urlsplit(home).netloc, target


async def test_line_breaks_in_addresses_inject_no_headers(site: Site) -> None:
    api, _ = site
    port, evil = api.settings.api_port, "%0d%0aSet-Cookie:%20evil=1%0d%0a%0d%0a<script>alert(1)</script>"
    for target in (
        f"/language/ko?next=/{evil}",
        f"/language/ko{evil}",
        f"/theme/{evil}?next=/",
        f"/?lang=ko{evil}",
        f"/embed?lang={evil}&theme={evil}",
        f"/feed.atom?lang={evil}&service={evil}",
        f"/badges/shop/status.svg?label={evil}",
        f"/console{evil}",
        f"/{evil}",
        f"/login?next={evil}",
    ):
        response = await raw.send_request(port, "GET", target, {"Accept": "text/html"})
        assert response.status in (200, 303, 400, 404), target
        assert "evil" not in response.headers.get("set-cookie", ""), target
        if response.headers["content-type"] != "application/json":  # browsers do not render JSON, because of nosniff
            assert "<script>alert" not in response.body.decode(), target


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "a b", "evil.example:80", "x@evil.example", "[::1", "x/y", '"x"']
)
async def test_another_host_is_refused(site: Site, host: str) -> None:
    """DNS rebinding: evil.example resolves to this server."""
    api, _ = site
    for path in ("/", "/feed.atom", "/embed", "/login", "/badges/all-systems/status.svg"):
        for _ in range(2):  # also after a response is cached
            response = await raw.send_request(api.settings.api_port, "GET", path, {"Host": host, "Accept": "text/html"})
            assert response.status == 400, (path, host)
            assert "evil" not in response.body.decode()


async def test_invalid_values_of_the_theme_and_language_cookies_are_ignored(site: Site) -> None:
    api, _ = site
    hostile = '"><script>alert(1)</script>'
    plain = (await api.http.get("/login")).text
    for cookie in (
        f"theme={hostile}",
        f"language={hostile}",
        "language=../../ko",
        "theme=" + "x" * 3000,
    ):
        page = await api.http.get("/login", headers={"Cookie": cookie})
        assert page.status_code == 200
        assert page.text.count("<script") == plain.count("<script")
        assert 'data-theme="' not in page.text
        assert '<html lang="en"' in page.text
    for path in ("/language/xx", "/theme/pink", f"/language/{quote(hostile, safe='')}"):
        response = await api.http.get(path)
        assert response.status_code == 404
        assert "set-cookie" not in response.headers
