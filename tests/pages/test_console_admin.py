"""The console of maintenance, templates and administration in a browser: by keyboard, on a phone, in both languages."""

import re
from datetime import timedelta

import pytest
from playwright.async_api import Page, expect

from tests.api.coming import WEDNESDAY, coming_change_of_clocks, coming_day
from tests.api.conftest import User
from tests.pages.looks import assert_accessible, screenshot
from tests.pages.visits import Device, Language, OpenPage, Theme

PAGES = (
    "maintenance",
    "maintenance/new",
    "templates",
    "templates/new",
    "services",
    "services/new",
    "services/demo-healthy",
    "users",
    "users/new",
    "tokens",
    "tokens/new",
    "settings",
    "audit",
    "account",
)


@pytest.mark.parametrize(
    ("language", "theme", "device"), [("en", "light", "desktop"), ("ko", "dark", "phone"), ("en", "dark", "phone")]
)
async def test_every_page_is_accessible_and_fits(
    open_page: OpenPage, admin: User, language: Language, theme: Theme, device: Device
) -> None:
    page = await open_page("/console/account", language=language, theme=theme, device=device, user=admin)
    for path in PAGES:
        await page.goto(f"/console/{path}")
        await assert_accessible(page)
        too_wide = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert too_wide <= 0, f"{path} is {too_wide} px too wide"
        await screenshot(page, f"console-{path.replace('/', '-')}-{language}-{theme}-{device}")


async def test_what_is_folded_or_shown_on_demand_is_accessible_too(open_page: OpenPage, admin: User) -> None:
    page = await open_page("/console/services/new", user=admin)
    for summary in await page.locator("main summary").all():
        await summary.click()
    await assert_accessible(page)
    await page.goto("/console/maintenance/new")
    for kind in ("weekly", "rule", "monthly"):
        await page.get_by_label("Repeats").select_option(kind)
        await page.get_by_label("Ends").select_option("until") if kind != "rule" else None
        await assert_accessible(page)
    await page.goto("/console/audit")
    await page.locator("main ol summary").first.click()
    await assert_accessible(page)


async def tab_to(page: Page, label: str, most: int = 80) -> None:
    """By the Tab key alone to the control with this label, which must show that it has the focus."""
    wanted = page.get_by_label(label, exact=True)
    for _ in range(most):
        await page.keyboard.press("Tab")
        if await wanted.evaluate("(element) => element === document.activeElement"):
            outline = await wanted.evaluate("(element) => getComputedStyle(element).outlineStyle")
            assert outline != "none", f"{label} does not show that it has the focus"
            return
    raise AssertionError(f"{label} cannot be reached by keyboard")


async def test_a_recurring_maintenance_is_announced_by_keyboard(open_page: OpenPage, reporter: User) -> None:
    day = coming_day(WEDNESDAY)
    page = await open_page("/console/maintenance/new", user=reporter)
    keys = page.keyboard
    await tab_to(page, "Title")
    await keys.type("New disks")
    await tab_to(page, "Healthy shop Shop")
    await keys.press("Space")
    await tab_to(page, "From")
    await keys.type(f"{day:%m%d%Y}")
    await keys.press("Tab")
    await keys.type("0200AM")
    await tab_to(page, "To")
    await keys.type(f"{day:%m%d%Y}")
    await keys.press("Tab")
    await keys.type("0330AM")
    await tab_to(page, "Repeats")
    await keys.type("Week")
    await tab_to(page, "Wed")
    await keys.press("Space")
    await keys.press("Enter")
    await expect(page).to_have_url(re.compile("done=created"))
    entry = page.get_by_role("article").filter(has_text="New disks")
    await expect(entry).to_contain_text(f"{day:%b %-d, %Y}, 02:00 – 03:30")
    await expect(entry).to_contain_text("Every week · Wed")


async def test_a_service_is_added_by_keyboard_after_a_mistake(open_page: OpenPage, admin: User) -> None:
    page = await open_page("/console/services/new", user=admin)
    keys = page.keyboard
    await tab_to(page, "Name")
    await keys.type("Search")
    await tab_to(page, "Id")
    await keys.type("demo-healthy")
    await tab_to(page, "Address")
    await keys.type("https://search.example/health")
    await keys.press("Enter")
    summary = page.get_by_role("alert")
    await expect(summary).to_contain_text("Id: is already in use")
    await assert_accessible(page)
    await screenshot(page, "console-service-problem")
    await summary.get_by_role("link", name="Id").press("Enter")
    identifier = page.get_by_label("Id", exact=True)
    await expect(identifier).to_be_focused()
    await expect(identifier).to_have_attribute("aria-invalid", "true")
    await keys.press("Control+A")
    await keys.type("search")
    await keys.press("Enter")
    await expect(page.get_by_role("status")).to_contain_text("The service has been added.")
    await expect(page.get_by_role("link", name="Search", exact=True)).to_be_visible()


