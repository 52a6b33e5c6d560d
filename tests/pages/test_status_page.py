"""The status page in a browser: live, by keyboard and touch, without scripts, and when its API is away."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date, timedelta
from typing import Any

import anyio
import psycopg
from playwright.async_api import FloatRect, Locator, Page, Route, expect

from api.app import serve
from sla_monitor.settings import Settings
from tests.api.conftest import Api, Check, User, add_service, now, record, running_api, until_events_processed
from tests.api.incidents import add_update, create
from tests.api.relay import relay_before
from tests.api.shared import SHARED
from tests.pages.looks import assert_accessible, screenshot
from tests.pages.sites import HIDDEN, OPEN_INCIDENT, RESOLVED_INCIDENT
from tests.pages.test_refreshing import refresh
from tests.pages.visits import Device, Language, OpenPage, Theme

Db = psycopg.AsyncConnection[Any]
LOOKS: tuple[tuple[Language, Theme, Device], ...] = (
    ("en", "light", "desktop"),
    ("en", "dark", "phone"),
    ("ko", "light", "phone"),
    ("ko", "dark", "desktop"),
)
PUSHED_MS = 20_000
"""Far less than the minute after which a page refreshes itself without an event."""
AWAY = ("WebSocket", "ERR_CONNECTION_REFUSED")


def row(page: Page, service: str) -> Locator:
    return page.locator(f'[data-service="{service}"]')


def card(page: Page) -> Locator:
    return page.locator(".day-card")


async def box(locator: Locator) -> FloatRect:
    found = await locator.bounding_box()
    assert found is not None
    return found


async def connected(page: Page) -> None:
    """Waits until the sliders are made: then the page receives events."""
    await expect(page.locator(".days[role=slider]").first).to_be_attached()


@asynccontextmanager
async def serving(settings: Settings, database_url: str) -> AsyncIterator[None]:
    """The same API again, on its port."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(serve, settings, database_url, None, SHARED)
        yield
        tasks.cancel_scope.cancel()


async def test_every_look_is_accessible_and_fits(open_page: OpenPage) -> None:
    for language, theme, device in LOOKS:
        page = await open_page("/", language=language, theme=theme, device=device)
        await connected(page)
        await assert_accessible(page)
        assert await page.evaluate("document.documentElement.scrollWidth <= screen.width")
        assert not [name for name in HIDDEN if name in await page.content()]
        await screenshot(page, f"status-{language}-{theme}-{device}")


async def test_incident_and_history_are_accessible_and_fit(open_page: OpenPage) -> None:
    for path, name in (("/history", "history"), (f"/incidents/{RESOLVED_INCIDENT}", "incident")):
        for language, theme, device in LOOKS[1:3]:
            page = await open_page(path, language=language, theme=theme, device=device)
            await page.evaluate("document.querySelectorAll('details').forEach((folded) => { folded.open = true; })")
            await assert_accessible(page)
            assert await page.evaluate("document.documentElement.scrollWidth <= screen.width")
            await screenshot(page, f"{name}-{language}-{theme}-{device}")


async def test_an_open_page_shows_that_a_service_goes_down_and_up(open_page: OpenPage, site_db: Db) -> None:
    page = await open_page()
    await connected(page)
    shop, state = row(page, "demo-healthy"), row(page, "demo-healthy").locator(".state")
    await expect(page.locator("#counts")).to_have_text("3 of 6 services are not operational.")
    await expect(state).to_have_text("Operational")

    await record(site_db, [Check("demo-healthy", now() - timedelta(seconds=1), ms=None, interval_s=900)])
    await expect(state).to_have_text("Outage", timeout=PUSHED_MS)
    await expect(shop.locator(".days .mo[d*='M89 ']")).to_be_attached()
    await expect(page.locator("#counts")).to_have_text("4 of 6 services are not operational.")
    await expect(page.get_by_role("group").filter(has=shop).locator(".group-state")).to_contain_text("2 of 3")
    await expect(page.locator("#announcement")).to_have_text("Healthy shop: Outage")

    services = ("demo-healthy", "demo-failing", "demo-wrong-certificate", "demo-dead-name")
    await site_db.execute("UPDATE service_states SET state = 'operational' WHERE service_id = ANY (%s)", [[*services]])
    await record(site_db, [Check(service, now(), interval_s=900) for service in services])
    await expect(page.locator("#headline")).to_have_text("An incident is under way", timeout=PUSHED_MS)
    await expect(page.locator("#banner")).to_have_class("banner degraded")
    await expect(page.locator("#counts")).to_have_text("All 6 services are operational.")


