"""Times for visitors whose clock is not the site's."""

import re

from playwright.async_api import expect

from tests.api.conftest import Api, User
from tests.api.incidents import add_update
from tests.pages.looks import assert_accessible
from tests.pages.sites import OPEN_INCIDENT
from tests.pages.visits import OpenPage

OFFSET_S = 9 * 3600
PARSED = "(element) => Date.parse(element.textContent + ' UTC') / 1000"
MEANT = "(element) => Date.parse(element.dateTime) / 1000"
OTHER = "(element) => Date.parse(element.title.replace(/ [(].*/, '') + ' UTC') / 1000"


async def test_a_visitor_elsewhere_can_have_times_of_their_own(open_page: OpenPage, site: Api, reporter: User) -> None:
    page = await open_page(f"/incidents/{OPEN_INCIDENT}", zone="Asia/Seoul")
    time = page.locator(".timeline time").last
    switch = page.locator("#own-times")
    await expect(time).to_have_attribute("title", re.compile(r" \(Asia/Seoul\)$"))
    minute = await time.evaluate(MEANT) // 60 * 60
    assert await time.evaluate(PARSED) == minute
    assert await time.evaluate(OTHER) == minute + OFFSET_S

    await switch.click()
    await expect(time).to_have_attribute("title", re.compile(r" \(UTC\)$"))
    await expect(switch).to_have_text("Show times in UTC")
    await expect(page.locator("#zone")).to_have_text("Times in Asia/Seoul, days in UTC.")
    assert await time.evaluate(PARSED) == minute + OFFSET_S
    assert await time.evaluate(OTHER) == minute
    await assert_accessible(page, within="footer")

    await add_update(site, reporter, OPEN_INCIDENT, "monitoring", "A fix is out.")
    await expect(page.locator(".timeline")).to_contain_text("A fix is out.")
    fresh = page.locator(".timeline time").first
    assert await fresh.evaluate(PARSED) == await fresh.evaluate(MEANT) // 60 * 60 + OFFSET_S

    await page.goto("/services/demo-failing")  # where sentences and the chart tell times
    since = page.locator(".now time")
    assert await since.evaluate(PARSED) == await since.evaluate(MEANT) // 60 * 60 + OFFSET_S
    await expect(page.locator("#ranges")).to_be_visible()
    await switch.click()
    await expect(page.locator("#zone")).to_have_text("All times in UTC.")


async def test_who_lives_by_the_clock_of_the_site_is_offered_nothing(open_page: OpenPage) -> None:
    page = await open_page("/history", zone="Africa/Abidjan")  # another name of UTC
    await expect(page.locator("#zone")).to_be_visible()
    assert await page.locator("#own-times").is_hidden()
    assert await page.locator("time[title]").count() == 0
