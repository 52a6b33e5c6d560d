"""What every page says of itself to the browser, and that nobody makes it say something else."""

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


async def everything(api: Api, data: SiteData) -> AsyncIterator[httpx.Response]:
    """Every page, as a stranger and as an admin, and pages of errors."""
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


async def test_every_answer_carries_its_headers(site: Site) -> None:
    api, data = site
    seen = 0
    async for response in everything(api, data):
        what, said = described(response), policy(response)
        assert said["default-src"] == ["'none'"], what
        sources = {source for name in said for source in said[name]} - {"'none'", "'self'", "data:"}
        framed = response.status_code == 200 and response.url.path == "/embed"
        assert sources == ({"*"} if framed else set()), f"{what}: {sources}"
        if framed:
            assert said["frame-ancestors"] == ["*"]
        else:
            assert response.headers["x-frame-options"] == "DENY", what
            assert said.get("frame-ancestors") == ["'none'"] or "sandbox" in said, what
        assert "data:" not in said.get("script-src", []), what
        if "script-src" in said:
            assert said["base-uri"] == ["'none'"], what
            assert said["form-action"] in (["'self'"], ["'none'"]), what
        assert response.headers["x-content-type-options"] == "nosniff", what
        assert response.headers["referrer-policy"] in ("no-referrer", "same-origin"), what
        assert response.headers["cross-origin-opener-policy"] == "same-origin", what
        assert "permissions-policy" in response.headers, what
        control = response.headers["cache-control"]
        # Without no-store a browser brings back what was typed into a form; it is for that browser alone.
        assert control in ("no-store", "no-cache", "private, no-cache"), what
        assert control != "no-cache" or (response.status_code == 200 and "x-cache" in response.headers), what
        if data.admin.username in response.text:
            assert "no-store" in control or "private" in control, what
            assert "x-cache" not in response.headers, what
        assert "strict-transport-security" not in response.headers, what
        seen += 1
    assert seen > 2 * len(pages())


async def test_tls_is_demanded_where_the_site_is_reached_by_it(any_database: str) -> None:
    async with hostile_api(any_database, HARMLESS[:1], site_url="https://status.example.com") as (api, data):
        async for response in everything(api, data):
            assert response.headers["strict-transport-security"] == "max-age=31536000", described(response)
            assert "includesubdomains" not in response.headers["strict-transport-security"].lower()


ELSEWHERE = [
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


@pytest.mark.parametrize("asked_at", ["/language/ko", "/theme/dark", "/login"])
async def test_nobody_is_sent_to_another_site(site: Site, asked_at: str) -> None:
    api, data = site
    headers = {"Cookie": await session_cookie(data.admin)} if asked_at == "/login" else {}
    home = str(api.http.base_url)
    for target in ELSEWHERE:
        for written in (quote(target, safe=""), quote(quote(target, safe=""), safe="")):
            response = await api.http.get(f"{asked_at}?next={written}", headers=headers)
            assert response.status_code in (303, 400), described(response)
            location = response.headers.get("location", "/")
            assert urlsplit(urljoin(home, location)).netloc == urlsplit(home).netloc, f"{target!r} -> {location!r}"
            assert location.startswith("/"), location
            assert not location.startswith(("//", "/\\")), location
            assert location.isprintable() and location.isascii(), location
            cookies = [line.partition("=")[0] for line in response.headers.get_list("set-cookie")]
            assert set(cookies) <= {"language", "theme"}


async def test_who_logs_in_is_sent_to_this_site(site: Site) -> None:
    api, _ = site
    home = str(api.http.base_url)
    for target in ELSEWHERE:
        page = await api.http.get("/login", params={"next": target})
        if page.status_code == 200:
            [offered] = re.findall(r'name="next" value="([^"]*)"', page.text)
            assert urlsplit(urljoin(home, html.unescape(offered))).netloc == urlsplit(home).netloc, target


async def test_lines_do_not_end_where_an_attacker_wants(site: Site) -> None:
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
        if response.headers["content-type"] != "application/json":  # which nobody takes for a page: nosniff
            assert "<script>alert" not in response.body.decode(), target


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "a b", "evil.example:80", "x@evil.example", "[::1", "x/y", '"x"']
)
async def test_another_host_is_refused(site: Site, host: str) -> None:
    """For a page of evil.example that lets its name point to this machine."""
    api, _ = site
    for path in ("/", "/feed.atom", "/embed", "/login", "/badges/all-systems/status.svg"):
        for _ in range(2):  # not from memory either
            response = await raw.send_request(api.settings.api_port, "GET", path, {"Host": host, "Accept": "text/html"})
            assert response.status == 400, (path, host)
            assert host == "" or "evil" not in response.body.decode()


async def test_settings_of_look_and_language_are_two_words(site: Site) -> None:
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