async def test_an_incident_appears_and_goes(open_page: OpenPage, site: Api, reporter: User) -> None:
    page = await open_page()
    await connected(page)
    incident = await create(site, reporter, title="The cable is cut")
    await expect(page.locator("#incidents").get_by_role("link", name="The cable is cut")).to_be_visible()
    await add_update(site, reporter, incident["id"], "resolved", "It is **mended**.")
    await expect(page.locator("#past").get_by_text("It is mended.")).to_be_visible()
    await expect(page.locator("#incidents")).not_to_contain_text("cable")


async def test_the_page_of_an_incident_follows_it(open_page: OpenPage, site: Api, reporter: User) -> None:
    page = await open_page(f"/incidents/{OPEN_INCIDENT}")
    await add_update(site, reporter, OPEN_INCIDENT, "resolved", "Everybody can pay again.")
    await expect(page.locator(".timeline > li").first).to_contain_text("Everybody can pay again.")
    await expect(page.locator("#incident .tag").first).to_have_text("Resolved")


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


async def test_figures_that_fail_to_load_are_reported_and_loaded_again(open_page: OpenPage) -> None:
    page = await open_page(expected=["/days", "ERR_FAILED"])
    await connected(page)
    await page.route("**/services/*/days", lambda route: route.abort())
    strip = row(page, "demo-slow").get_by_role("slider")
    await strip.focus()
    await page.keyboard.press("End")
    await expect(card(page)).to_contain_text("could not be loaded")
    await page.unroute("**/services/*/days")
    await page.keyboard.press("ArrowLeft")
    await expect(card(page)).to_contain_text("Checks")


async def test_without_scripts_everything_can_be_read(open_page: OpenPage) -> None:
    page = await open_page(javascript=False)
    await expect(page.locator("#headline")).to_have_text("Some services are down")
    shop = row(page, "demo-slow")
    await expect(shop.locator(".days")).to_have_attribute("aria-label", re.compile(r"uptime in 90 days: .* degraded"))
    await expect(page.locator("#filter")).to_be_hidden()
    await page.locator("summary", has_text="Shop").click()
    await expect(shop).to_be_hidden()
    await page.locator("summary", has_text="Shop").click()
    await shop.get_by_role("link").click()
    assert page.url.endswith("/services/demo-slow")


async def test_many_services_are_folded_and_filtered(open_page: OpenPage, site_db: Db) -> None:
    async with site_db.transaction():
        for number in range(100):
            await add_service(site_db, f"many-{number}", name=f"Node {number}", group_name=f"Rack {number // 10}")
    page = await open_page(javascript=False)
    await page.locator("summary", has_text="Rack 9").click()
    await expect(row(page, "many-99").get_by_role("link")).to_be_visible()
    await expect(row(page, "many-42")).to_be_hidden()

    page = await open_page()
    await connected(page)
    await expect(page.locator("details[open]")).to_have_count(2)  # the ones with trouble
    await expect(page.locator("[data-service]")).to_have_count(106)  # once there was time for them
    await page.get_by_text("Rack 3").click()
    await expect(row(page, "many-30").get_by_role("slider")).to_be_visible()
    await page.get_by_text("Rack 3").click()
    wanted = page.get_by_role("searchbox", name="Filter by name")
    await wanted.fill("NODE 42")
    await expect(row(page, "many-42")).to_be_visible()
    await expect(page.locator("[data-service]:visible")).to_have_count(1)
    await expect(page.locator("output")).to_have_text("1 service")
    await assert_accessible(page)
    await wanted.fill("none such")
    await expect(page.locator("output")).to_have_text("No matching services.")
    await wanted.fill("")
    await expect(page.locator("details[open]")).to_have_count(2)


