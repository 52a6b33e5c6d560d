"""The days of the status page in a browser: by keyboard, pointer and touch, and over midnight."""

import re
from datetime import date, timedelta

from playwright.async_api import FloatRect, Locator, Route, expect

from tests.pages.status_rows import card, connected, row
from tests.pages.test_refreshing import refresh
from tests.pages.visits import OpenPage


async def box(locator: Locator) -> FloatRect:
    found = await locator.bounding_box()
    assert found is not None
    return found


async def test_days_by_keyboard(open_page: OpenPage) -> None:
    page = await open_page()
    await connected(page)
    link = row(page, "demo-failing").get_by_role("link")
    await link.focus()
    await page.keyboard.press("Tab")
    strip = row(page, "demo-failing").get_by_role("slider", name="Failing checkout, day by day")
    await expect(strip).to_be_focused()
    await expect(card(page)).to_contain_text("Outage")
    await expect(strip).to_have_attribute("aria-valuenow", "89")
    await expect(strip).to_have_attribute(
        "aria-valuetext", re.compile(r"Outage, Downtime .+, Uptime [\d.]+%, Checks \d+")
    )
    await page.keyboard.press("ArrowLeft")
    await expect(strip).to_have_attribute("aria-valuenow", "88")
    await expect(card(page)).to_contain_text(re.compile(r"Checks\s*96"))
    await page.keyboard.press("Home")
    await expect(strip).to_have_attribute("aria-valuenow", "0")
    await page.keyboard.press("ArrowLeft")
    await expect(strip).to_have_attribute("aria-valuenow", "0")
    await page.keyboard.press("End")
    await expect(strip).to_have_attribute("aria-valuenow", "89")
    await page.keyboard.press("Escape")
    await expect(card(page)).to_be_hidden()
    await page.keyboard.press("ArrowLeft")
    await expect(card(page)).to_be_visible()
    await page.keyboard.press("Tab")
    await expect(card(page)).to_be_hidden()


async def test_days_keep_their_dates_over_midnight(open_page: OpenPage) -> None:
    """Pages that are open since yesterday, and what the server has for them today."""

    async def a_day_later(route: Route) -> None:
        answer = await route.fetch()
        html = re.sub(r'(?<=")\d{4}-\d\d-\d\d(?=")', lambda day: _after(day[0]), await answer.text())
        await route.fulfill(response=answer, body=html)

    for path, part, within in (
        ("/", "services", '[data-service="demo-slow"]'),
        ("/services/demo-slow", "days", "#days"),
    ):
        page = await open_page(path)
        strip = page.locator(within).get_by_role("slider")
        await expect(strip).to_be_attached()
        today = str(await page.locator(f"#{part}").get_attribute("data-today"))
        await page.route("**" + path, a_day_later)
        await refresh(page, part)
        await expect(page.locator(f"#{part}")).to_have_attribute("data-today", _after(today))
        await strip.press("End")
        for day in (date.fromisoformat(_after(today)), date.fromisoformat(today)):
            await expect(card(page).locator("strong")).to_have_text(f"{day:%a, %b} {day.day}, {day.year}")
            await strip.press("ArrowLeft")


def _after(day: str) -> str:
    return (date.fromisoformat(day) + timedelta(days=1)).isoformat()


async def test_days_by_pointer(open_page: OpenPage) -> None:
    page = await open_page()
    await connected(page)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if request.url.endswith("/days") else None)
    strip = row(page, "demo-slow").locator(".days")
    await strip.scroll_into_view_if_needed()
    place = await box(strip)
    await page.mouse.move(place["x"] + place["width"] - 2, place["y"] + 5)
    today = date.fromisoformat(str(await page.locator("#services").get_attribute("data-today")))
    await expect(card(page).locator("strong")).to_have_text(f"{today:%a, %b} {today.day}, {today.year}")
    await expect(card(page)).to_contain_text("Checks")
    await page.mouse.move(place["x"] + 2, place["y"] + 5)
    await expect(card(page).locator("dd").first).to_be_visible()
    assert len(asked) == 1
    # The card stays while the pointer is over it, and disappears when the pointer leaves it and the strip.
    await page.clock.install()
    there = await box(card(page))
    await page.mouse.move(there["x"] + 5, there["y"] + there["height"] - 5, steps=3)
    await page.clock.run_for(300)
    await expect(card(page)).to_be_visible()
    await page.mouse.move(2, 2)
    await expect(card(page)).to_be_hidden()


async def test_days_by_touch(open_page: OpenPage) -> None:
    page = await open_page(device="phone")
    await connected(page)
    strip = row(page, "demo-slow").locator(".days")
    await strip.scroll_into_view_if_needed()
    place = await box(strip)
    await page.touchscreen.tap(place["x"] + place["width"] / 2, place["y"] + 5)
    await expect(card(page)).to_contain_text("Uptime")
    there = await box(card(page))
    assert there["x"] >= 0 and there["x"] + there["width"] <= 360
    await page.locator("#headline").dispatch_event("pointerdown", {"bubbles": True})
    await expect(card(page)).to_be_hidden()
