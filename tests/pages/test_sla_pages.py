"""/sla, the service level on the page of a service, and the console's editors in a browser."""

import re
from typing import Any

import psycopg
import pytest
from playwright.async_api import Page, expect

from tests.api.conftest import User, create_user
from tests.pages.looks import assert_accessible, screenshot
from tests.pages.visits import Device, Language, OpenPage, Theme

Db = psycopg.AsyncConnection[Any]
CONSOLE = (
    "policies",
    "policies/new",
    "corrections",
    "corrections/new?service=demo-failing",
    "holidays",
    "holidays/new",
)


@pytest.fixture
async def policies(site_db: Db) -> str:
    """Policies for the group `Shop` and for one service, since the first check. Returns the id of the former."""
    await site_db.execute("DELETE FROM service_memberships WHERE NOT upper_inf(valid)")
    await site_db.execute("UPDATE service_memberships SET valid = '(,)'")
    ids = []
    for scope, subject, target, period in (
        ("group", "Shop", 99.9, "month"),
        ("service", "demo-dead-name", 99.5, "quarter"),
    ):
        row = await (
            await site_db.execute(
                """
                WITH created AS (INSERT INTO sla_policies (scope, subject) VALUES (%s, %s) RETURNING id)
                INSERT INTO sla_policy_versions
                    (policy_id, version, name, target, period, time_zone, valid_from, author)
                SELECT id, 1, 'Agreement', %s, %s, 'UTC', '2000-01-01', 'Ann' FROM created
                RETURNING policy_id
                """,
                (scope, subject, target, period),
            )
        ).fetchone()
        assert row is not None
        ids.append(str(row[0]))
    return ids[0]


async def fits(page: Page) -> bool:
    return bool(await page.evaluate("document.documentElement.scrollWidth <= screen.width"))


@pytest.mark.parametrize(
    ("language", "theme", "device"),
    [("en", "light", "desktop"), ("ko", "dark", "phone")],
)
async def test_every_page_is_accessible_and_fits(
    open_page: OpenPage, policies: str, admin: User, language: Language, theme: Theme, device: Device
) -> None:
    page = await open_page("/sla", language=language, theme=theme, device=device)
    await expect(page.locator("tr[data-service]")).to_have_count(4)
    await assert_accessible(page)
    assert await fits(page)
    await screenshot(page, f"sla-{language}-{theme}-{device}")
    page = await open_page("/services/demo-healthy", language=language, theme=theme, device=device, user=admin)
    await expect(page.locator("#sla svg[role=img]")).to_be_visible()
    await page.locator("#sla summary").click()
    await assert_accessible(page)
    assert await fits(page)
    await screenshot(page, f"sla-service-{language}-{theme}-{device}")
    for path in (*CONSOLE, f"policies/{policies}", f"policies/{policies}/edit", f"policies/{policies}/end"):
        await page.goto(f"/console/{path}")
        await assert_accessible(page)
        assert await fits(page), path
        await screenshot(page, f"console-{re.sub(r'[^a-z]+', '-', path)}-{language}-{theme}-{device}")


async def test_sorts_and_periods_change_without_a_reload(open_page: OpenPage, policies: str) -> None:
    page = await open_page("/sla")
    await page.evaluate("window.isSamePage = true")
    await page.get_by_role("link", name="Error budget", exact=True).press("Enter")
    await expect(page).to_have_url(re.compile(r"\?sort=budget$"))
    await expect(page.locator("#sort-budget")).to_be_focused()
    await expect(page.locator("#sort-budget")).to_have_attribute("aria-current", "true")
    await page.get_by_role("link", name="Quarter").click()
    await expect(page).to_have_url(re.compile(r"period=\d{4}-Q\d&sort=budget$"))
    await expect(page.locator("#kind-quarter")).to_be_focused()
    await expect(page.locator("#shown")).to_contain_text(re.compile(r"Q\d \d{4}"))
    await page.locator("#earlier").click()
    await expect(page.locator("#later")).to_be_visible()
    assert await page.evaluate("window.isSamePage") is True
    await page.go_back()
    await expect(page.locator("#kind-quarter")).to_have_attribute("aria-current", "true")


async def test_without_javascript_links_and_folds_work(open_page: OpenPage, policies: str) -> None:
    page = await open_page("/sla", javascript=False)
    await page.get_by_role("link", name="Uptime", exact=True).last.click()
    await expect(page).to_have_url(re.compile(r"\?sort=uptime$"))
    group = page.locator("[data-group=Shop]")
    await group.locator("summary").click()
    await expect(group.locator("table")).to_be_hidden()


async def test_a_policy_is_written_by_keyboard_with_a_preview(open_page: OpenPage, policies: str, admin: User) -> None:
    page = await open_page(f"/console/policies/{policies}/edit", user=admin)
    keys = page.keyboard
    await page.get_by_label("Target in percent").fill("99.999")
    preview = page.locator("#preview")
    await expect(preview).to_contain_text("If these terms applied to the whole period")
    await expect(preview).to_contain_text(re.compile("figures of 3 services of 3 change"))
    await assert_accessible(page)
    await screenshot(page, "console-policy-preview")
    await page.get_by_role("button", name="Add hours").press("Enter")
    row = page.get_by_role("group", name="Hours 2")
    await expect(row.get_by_label("Mon")).to_be_focused()
    await keys.press("Space")
    await row.get_by_label("From").fill("08:00")
    await row.get_by_label("Until").fill("20:00")
    await assert_accessible(page)
    await page.get_by_label("Target in percent").press("Enter")  # it saves, and adds no row
    await expect(page).to_have_url(re.compile("done=saved"))
    await expect(page.locator("#main")).to_contain_text("Mon 08:00–20:00")
    await expect(page.locator("#main")).to_contain_text("99.999%")


async def test_staff_correct_an_outage(open_page: OpenPage, policies: str, site_db: Db) -> None:
    reporter = await create_user(site_db, "reporter", "Rosa")
    page = await open_page("/services/demo-healthy", user=reporter)
    await page.get_by_role("link", name="Correct this outage").first.click()
    await expect(page.get_by_label("Which one")).to_have_value("demo-healthy")
    await page.get_by_label("Reason").fill("The proxy of the prober failed.")
    await page.get_by_role("button", name="Save correction").click()
    await expect(page.locator("ol.listed > li")).to_contain_text("Rosa")
    await page.get_by_role("link", name="Withdraw").click()
    await expect(page.get_by_role("heading", name="Withdraw this correction?")).to_be_visible()
    await expect(page.locator("#preview")).to_contain_text("Without this correction")
    await page.get_by_role("button", name="Withdraw").click()
    await expect(page.locator("ol.listed > li")).to_contain_text("withdrawn by Rosa")
