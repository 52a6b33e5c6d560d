"""/docs in a browser: a page of swagger-ui."""

import pytest
from playwright.async_api import expect

from tests.pages.looks import assert_accessible, screenshot
from tests.pages.visits import Device, OpenPage

# How swagger-ui itself is: grey on grey, buttons in buttons, small ones, h3 below h1, a menu without a label, a head
# outside of its <main>.
SWAGGER_UI = ("color-contrast", "nested-interactive", "target-size", "heading-order", "select-name", "region")


@pytest.mark.parametrize("device", ["desktop", "phone"])
async def test_the_description_is_shown(open_page: OpenPage, device: Device) -> None:
    page = await open_page("/docs", device=device)
    await expect(page.get_by_role("heading", name="SLA Monitor")).to_be_visible()
    await expect(page.get_by_text("/api/system-status", exact=True)).to_be_visible()
    await assert_accessible(page, without=SWAGGER_UI)
    await screenshot(page, f"docs-{device}")
