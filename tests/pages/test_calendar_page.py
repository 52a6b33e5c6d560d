"""/uptime in a browser."""

import json
import re
from datetime import date, datetime, timedelta
from typing import Any

import psycopg
import pytest
from playwright.async_api import Page, WebSocketRoute, expect

from tests.api.conftest import Api, Check, now, record, until
from tests.pages.looks import assert_accessible, screenshot
from tests.pages.visits import Device, Language, OpenPage, Theme

TODAY = "td[aria-current]"


async def focused(page: Page) -> str:
    return str(await page.evaluate("document.activeElement.dataset.date"))


async def fits(page: Page) -> bool:
    """Whether nothing has to be scrolled sideways to be seen. `innerWidth` of a phone grows with what is too wide."""
    return bool(await page.evaluate("document.documentElement.scrollWidth <= screen.width"))


@pytest.mark.parametrize(
    ("language", "theme", "device"),
    [("en", "light", "desktop"), ("ko", "dark", "desktop"), ("ko", "light", "phone"), ("en", "dark", "phone")],
)
async def test_it_can_be_read_by_everybody(
    open_page: OpenPage, language: Language, theme: Theme, device: Device
) -> None:
    page = await open_page("/uptime?service=demo-slow", language=language, theme=theme, device=device)
    await expect(page.locator("h1")).to_have_text({"en": "Uptime", "ko": "가동률"}[language])
    await expect(page.locator("table[role=grid]")).to_have_count(3)
    assert await fits(page)
    await assert_accessible(page)
    await page.locator(TODAY).click()
    await screenshot(page, f"uptime-{device}-{language}-{theme}")


async def test_a_long_name_fits_on_a_phone(open_page: OpenPage, site_db: psycopg.AsyncConnection[Any]) -> None:
    name = ("Verification-of-identity-documents-" * 3)[:98]
    await site_db.execute("UPDATE services SET name = %s WHERE id = 'demo-slow'", (name,))
    for path in ("/uptime?service=demo-slow", "/uptime", "/services/demo-slow", "/"):
        page = await open_page(path, device="phone")
        await expect(page.get_by_text(name, exact=True).first).to_be_attached()
        assert await fits(page), path


async def test_the_keyboard_goes_from_day_to_day(open_page: OpenPage) -> None:
    page = await open_page("/uptime")
    today = date.fromisoformat(str(await page.locator(TODAY).get_attribute("data-date")))
    await page.locator(TODAY).focus()
    assert await focused(page) == today.isoformat()
    for key, days in [("ArrowLeft", 1), ("ArrowUp", 8), ("ArrowRight", 7), ("ArrowDown", 0)]:
        await page.keyboard.press(key)
        assert await focused(page) == (today - timedelta(days=days)).isoformat()
    await page.keyboard.press("ArrowDown")  # that day is yet to come
    assert await focused(page) == today.isoformat()
    await page.keyboard.press("Control+Home")
    first = await focused(page)
    assert first == await page.locator("td[data-date]").first.get_attribute("data-date")
    await page.keyboard.press("End")
    assert datetime.fromisoformat(await focused(page)).weekday() == 5  # Saturday, the last of its week
    await page.keyboard.press("Tab")  # one tab stop in each month
    assert (await focused(page))[:7] != first[:7]


async def test_a_day_tells_its_figures_by_pointer_and_by_keyboard(open_page: OpenPage, site: Api) -> None:
    page = await open_page("/uptime?service=demo-failing")
    [*_, (day, *_)] = [
        (day, month)
        for month in (await site.get("/api/uptime/demo-failing"))["months"]
        for day in month["details"]
        if day["status"] == "mo"
    ]
    cell, card = page.locator(f"#day-{day['date']}"), page.locator(".day-card")
    await cell.hover()
    for text in ("Outage", f"{day['uptime']}%", str(day["checks"])):
        await expect(card).to_contain_text(text)
    await page.keyboard.press("Escape")
    await expect(card).to_be_hidden()
    await page.keyboard.press("Tab")  # from now on the focus is seen
    await cell.focus()
    await expect(card).to_contain_text("Outage")


