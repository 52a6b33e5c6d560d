"""What the tests of pages rest on: nothing goes wrong in a browser without failing its test, and the site hides what it
must."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from tests.api.conftest import Api, User
from tests.browsers import find_browser
from tests.pages.looks import SCREENSHOTS, assert_accessible, axe, screenshot
from tests.pages.sites import HIDDEN
from tests.pages.visits import OpenPage, visiting
from tests.prober.targets import http_response, serving

GOOD = """<!doctype html><html lang="en"><title>Good</title><link rel="icon" href="data:,">
<main><h1>Good</h1>{}</main></html>"""
POLICY = (
    "Content-Security-Policy: default-src 'none'; script-src 'self' 'unsafe-inline'; connect-src *; img-src * data:\r\n"
)


@asynccontextmanager
async def showing(body: str, status: str = "200 OK") -> AsyncIterator[str]:
    """The address of a server that has this page for every path but /missing."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if b" /missing" in head:
            writer.write(http_response(b"none", "404 Not Found", "Content-Type: text/plain\r\n"))
        else:
            headers = f"Content-Type: text/html; charset=utf-8\r\nConnection: close\r\n{POLICY}"
            writer.write(http_response(GOOD.format(body).encode(), status, headers))
        await writer.drain()

    async with serving(behave) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("<script>console.error('oh dear')</script>", "console: oh dear"),
        ("<script>null.x</script>", "script: .*null"),
        ("<script>Promise.reject(new Error('nobody waits'))</script>", "script: nobody waits"),
        ("<img alt='' src='http://elsewhere.example/x.png'>", "foreign: http://elsewhere.example/x.png"),
        ("<script>new WebSocket('ws://elsewhere.example/ws')</script>", "foreign: ws://elsewhere.example/ws"),
        ("<script>fetch('/missing').catch(() => 0)</script>", r"console: .*404.*/missing"),
        ("<img alt='' src='http://127.0.0.1:9/x.png'>", "failed: GET http://127.0.0.1:9/x.png"),
        ("<p style='color: red'>red</p>", "console: .*Content Security Policy"),
    ],
)
async def test_an_error_in_a_page_fails_its_test(browser: Browser, body: str, told: str) -> None:
    async with showing(body) as address:
        with pytest.raises(AssertionError) as failed:
            async with visiting(browser, address) as open_page:
                page = await open_page()
                await page.wait_for_load_state("networkidle")  # what goes wrong may be on its way
    assert re.search(told, str(failed.value))


async def test_what_was_expected_to_go_wrong_does_not_fail_it(browser: Browser) -> None:
    body = "<script>console.error('oh dear')</script>"
    async with showing(body) as address, visiting(browser, address) as open_page:
        await open_page(expected=["oh (dear|no)"])


async def test_a_second_page_and_a_page_without_javascript_are_watched_too(browser: Browser) -> None:
    async with showing("<img alt='' src='http://elsewhere.example/x.png'>") as address:
        with pytest.raises(AssertionError, match=r"foreign: http://elsewhere\.example"):
            async with visiting(browser, address) as open_page:
                await open_page(javascript=False)
        async with showing("") as good:
            with pytest.raises(AssertionError, match=r"foreign: http://elsewhere\.example") as failed:
                async with visiting(browser, good) as open_page:
                    second = await (await open_page()).context.new_page()
                    await second.goto(good)
                    await second.evaluate("fetch('http://elsewhere.example/').catch(() => 0)")
    assert "Good" not in str(failed.value)


async def test_a_page_that_says_that_there_is_none_is_a_good_page(browser: Browser) -> None:
    async with showing("", "404 Not Found") as address, visiting(browser, address) as open_page:
        await open_page(status=404)
        with pytest.raises(AssertionError, match="404"):
            await open_page()


async def test_language_theme_and_device_are_the_readers(browser: Browser) -> None:
    traits = """[navigator.language, matchMedia("(prefers-color-scheme: dark)").matches,
                 matchMedia("(pointer: coarse)").matches, innerWidth]"""
    script = f"<meta name=viewport content='width=device-width'><script>document.body.append({traits}.join())</script>"
    async with showing(script) as address, visiting(browser, address) as open_page:
        for page, seen in (
            (await open_page(), "en-US,false,false,1280"),
            (await open_page(language="ko", theme="dark", device="phone"), "ko-KR,true,true,360"),
        ):
            await expect(page.locator("body")).to_contain_text(seen)


async def test_axe_sees_what_readers_cannot(browser: Browser) -> None:
    async with showing("<img src='data:,'><button></button>") as address, visiting(browser, address) as open_page:
        page = await open_page()
        assert {line.split()[0] for line in await axe(page)} == {"button-name", "image-alt"}
        assert await axe(page, without=["button-name", "image-alt"]) == []
        with pytest.raises(AssertionError, match=r"2 times(.|\n)*image-alt"):
            await assert_accessible(page)


async def test_screenshots_are_taken_when_asked_for(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with showing("") as address, visiting(browser, address) as open_page:
        page = await open_page()
        monkeypatch.delenv(SCREENSHOTS, raising=False)
        await screenshot(page, "nothing")
        monkeypatch.setenv(SCREENSHOTS, str(tmp_path))
        await screenshot(page, "good")
    assert (tmp_path / "good.png").exists()
    assert not (tmp_path / "nothing.png").exists()


def test_a_browser_is_found_by_its_setting_its_name_and_where_playwright_leaves_it(tmp_path: Path) -> None:
    nothing = {"PATH": str(tmp_path), "HOME": str(tmp_path)}
    assert find_browser(nothing) is None
    downloaded = tmp_path / ".cache" / "ms-playwright" / "chromium-1234" / "chrome-linux64" / "chrome"
    downloaded.parent.mkdir(parents=True)
    downloaded.touch()
    assert find_browser(nothing) == downloaded
    installed = tmp_path / "chromium"
    installed.touch(0o755)
    assert find_browser(nothing) == installed
    assert find_browser({**nothing, "CHROMIUM": "/opt/mine"}) == Path("/opt/mine")


async def test_the_site_has_a_life_and_hides_its_vault(site: Api) -> None:
    status = await site.get("/api/system-status")
    assert len(status["services"]) == 6
    assert {"o", "po", "mo"} <= {day for service in status["services"] for day in service["uptimeData"]}
    assert {service["status"] for service in status["services"]} == {"operational", "outage"}
    incidents = await site.get("/api/incidents")
    assert [incident["id"] for incident in incidents["incidents"]] == ["INC-2026-0006", "INC-2026-0004"]
    maintenance = await site.get("/api/maintenance")
    past = await site.get("/api/incidents/past?days=60&limit=60")
    assert sum(len(day["incidents"]) for day in past["days"]) >= 5
    told = str([status, incidents, maintenance, past]) + (await site.http.get("/api/uptime/all-systems")).text
    assert "The search index moves" in told
    assert not [name for name in HIDDEN if name in told]


async def test_only_the_given_user_is_logged_in(open_page: OpenPage, reporter: User) -> None:
    login = "/login?next=/docs"  # sends on whoever is logged in already
    assert (await open_page(login, user=reporter)).url.endswith("/docs")
    assert (await open_page(login)).url.endswith(login)