async def test_only_what_belongs_to_a_repetition_is_shown(open_page: OpenPage, reporter: User) -> None:
    page = await open_page("/console/maintenance/new", user=reporter)
    every, days, rule = (page.get_by_label(name, exact=True) for name in ("Every", "On these days", "Rule"))
    for kind, shown in (("never", []), ("daily", [every]), ("weekly", [every, days]), ("rule", [rule])):
        await page.get_by_label("Repeats").select_option(kind)
        for control in (every, days, rule):
            await expect(control).to_be_visible(visible=control in shown)


@pytest.mark.parametrize("javascript", [True, False])
async def test_a_window_is_previewed_and_cancelled(open_page: OpenPage, reporter: User, javascript: bool) -> None:
    change = coming_change_of_clocks(3)
    first = change - timedelta(days=3)
    page = await open_page("/console/maintenance/new", user=reporter, javascript=javascript)
    await page.get_by_label("Title").fill("New disks")
    await page.get_by_label("Healthy shop").check()
    await page.get_by_label("From").fill(f"{first}T02:30")
    await page.get_by_label("To", exact=True).fill(f"{first}T03:30")
    await page.get_by_label("Time zone").select_option("Europe/Berlin")
    await page.get_by_label("Repeats").select_option("daily")
    await page.get_by_role("button", name="Preview").click()
    await expect(page.locator("#preview li")).to_have_count(10)
    await expect(page.locator("#preview li").nth(3)).to_contain_text(f"{change:%b %-d, %Y} 03:30")
    await screenshot(page, "console-maintenance-preview") if javascript else None
    await page.get_by_role("button", name="Schedule").click()
    await page.get_by_role("link", name="Cancel maintenance").click()
    await page.get_by_role("button", name="Cancel maintenance").click()
    await expect(page.get_by_role("status")).to_contain_text("The maintenance has been cancelled.")


async def test_services_are_searched(open_page: OpenPage, site_db: object, reporter: User) -> None:
    await site_db.execute(  # type: ignore[attr-defined]  # an AsyncConnection
        "INSERT INTO services (id, name, endpoint_url) SELECT 'x' || n, 'Extra ' || n, 'http://x.invalid/' "
        "FROM generate_series(1, 9) AS n"
    )
    page = await open_page("/console/maintenance/new", user=reporter)
    await page.get_by_label("Healthy shop").check()
    await page.get_by_label("Search services").fill("extra 7")
    boxes = page.locator(".picker .choice:visible")
    await expect(boxes).to_have_count(2)
    await expect(page.get_by_label("Healthy shop")).to_be_checked()
    await page.get_by_label("Search services").press("Enter")
    await expect(page).to_have_url(re.compile("/new$"))


async def test_a_password_is_changed_and_the_browser_stays_logged_in(open_page: OpenPage, admin: User) -> None:
    page = await open_page("/console/users/new", user=admin)
    await page.get_by_label("User name").fill("rosa")
    await page.get_by_label("E-mail").fill("rosa@example.com")
    await page.get_by_role("button", name="Add user").click()
    password = await page.get_by_label("Password", exact=True).inner_text()
    await screenshot(page, "console-password-once")
    own = await open_page("/login")
    await own.get_by_label("User name or e-mail").fill("rosa")
    await own.get_by_label("Password").fill(password)
    await own.get_by_role("button", name="Log in").click()
    await own.wait_for_url("**/console/**")
    await own.goto("/console/account")
    await own.get_by_label("Current password").fill(password)
    await own.get_by_label("New password", exact=True).fill("battery staple")
    await own.get_by_label("Repeat the new password").fill("battery staple")
    await own.get_by_role("button", name="Change the password").click()
    await expect(own.get_by_role("status")).to_contain_text("Your password has been changed.")
    await own.reload()
    await expect(own.get_by_role("heading", name="My account")).to_be_visible()
