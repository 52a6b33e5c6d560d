"""Badges and the embedded frame in a page of another site."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import quote

import pytest
from playwright.async_api import Browser, expect

from tests.api.conftest import Api
from tests.pages.looks import assert_accessible, screenshot
from tests.pages.visits import Language, OpenPage, Theme, visiting
from tests.prober.targets import http_response, serving

FOREIGN = ["foreign: http://127.0.0.1:"]
NATURAL_WIDTHS = """() => [...document.querySelectorAll("text")].map(text => {
  const given = Number(text.getAttribute("textLength"));
  text.removeAttribute("textLength");
  return [text.textContent, given, text.getComputedTextLength()];
})"""


@asynccontextmanager
async def page_of_somebody_else(body: str) -> AsyncIterator[str]:
    html = (
        f'<!doctype html><html lang="en"><title>Readme</title><link rel="icon" href="data:,"><main>{body}</main></html>'
    )

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(
            http_response(html.encode(), "200 OK", "Content-Type: text/html; charset=utf-8\r\nConnection: close\r\n")
        )
        await writer.drain()

    async with serving(behave) as port:
        yield f"http://127.0.0.1:{port}"


def _home(site: Api) -> str:
    return f"http://127.0.0.1:{site.settings.api_port}"


async def test_badges_are_shown_in_a_page_of_another_site(browser: Browser, site: Api) -> None:
    paths = [
        f"{service}/{kind}.svg?lang={language}&style={style}"
        for service in ("demo-healthy", "demo-failing", "all-systems", "secret-vault")
        for kind in ("status", "uptime", "response")
        for language, style in (("en", "flat"), ("ko", "flat-square"))
    ]
    images = "".join(f'<p><img alt="" src="{_home(site)}/badges/{path}"></p>' for path in paths)
    async with page_of_somebody_else(images) as address, visiting(browser, address) as open_page:
        page = await open_page(expected=[*FOREIGN, "console: .*404", "failed: "])
        widths = await page.evaluate("[...document.images].map(image => [image.complete, image.naturalWidth])")
        assert len(widths) == len(paths)
        assert all(complete and width > 60 for complete, width in widths)
        await screenshot(page, "badges")


@pytest.mark.parametrize("text", ["Shop", "WWWWiiii", "가동률 90일", "日本語", "Ünïcödé – …", "MMMMMMMMMMMM@@@@"])
async def test_texts_fit_into_their_badge(open_page: OpenPage, text: str) -> None:
    page = await open_page(f"/badges/demo-healthy/uptime.svg?label={quote(text)}", expected=["console: .*sandbox"])
    for shown, given, natural in await page.evaluate(NATURAL_WIDTHS):
        assert abs(natural - given) <= max(0.15 * given, 3), shown  # or they would be squeezed, or stand apart


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("language", ["en", "ko"])
async def test_the_frame_is_shown_in_a_page_of_another_site(
    browser: Browser, site: Api, language: Language, theme: Theme
) -> None:
    source = f"{_home(site)}/embed?theme={theme}&amp;lang={language}"
    body = f'<iframe title="Status" width="400" height="420" src="{source}"></iframe>'
    async with page_of_somebody_else(body) as address, visiting(browser, address) as open_page:
        page = await open_page(expected=FOREIGN)
        frame = page.frame_locator("iframe")
        await expect(frame.get_by_role("listitem")).to_have_count(6)
        await expect(frame.get_by_role("heading")).to_have_text(
            {"en": "Some services are down", "ko": "일부 서비스에 장애가 발생했습니다"}[language]
        )
        await screenshot(page, f"embed-{theme}-{language}")


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_the_frame_is_accessible_and_needs_no_script(open_page: OpenPage, theme: Theme) -> None:
    await assert_accessible(await open_page(f"/embed?theme={theme}", device="phone"))
    page = await open_page("/embed?services=demo-healthy", javascript=False)
    await expect(page.get_by_role("listitem")).to_have_count(1)
