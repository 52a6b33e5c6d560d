"""The SLA report as HTML, opened from a file."""

from pathlib import Path
from typing import Literal

import pytest
from playwright.async_api import Browser, Page, expect

from sla_monitor.reports.formats import render
from sla_monitor.texts.languages import Language
from tests.pages.looks import assert_accessible, screenshot
from tests.reports import HOSTILE, hostile_report


async def opened(
    browser: Browser, folder: Path, language: Language, scheme: Literal["dark", "light"], width: int
) -> Page:
    file = folder / "report.html"
    file.write_bytes(render(hostile_report(), "html", language))
    page = await browser.new_page(color_scheme=scheme, viewport={"width": width, "height": 900})
    await page.goto(file.as_uri())
    return page


@pytest.mark.parametrize(
    ("language", "scheme", "width"),
    [("en", "light", 1200), ("ko", "dark", 1200), ("ko", "light", 360), ("en", "dark", 360)],
)
async def test_it_can_be_read_by_everybody(
    browser: Browser, tmp_path: Path, language: Language, scheme: Literal["dark", "light"], width: int
) -> None:
    page = await opened(browser, tmp_path, language, scheme, width)
    try:
        await expect(page.locator("h1")).to_have_text({"en": "October 2026", "ko": "2026년 10월"}[language])
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        await assert_accessible(page)
        await expect(page.get_by_role("heading", name=HOSTILE[4], exact=True)).to_be_visible()
        assert await page.evaluate("document.scripts.length") == 0
        await screenshot(page, f"sla-report-{language}-{scheme}-{width}")
    finally:
        await page.close()


async def test_it_prints_on_white_pages(browser: Browser, tmp_path: Path) -> None:
    page = await opened(browser, tmp_path, "en", "dark", 1200)
    try:
        await page.emulate_media(media="print")
        assert await page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert (await page.pdf(prefer_css_page_size=True)).startswith(b"%PDF-")
    finally:
        await page.close()