async def test_rows_of_open_groups_beyond_the_first_screen_are_inserted(open_page: OpenPage, site_db: Db) -> None:
    names = [f"node-{number:03}" for number in range(100)]
    async with site_db.transaction():
        for number, name in enumerate(names):
            await add_service(site_db, name, name=name, group_name=f"Rack {number // 50}")
    await record(site_db, [Check(name, now() - timedelta(seconds=1), ms=None, interval_s=900) for name in names])
    page = await open_page(javascript=False)
    await expect(page.locator("[data-service]:visible")).to_have_count(106)

    page = await open_page()
    rack = page.get_by_role("group").filter(has=page.get_by_role("heading", name="Rack 1"))
    await expect(rack.get_by_role("slider")).to_have_count(50)
    await expect(page.locator("noscript").filter(has_text="node-")).to_have_count(0)
    rows = await page.locator(".services").evaluate_all("(lists) => lists.map((list) => list.childElementCount)")
    assert sorted(rows) == [3, 3, 50, 50]
    await row(page, "node-099").scroll_into_view_if_needed()
    await assert_accessible(page)
    where = await page.evaluate("scrollY")
    await page.reload()
    await expect(row(page, "node-099").get_by_role("slider")).to_be_attached()
    await expect(row(page, "node-099")).to_be_in_viewport()
    assert where > 5000


async def test_the_api_is_killed_and_comes_back(open_page: OpenPage, site_database: str, site_db: Db) -> None:
    async with running_api(site_database) as api:
        page = await open_page(at=api, expected=AWAY)
        await connected(page)
    notice = page.locator("#connection")
    await expect(notice).to_be_visible()
    await expect(notice).to_contain_text("The connection was lost.")
    await record(site_db, [Check("demo-healthy", now(), ms=None, interval_s=900)])
    async with serving(api.settings, site_database):
        await expect(notice).to_be_hidden()
        await expect(row(page, "demo-healthy").locator(".state")).to_have_text("Outage")
        await expect(page.locator("#counts")).to_have_text("4 of 6 services are not operational.")
        await page.close()


async def test_a_database_that_stops_responding_is_shown_within_15_s(open_page: OpenPage, site_database: str) -> None:
    async with relay_before(site_database) as relay, running_api(relay.url) as api:
        pages = [await open_page(path, at=api) for path in ("/", "/services/demo-slow", "/uptime")]
        for page, of_scripts in zip(pages, (".days[role=slider]", ".days[role=slider]", "[role=grid]"), strict=True):
            await expect(page.locator(of_scripts).first).to_be_attached()
            await expect(page.locator("#snapshot")).to_be_hidden()
        relay.silence()
        began = anyio.current_time()
        for page in pages:
            await expect(page.locator("#snapshot")).to_be_visible(
                timeout=15_000 - 1000 * (anyio.current_time() - began)
            )
        relay.cut()


async def test_opened_groups_stay_open_when_the_list_is_refreshed(open_page: OpenPage, site_db: Db) -> None:
    page = await open_page()
    await connected(page)
    shop = row(page, "demo-slow")
    await page.locator("summary", has_text="Shop").click()
    await expect(shop).to_be_hidden()
    await page.evaluate("document.getElementById('services').dataset.today = '2020-01-01'")
    await add_service(site_db, "brand-new", group_name="Shop")
    await record(site_db, [Check("brand-new", now(), interval_s=900)])
    await expect(row(page, "brand-new")).to_be_attached()
    await expect(shop).to_be_hidden()


async def test_an_empty_installation(empty_site: Api, open_page: OpenPage) -> None:
    page = await open_page(at=empty_site)
    await expect(page.get_by_role("heading", level=1)).to_have_text("No services yet")
    await assert_accessible(page)
    await screenshot(page, "status-empty")


async def test_what_no_event_tells_is_fetched_now_and_then(open_page: OpenPage, site_db: Db) -> None:
    page = await open_page()
    await page.clock.install()
    await page.reload()
    await connected(page)
    await site_db.execute("UPDATE services SET name = 'Very healthy shop' WHERE id = 'demo-healthy'")
    await page.clock.run_for(5 * 60_000)
    await expect(row(page, "demo-healthy").get_by_role("link")).to_have_text("Very healthy shop")


async def test_where_no_socket_comes_through_it_is_fetched_every_minute(
    open_page: OpenPage, site: Api, site_db: Db
) -> None:
    page = await open_page()
    await page.route_web_socket("**/ws?**", lambda socket: socket.close())
    await page.clock.install()
    await page.reload()
    await connected(page)
    await record(site_db, [Check("demo-healthy", now(), ms=None, interval_s=900)])
    await until_events_processed(site, site_db)  # the page asks once in this time
    await page.clock.run_for(62_000)
    await expect(row(page, "demo-healthy").locator(".state")).to_have_text("Outage")
    await expect(page.locator("#connection")).to_be_visible()
