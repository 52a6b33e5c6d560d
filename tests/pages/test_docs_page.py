"""/docs in a browser: a page of swagger-ui."""

import pytest
from playwright.async_api import expect

from tests.pages.looks import assert_accessible, screenshot
from tests.pages.visits import Device, OpenPage

# How swagger-ui itself is: buttons in buttons, small ones, h3 below h1, a menu without a label, a head
# outside of its <main>.
SWAGGER_UI = ("nested-interactive", "target-size", "heading-order", "select-name", "region")


@pytest.mark.parametrize("device", ["desktop", "phone"])
async def test_the_description_is_shown(open_page: OpenPage, device: Device) -> None:
    page = await open_page("/docs", device=device)
    await expect(page.get_by_role("heading", name="SLA Monitor")).to_be_visible()
    await expect(page.get_by_text("/api/system-status", exact=True)).to_be_visible()
    await assert_accessible(page, without=SWAGGER_UI)
    await screenshot(page, f"docs-{device}")


async def test_without_scripts_it_is_a_list_of_routes(open_page: OpenPage) -> None:
    page = await open_page("/docs", javascript=False)
    await expect(page.get_by_role("link", name="/openapi.json")).to_be_visible()
    await expect(page.get_by_text("PUT /api/incidents/{incident_id}", exact=True)).to_be_visible()
    first = page.locator("li", has=page.get_by_text("GET /api/system-status", exact=True))
    await expect(first).to_have_text(
        "GET /api/system-status Get the status of all public services, now and over 90 days"
    )
