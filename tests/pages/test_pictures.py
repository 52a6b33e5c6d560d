"""The pictures of the README, of the demo's past. To take them anew:

SLA_MONITOR_TEST_SCREENSHOTS=docs/pictures .venv/bin/pytest tests/pages/test_pictures.py
"""

import re
from typing import Any

import psycopg
from playwright.async_api import Page, expect

from tests.api.conftest import create_user
from tests.pages.looks import screenshot
from tests.pages.sites import OPEN_INCIDENT
from tests.pages.visits import OpenPage

WIDTH = 1100
EDIT = f"/console/incidents/{OPEN_INCIDENT}/edit"


async def framed(page: Page, height: int) -> Page:
    await page.set_viewport_size({"width": WIDTH, "height": height})
    return page


async def test_the_status_page_with_a_day_looked_at(open_page: OpenPage) -> None:
    page = await framed(await open_page("/"), 1560)
    strip = page.locator('[data-service="demo-slow"]').get_by_role("slider")
    await strip.focus()
    for _ in range(3):
        await strip.press("ArrowLeft")
    await expect(page.locator(".day-card")).to_contain_text("Checks")
    await screenshot(page, "status", full_page=False)


async def test_a_service_in_the_dark(open_page: OpenPage) -> None:
    page = await framed(await open_page("/services/demo-slow", theme="dark"), 1180)
    await page.get_by_role("button", name="7 d", exact=True).click()
    await expect(page.locator("#summary")).to_contain_text(re.compile("67[0-9]"))
    await screenshot(page, "service", full_page=False)


async def test_the_calendar_on_a_phone_in_korean(open_page: OpenPage) -> None:
    page = await open_page("/uptime", language="ko", device="phone")
    await expect(page.get_by_role("heading", level=1)).to_be_visible()
    await screenshot(page, "calendar-phone", full_page=False)


async def test_two_people_at_one_incident(open_page: OpenPage, site_db: psycopg.AsyncConnection[Any]) -> None:
    await site_db.execute("UPDATE services SET name = 'Back office', group_name = 'Internal' WHERE NOT public")
    ann, bora = await create_user(site_db, "reporter", "Ann"), await create_user(site_db, "admin", "Bora")
    page = await framed(await open_page(EDIT, user=ann), 900)
    other = await open_page(EDIT, user=bora)
    await other.locator("#field-description").focus()
    await expect(page.locator("#editors")).to_contain_text("Bora")
    await screenshot(page, "console", full_page=False)
