"""The status page in a browser: live, without scripts, and when its API is away."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import anyio
import psycopg
from playwright.async_api import expect

from api.app import serve
from sla_monitor.settings import Settings
from tests.api.conftest import Api, Check, User, add_service, now, record, running_api, until_events_processed
from tests.api.incidents import add_update, create
from tests.api.relay import relay_before
from tests.api.shared import SHARED
from tests.pages.looks import assert_accessible, screenshot
from tests.pages.sites import HIDDEN, OPEN_INCIDENT, RESOLVED_INCIDENT
from tests.pages.status_rows import card, connected, row
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