async def test_a_day_tells_its_figures_by_touch(open_page: OpenPage) -> None:
    page = await open_page("/uptime", device="phone")
    await page.locator(TODAY).tap()
    await expect(page.locator(".day-card")).to_contain_text("Incidents")


async def test_another_service_is_shown_at_once_and_the_way_back_works(open_page: OpenPage) -> None:
    page = await open_page("/uptime")
    await page.get_by_label("Service").focus()
    await page.get_by_label("Service").select_option("demo-slow")
    await expect(page.locator("#shown")).to_contain_text("Slow search")
    await expect(page.get_by_label("Service")).to_be_focused()
    assert page.url.endswith("/uptime?service=demo-slow")
    await page.get_by_role("link", name="Earlier").click()
    await expect(page).to_have_url(re.compile("service=demo-slow&start="))
    await page.get_by_label("Service").select_option("demo-flaky")
    await expect(page.locator("#shown")).to_contain_text("Flaky payments")
    await page.go_back()
    await expect(page.locator("#shown")).to_contain_text("Slow search")
    await expect(page.get_by_role("link", name="Later")).to_be_visible()


async def test_without_javascript_the_page_is_complete(open_page: OpenPage) -> None:
    page = await open_page("/uptime", javascript=False)
    await page.get_by_label("Service").select_option("demo-slow")
    await page.get_by_role("button", name="Show").click()
    await expect(page.locator("#shown")).to_contain_text("Slow search")
    told = await page.locator(TODAY).text_content() or ""
    assert "Uptime" in told and "checks" in told
    assert await page.locator("table[role=grid]").count() == 0


async def test_an_outage_colours_today_at_once(
    open_page: OpenPage, site_db: psycopg.AsyncConnection[tuple[object, ...]]
) -> None:
    page = await open_page("/uptime?service=demo-healthy")
    await expect(page.locator(f"{TODAY}.mo")).to_have_count(0)
    await page.locator(TODAY).focus()
    await record(site_db, [Check("demo-healthy", now(), ms=None, interval_s=900)])
    await expect(page.locator(f"{TODAY}.mo")).to_contain_text("Outage")
    await expect(page.locator(TODAY)).to_be_focused()


async def test_it_is_fetched_when_a_day_begins_and_not_when_it_connects(open_page: OpenPage) -> None:
    page = await open_page("/uptime?service=demo-slow")
    sockets: list[WebSocketRoute] = []
    asked: list[str] = []

    def greet(socket: WebSocketRoute) -> None:
        sockets.append(socket)
        socket.send(json.dumps({"event": "hello", "data": {"id": "x"}, "seq": 0}))

    def tell(service: str, day: date) -> None:
        data = {"serviceId": service, "date": day.isoformat(), "status": "mo"}
        sockets[-1].send(json.dumps({"event": "uptime-updated", "data": data, "seq": 0}))

    await page.route_web_socket("**/ws?**", greet)
    await page.clock.install()
    await page.reload()
    page.on("request", lambda request: asked.append(request.url) if request.resource_type == "fetch" else None)
    await until(lambda: _any(sockets))
    await page.wait_for_timeout(100)  # for what it would do once connected
    await page.clock.run_for(2000)
    assert asked == []
    tomorrow = date.fromisoformat(str(await page.locator(TODAY).get_attribute("data-date"))) + timedelta(days=1)
    tell("demo-healthy", tomorrow)
    tell("demo-slow", tomorrow)
    async with page.expect_request("**/uptime?**"):
        await page.wait_for_timeout(100)
        await page.clock.run_for(2000)
    assert len(asked) == 1


async def _any(found: list[WebSocketRoute]) -> bool:
    return bool(found)


async def test_a_site_without_services_says_so_by_days_without_data(empty_site: Api, open_page: OpenPage) -> None:
    page = await open_page("/uptime", at=empty_site)
    await expect(page.locator(f"{TODAY}.nd")).to_contain_text("No data")
